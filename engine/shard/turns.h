// Limits that several lanes share: who of this shard's lanes waits for them, and whose turn it is.
//
// PURPOSE. A job's rate and a provider's rate hold for many lanes; slots for connections are shared
//   with the provider's other sites and with other shards that carry mail of the same site. Lanes
//   that were denied wait here in the order in which they came: a permit wakes one of them, not
//   all.
// SHARDS take turns too, each for as many permits as it has lanes that wait: the one whose turn it
//   is asks at the moment of the permit, the next a moment later should that one not want it, and
//   so on.
// HOW IT RUNS. watch() is one coroutine with one timer for all rates of the shard. Slots have no
//   time: who gives one back wakes who waits, here or on another shard.
// OWNERSHIP. The shard's; a lane leaves before it ends.
// THREAD. The shard's, but for what engine/schedule/shared_limits.h says of itself.
// LIMITS. One entry a rate and a scope with lanes here. A wake that gets lost between shards (a
// full
//   mailbox) costs at most kSlotRetry: whoever waits for a slot looks again by itself.
// BUGS. A lane that has to dial for its turn, or whose connections are all busy then, takes its
//   permit a round trip late; with a burst of 1 those behind it are moved by as much, as far as
//   no other lane was ready to use it.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/row.h"
#include "engine/ring/pause.h"
#include "engine/ring/task.h"
#include "engine/schedule/gcra.h"
#include "engine/schedule/permit_queue.h"
#include "engine/schedule/shared_limits.h"

namespace sluice {

class Lane;
class Shard;
struct SharedRate;

// A lane's place in the queue for a rate that it shares.
struct RateWait : PermitQueue::Waiter {
  RateWait(Lane& waiting, SharedRate& wanted) : lane(waiting), rate(&wanted) {}
  Lane& lane;
  SharedRate* rate;
  JobIndex job = 0;  // whose rate it is; of a provider's no meaning
  bool is_job = false;
  bool queued = false;    // waits for its turn
  bool baton = false;     // its turn is now
  bool promised = false;  // had its turn, without a connection: may try as soon as it has one
  Instant baton_since{};

  bool may_try() const { return baton || promised; }
};

struct SharedRate {
  std::shared_ptr<Gcra> gcra;
  std::shared_ptr<ScopeLimits> scope;  // with the turns of the shards
  Duration interval{};                 // between two permits
  PermitQueue queue;
  bool turn_is_out = false;  // a lane has its turn
  uint32_t taken = 0;        // permits, while it is this shard's turn among the shards
  uint32_t promised = 0;     // lanes that will ask as soon as they have a connection
};

// Slots for connections, as the lanes of one shard see them.
struct SharedSlots {
  std::string key;
  std::shared_ptr<ScopeLimits> scope;
  std::vector<Lane*> lanes;
  std::deque<Lane*> waiting;
  uint32_t given = 0;       // to this shard, of those that came back while others wait too
  Instant waiting_since{};  // that long nothing came of it
};

class Turns {
 public:
  static constexpr Duration kSlotRetry = std::chrono::seconds(1);

  explicit Turns(Shard& shard);
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  // Gives each rate's permits to who waits, until the shard drains.
  Task<> watch();
  void stop() { pause_.cut(); }

  // --- rates
  SharedRate& rate_of_job(JobIndex job, const std::shared_ptr<ScopeLimits>& scope,
                          const std::shared_ptr<Gcra>& gcra, const Rate& rate);
  SharedRate& rate_of_provider(const std::shared_ptr<ScopeLimits>& scope,
                               const std::shared_ptr<Gcra>& gcra, const Rate& rate);
  // Nobody waits for it any more.
  void forget_job(JobIndex job);
  // At the end of the queue, or, for who was promised a permit, at its head. Nothing for who waits
  // already.
  void wait(RateWait& waiter, bool first);
  // Somebody waits who goes before one that comes now.
  bool others_wait(const SharedRate& rate) const;
  // A permit was taken: by whom the other shards' turns are counted.
  void on_taken(SharedRate& rate);
  // Out of the queue; a turn that was not used goes to the next.
  void leave(RateWait& waiter, Instant now);
  // The lane has to dial before it can use its turn: it asks when it has a connection.
  void promise(RateWait& waiter);
  // The lane asks when another limit lets it: the turn goes on.
  void put_off(RateWait& waiter) {
    pass(waiter, Instant{});
    set_promised(waiter, true);
  }
  // It will not.
  void break_promise(RateWait& waiter) { set_promised(waiter, false); }
  // The turn is over; the next one's comes with the next permit, at `not_before` at the earliest.
  void pass(RateWait& waiter, Instant not_before);

  // --- slots
  SharedSlots& join_slots(const std::string& key, const std::shared_ptr<ScopeLimits>& scope,
                          Lane& lane);
  void leave_slots(SharedSlots& slots, Lane& lane);
  // Takes a slot when it is this lane's turn; else the lane waits and is nudged. While other shards
  // wait a slot that came back is for the shard that it was given to: who gave it is nearest, and
  // would have it again at once.
  bool take_slot(SharedSlots& slots, Lane& lane);
  void give_slot(SharedSlots& slots);
  // The lane does not want one any more.
  void stop_waiting(SharedSlots& slots, Lane& lane);
  // Somebody other than this lane waits for one.
  bool is_wanted(const SharedSlots& slots, const Lane& lane) const;
  // From other shards: a slot is free; somebody waits for one.
  void slot_given(std::string_view key);
  void slot_wanted(std::string_view key);

 private:
  Instant turn_at(const SharedRate& rate) const;
  void tell(SharedRate& rate);
  void set_promised(RateWait& waiter, bool promised);
  void wake_waiter(SharedSlots& slots);
  void pass_slot_on(SharedSlots& slots);
  bool try_slot(SharedSlots& slots);
  void ask_for_slot(SharedSlots& slots, const Lane& lane);

  Shard& shard_;
  Pause pause_;
  std::map<JobIndex, std::unique_ptr<SharedRate>> jobs_;
  std::map<std::string, std::unique_ptr<SharedRate>, std::less<>> providers_;
  std::map<std::string, std::unique_ptr<SharedSlots>, std::less<>> slots_;
};

}  // namespace sluice
