#include "engine/schedule/permit_queue.h"

#include <algorithm>

#include "engine/base/check.h"

namespace sluice {

PermitQueue::~PermitQueue() {
  while (firsts_.head != nullptr) remove(*firsts_.head);
  while (others_.head != nullptr) remove(*others_.head);
  if (holder_ != nullptr) holder_->queue_ = nullptr;
}

void PermitQueue::insert(Line& line, Waiter& waiter, bool at_head) {
  waiter.queue_ = this;
  waiter.is_first_ = &line == &firsts_;
  waiter.previous_ = at_head ? nullptr : line.tail;
  waiter.next_ = at_head ? line.head : nullptr;
  (waiter.previous_ == nullptr ? line.head : waiter.previous_->next_) = &waiter;
  (waiter.next_ == nullptr ? line.tail : waiter.next_->previous_) = &waiter;
  ++size_;
}

void PermitQueue::remove(Waiter& waiter) {
  Line& line = line_of(waiter);
  (waiter.previous_ == nullptr ? line.head : waiter.previous_->next_) = waiter.next_;
  (waiter.next_ == nullptr ? line.tail : waiter.next_->previous_) = waiter.previous_;
  waiter.previous_ = waiter.next_ = nullptr;
  waiter.queue_ = nullptr;
  --size_;
}

// What somebody without the baton was told: of use to the first, and never earlier than what is
// known, for it may not have asked.
void PermitQueue::learn(Instant at) {
  const bool is_alone = size_ == 0 && holder_ == nullptr;
  at_ = is_alone ? at : std::max(at_, at);
}

void PermitQueue::wait(Waiter& waiter, Instant at) {
  if (waiter.queue_ != nullptr && waiter.queue_ != this) waiter.queue_->leave(waiter);
  if (holder_ == &waiter) {
    pass(waiter, at);
  } else {
    learn(at);
  }
  if (waiter.queue_ == this) return;
  waiter.was_woken_by_ = nullptr;
  insert(others_, waiter, false);
}

void PermitQueue::wait_first(Waiter& waiter, Instant at) {
  const bool had_baton = holder_ == &waiter;
  if (!had_baton && (waiter.was_woken_by_ != this || waiter.queue_ != nullptr)) {
    wait(waiter, at);
    return;
  }
  if (had_baton) {
    pass(waiter, at);
  } else {
    learn(at);
  }
  waiter.was_woken_by_ = nullptr;
  insert(firsts_, waiter, had_baton);
}

void PermitQueue::leave(Waiter& waiter) {
  if (waiter.queue_ != this) return;
  if (holder_ == &waiter) {
    pass(waiter, at_);
  } else {
    remove(waiter);
  }
}

PermitQueue::Waiter* PermitQueue::wake(Instant now) {
  if (next_wake() > now) return nullptr;
  Waiter& first = firsts_.head != nullptr ? *firsts_.head : *others_.head;
  remove(first);
  first.queue_ = this;
  first.was_woken_by_ = this;
  holder_ = &first;
  return holder_;
}

void PermitQueue::pass(Waiter& waiter, Instant next_at) {
  CHECK(holder_ == &waiter);
  holder_ = nullptr;
  waiter.queue_ = nullptr;
  at_ = next_at;
}

}  // namespace sluice
