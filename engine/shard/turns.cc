#include "engine/shard/turns.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/shard/lane.h"
#include "engine/shard/shard.h"

namespace sluice {

Turns::Turns(Shard& shard) : shard_(shard), pause_(shard.loop()) {}

namespace {

// The next shard asks so much later for a permit that it would have after another: more than a tick
// of the timers.
constexpr Duration kAfterAnother = std::chrono::milliseconds(2);
// So many permits' worth of lanes may be dialling for their turn.
constexpr Duration kDialsAhead = std::chrono::milliseconds(250);

}  // namespace

// --- rates ---------------------------------------------------------------------------------------

namespace {

void set_rate(SharedRate& shared, const std::shared_ptr<ScopeLimits>& scope,
              const std::shared_ptr<Gcra>& gcra, const Rate& rate) {
  shared.scope = scope;
  shared.gcra = gcra;
  shared.interval =
      std::max<Duration>(rate.period / static_cast<int64_t>(rate.amount), Duration(1));
}

}  // namespace

SharedRate& Turns::rate_of_job(JobIndex job, const std::shared_ptr<ScopeLimits>& scope,
                               const std::shared_ptr<Gcra>& gcra, const Rate& rate) {
  std::unique_ptr<SharedRate>& shared = jobs_[job];
  if (!shared) {
    shared = std::make_unique<SharedRate>();
    set_rate(*shared, scope, gcra, rate);
  }
  return *shared;
}

SharedRate& Turns::rate_of_provider(const std::shared_ptr<ScopeLimits>& scope,
                                    const std::shared_ptr<Gcra>& gcra, const Rate& rate) {
  std::unique_ptr<SharedRate>& shared = providers_[scope->key()];
  if (!shared) shared = std::make_unique<SharedRate>();
  // When the rules have changed whoever waits goes on waiting, for the new one's permits.
  if (shared->gcra != gcra) set_rate(*shared, scope, gcra, rate);
  return *shared;
}

Instant Turns::turn_at(const SharedRate& rate) const {
  const Instant at = rate.gcra->peek(shard_.now());
  const ShardSet& waiting = rate.scope->waiting_for_message;
  if (!waiting.any_but(shard_.number())) return at;
  uint32_t rank = 0;
  uint32_t shard = rate.scope->turn_of.load(std::memory_order_relaxed);
  if (shard != shard_.number() && !waiting.contains(shard)) {
    shard = waiting.next_after(shard).value_or(shard_.number());
  }
  for (; shard != shard_.number() && rank < shard_.peers().shard_count; ++rank) {
    shard = waiting.next_after(shard).value_or(shard_.number());
  }
  return at + rank * std::min(kAfterAnother, rate.interval / 4);
}

// The other shards are to know whether this one waits.
void Turns::tell(SharedRate& rate) {
  if (rate.turn_is_out || rate.queue.size() > 0) {
    rate.scope->waiting_for_message.set(shard_.number());
  } else {
    rate.scope->waiting_for_message.clear(shard_.number());
  }
}

bool Turns::others_wait(const SharedRate& rate) const {
  return rate.turn_is_out || rate.queue.size() > 0 ||
         rate.scope->waiting_for_message.any_but(shard_.number());
}

void Turns::on_taken(SharedRate& rate) {
  std::atomic<uint32_t>& turn_of = rate.scope->turn_of;
  const ShardSet& waiting = rate.scope->waiting_for_message;
  const uint32_t turn = turn_of.load(std::memory_order_relaxed);
  if (turn != shard_.number()) {
    // Who came before the one whose turn it is takes none away from it.
    rate.taken = 0;
    if (waiting.contains(turn)) return;
  }
  uint32_t next = shard_.number();
  if (++rate.taken > rate.queue.size()) {
    rate.taken = 0;
    next = waiting.next_after(next).value_or(next);
  }
  turn_of.store(next, std::memory_order_relaxed);
}

void Turns::forget_job(JobIndex job) {
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return;
  found->second->scope->waiting_for_message.clear(shard_.number());
  jobs_.erase(found);
}

void Turns::set_promised(RateWait& waiter, bool promised) {
  if (waiter.promised == promised) return;
  waiter.promised = promised;
  SharedRate& rate = *waiter.rate;
  CHECK(promised || rate.promised > 0);
  rate.promised += promised ? 1 : UINT32_MAX;
}

void Turns::promise(RateWait& waiter) {
  CHECK(waiter.baton);
  // While few are dialling others may use the permit; else as many dial as there are permits.
  const auto few =
      static_cast<uint32_t>(std::clamp<int64_t>(kDialsAhead / waiter.rate->interval, 2, 1'000));
  const bool goes_on = waiter.rate->promised < few;
  pass(waiter, shard_.now() + (goes_on ? Duration::zero() : waiter.rate->interval));
  set_promised(waiter, true);
}

void Turns::wait(RateWait& waiter, bool first) {
  if (waiter.queued) return;
  CHECK(!waiter.baton);
  SharedRate& rate = *waiter.rate;
  waiter.queued = true;
  set_promised(waiter, false);
  const Instant at = turn_at(rate);
  if (first) {
    rate.queue.wait_first(waiter, at);
  } else {
    rate.queue.wait(waiter, at);
  }
  tell(rate);
  pause_.cut();
}

void Turns::leave(RateWait& waiter, Instant now) {
  set_promised(waiter, false);
  if (waiter.baton) {
    pass(waiter, now);
  } else if (std::exchange(waiter.queued, false)) {
    waiter.rate->queue.leave(waiter);
    tell(*waiter.rate);
  }
}

void Turns::pass(RateWait& waiter, Instant not_before) {
  CHECK(waiter.baton);
  SharedRate& rate = *waiter.rate;
  waiter.baton = false;
  rate.turn_is_out = false;
  rate.queue.pass(waiter, std::max(turn_at(rate), not_before));
  tell(rate);
  pause_.cut();
}

Task<> Turns::watch() {
  while (!shard_.draining()) {
    const Instant now = shard_.now();
    Instant wake = kForever;
    const auto serve = [&](SharedRate& rate) {
      if (PermitQueue::Waiter* next = rate.queue.wake(now)) {
        auto& waiter = static_cast<RateWait&>(*next);
        rate.turn_is_out = true;
        waiter.queued = false;
        waiter.baton = true;
        waiter.baton_since = now;
        waiter.lane.on_turn(waiter);
      }
      wake = std::min(wake, rate.queue.next_wake());
    };
    for (auto& [job, rate] : jobs_) serve(*rate);
    for (auto& [key, rate] : providers_) serve(*rate);
    co_await pause_.until(wake);
  }
}

// --- slots ---------------------------------------------------------------------------------------

SharedSlots& Turns::join_slots(const std::string& key, const std::shared_ptr<ScopeLimits>& scope,
                               Lane& lane) {
  std::unique_ptr<SharedSlots>& slots = slots_[key];
  if (!slots) {
    slots = std::make_unique<SharedSlots>();
    slots->key = key;
    slots->scope = scope;
  }
  slots->lanes.push_back(&lane);
  return *slots;
}

void Turns::leave_slots(SharedSlots& slots, Lane& lane) {
  stop_waiting(slots, lane);
  std::erase(slots.lanes, &lane);
  if (slots.lanes.empty()) slots_.erase(slots_.find(std::string_view(slots.key)));
}

bool Turns::take_slot(SharedSlots& slots, Lane& lane) {
  const auto place = std::find(slots.waiting.begin(), slots.waiting.end(), &lane);
  const bool is_next = slots.waiting.empty() || slots.waiting.front() == &lane;
  if (is_next && try_slot(slots)) {
    if (place != slots.waiting.end()) stop_waiting(slots, lane);
    return true;
  }
  if (place != slots.waiting.end()) return false;
  if (slots.waiting.empty()) slots.waiting_since = shard_.now();
  slots.waiting.push_back(&lane);
  slots.scope->waiting.set(shard_.number());
  // One may have been given back before this shard was known to wait.
  if (is_next && try_slot(slots)) {
    stop_waiting(slots, lane);
    return true;
  }
  ask_for_slot(slots, lane);
  return false;
}

bool Turns::try_slot(SharedSlots& slots) {
  const Instant now = shard_.now();
  // What was given may have got lost on its way.
  const bool waits_long = !slots.waiting.empty() && now - slots.waiting_since >= kSlotRetry;
  const bool others_wait = slots.scope->waiting.any_but(shard_.number());
  if (others_wait && slots.given == 0 && !waits_long) return false;
  if (slots.given > 0) --slots.given;
  if (!slots.scope->connections.take()) return false;
  slots.waiting_since = now;
  return true;
}

void Turns::stop_waiting(SharedSlots& slots, Lane& lane) {
  const auto place = std::find(slots.waiting.begin(), slots.waiting.end(), &lane);
  if (place == slots.waiting.end()) return;
  const bool was_next = place == slots.waiting.begin();
  slots.waiting.erase(place);
  if (slots.waiting.empty()) {
    slots.scope->waiting.clear(shard_.number());
    if (std::exchange(slots.given, 0) > 0) pass_slot_on(slots);
  } else if (was_next) {
    slots.waiting.front()->nudge();
  }
}

void Turns::ask_for_slot(SharedSlots& slots, const Lane& lane) {
  for (Lane* other : slots.lanes) {
    if (other != &lane) other->yield_idle();
  }
  for (uint32_t number = 0; number < shard_.peers().shard_count; ++number) {
    if (number == shard_.number()) continue;
    Shard* shard = shard_.peers().shards[number];
    (void)shard_.peers().post(number,
                              [shard, key = slots.key] { shard->turns().slot_wanted(key); });
  }
}

void Turns::give_slot(SharedSlots& slots) {
  slots.scope->connections.give_back();
  pass_slot_on(slots);
}

void Turns::pass_slot_on(SharedSlots& slots) {
  const std::optional<uint32_t> next = slots.scope->waiting.next_after(shard_.number());
  if (!next) return;
  if (*next != shard_.number()) {
    Shard* shard = shard_.peers().shards[*next];
    if (shard_.peers().post(*next, [shard, key = slots.key] { shard->turns().slot_given(key); })) {
      return;
    }
  }
  wake_waiter(slots);
}

void Turns::wake_waiter(SharedSlots& slots) {
  if (slots.waiting.empty()) return;
  ++slots.given;
  slots.waiting.front()->nudge();
}

void Turns::slot_given(std::string_view key) {
  const auto found = slots_.find(key);
  if (found == slots_.end()) return;
  if (found->second->waiting.empty()) return pass_slot_on(*found->second);
  wake_waiter(*found->second);
}

void Turns::slot_wanted(std::string_view key) {
  const auto found = slots_.find(key);
  if (found == slots_.end()) return;
  for (Lane* lane : found->second->lanes) lane->yield_idle();
}

bool Turns::is_wanted(const SharedSlots& slots, const Lane& lane) const {
  if (slots.scope->waiting.any_but(shard_.number())) return true;
  return std::any_of(slots.waiting.begin(), slots.waiting.end(),
                     [&](const Lane* waiting) { return waiting != &lane; });
}

}  // namespace sluice
