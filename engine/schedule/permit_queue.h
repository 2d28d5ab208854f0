// Who waits on one shard for the next permit of a limit that several share: the message rate of a
// provider or a job, the connection slots of a provider.
//
// PURPOSE. One line for each limit, first come, first served, and one time at which its head is
// woken: as many are woken as there are permits, no herd, and nobody starves.
// HOW IT IS USED. There is one baton. Who is woken has it, asks the limit, and passes it on with
// the time of the next permit; the next is woken then, in the same turn when that is now.
//   to ask:     if (queue.may_ask(w)) { permit = limit.take(now); ... }
//               not to be asked, because others wait:   queue.wait(w, Instant::min())
//               refused:                                queue.wait(w, permit.at)
//   when woken: took its permit, or has no use for it:  queue.pass(w, limit.peek(now))
//               refused (another shard was faster):     queue.wait_first(w, permit.at)
//               must dial before it can use one:        queue.pass(w, now), dial,
//                                                       queue.wait_first(w, Instant::min())
//   after any of these the owner wakes whom wake(now) gives, until it gives none, and sets its
//   timer to next_wake(): one timer a queue.
// For a limit without a time (slots) the time of the next permit is kForever, and moved(now) says
// that one came back.
// OWNERSHIP. The owner has the queue and the timer. A Waiter is part of who waits; it leaves when
// it is destroyed, with the baton if it has it, and may outlive the queue. THREAD. One shard's;
// each shard has a line of its own, so that of n shards up to n heads may come for one permit.
// ERRORS. None. To pass a baton that one does not have is a CHECK.
// LIMITS. All operations are O(1) and allocate nothing; a waiter takes 40 octets.
// BUGS. A permit that another shard gives back before its time is seen at that time only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/time.h"

namespace sluice {

class PermitQueue {
 public:
  // To be derived from, or a member: waits in one queue at a time.
  class Waiter {
   public:
    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;
    ~Waiter() {
      if (queue_ != nullptr) queue_->leave(*this);
    }
    // Stands in a line, or was woken and has its baton.
    bool is_waiting() const { return queue_ != nullptr; }

   private:
    friend class PermitQueue;
    PermitQueue* queue_ = nullptr;
    Waiter* previous_ = nullptr;
    Waiter* next_ = nullptr;
    // Woken since it last came to the end of a line, and did not stand in front since.
    PermitQueue* was_woken_by_ = nullptr;
    bool is_first_ = false;  // stands in the line of those who go before the others
  };

  PermitQueue() = default;
  PermitQueue(const PermitQueue&) = delete;
  PermitQueue& operator=(const PermitQueue&) = delete;
  ~PermitQueue();

  // The limit may be asked: nobody waits for it, or this one's turn has come.
  bool may_ask(const Waiter& waiter) const {
    return holder_ == &waiter || (holder_ == nullptr && size_ == 0);
  }

  // Stands at the end, giving back the baton if it has it; who stands in this line keeps its place,
  // who stands in another leaves that. `at`: when the next permit is granted, as far as it knows.
  void wait(Waiter& waiter, Instant at);
  // Stands before all that came to the end, behind others that stand so: for who was woken and
  // could not use its turn. With the baton in hand, which is given back: before these too. Who was
  // not woken since it stood here last comes to the end: a turn is made good for once.
  void wait_first(Waiter& waiter, Instant at);
  // Out of the line; the baton, if it has it, goes to the next at once. Nothing if it does not
  // wait here.
  void leave(Waiter& waiter);

  // The head, when the time of the next permit has come and the baton is here; it has it then and
  // is out of the line.
  Waiter* wake(Instant now);
  // Gives the baton back. REQUIRES: has it.
  void pass(Waiter& waiter, Instant next_at);
  bool has_baton(const Waiter& waiter) const { return holder_ == &waiter; }
  // The next permit comes at another time than was said: the limit was set anew, or one was given
  // back.
  void moved(Instant at) { at_ = at; }

  // When wake() gives somebody next; kForever while nobody waits or the baton is out.
  Instant next_wake() const { return size_ == 0 || holder_ != nullptr ? kForever : at_; }
  // Those in the line, without the one that has the baton.
  size_t size() const { return size_; }

 private:
  struct Line {
    Waiter* head = nullptr;
    Waiter* tail = nullptr;
  };

  Line& line_of(const Waiter& waiter) { return waiter.is_first_ ? firsts_ : others_; }
  void insert(Line& line, Waiter& waiter, bool at_head);
  void remove(Waiter& waiter);
  void learn(Instant at);

  Line firsts_;
  Line others_;
  size_t size_ = 0;
  Waiter* holder_ = nullptr;
  Instant at_ = Instant::min();  // of the next permit, as far as is known
};

}  // namespace sluice
