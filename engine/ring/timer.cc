#include "engine/ring/timer.h"

#include <bit>

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(1);

}  // namespace

void Timer::arm(TimerWheel& wheel, Instant deadline) {
  disarm();
  fired_ = false;
  deadline_ = deadline;
  if (deadline == kForever) return;
  wheel_ = &wheel;
  wheel.insert(*this);
  ++wheel.armed_;
}

void Timer::disarm() {
  if (wheel_ == nullptr) return;
  wheel_->remove(*this);
  --wheel_->armed_;
  wheel_ = nullptr;
}

TimerWheel::TimerWheel(Instant start) : start_(start) {}

TimerWheel::~TimerWheel() { CHECK(armed_ == 0); }

uint64_t TimerWheel::tick_of(Instant t, bool round_up) const {
  if (t <= start_) return 0;
  const Duration since = t - start_;
  const auto ticks = static_cast<uint64_t>(since / kTick);
  return round_up && since % kTick != Duration::zero() ? ticks + 1 : ticks;
}

// A timer lies on the lowest level whose slots, counted from the current tick, reach its tick; a
// slot of level k spans 64^k ticks. What lies beyond the top level waits in its farthest slot and
// is dealt out again from there.
void TimerWheel::insert(Timer& timer) {
  uint64_t tick = tick_of(timer.deadline_, true);
  if (tick <= now_tick_) tick = now_tick_ + 1;
  constexpr uint64_t kReach = 1ULL << (kBits * kLevels);
  if (tick - now_tick_ >= kReach - (1ULL << (kBits * (kLevels - 1)))) {
    tick = now_tick_ + kReach - (1ULL << (kBits * (kLevels - 1))) - 1;
  }
  // The level is that of the highest digit in which the tick differs from now.
  const uint64_t difference = tick ^ now_tick_;
  uint32_t level = static_cast<uint32_t>(63 - std::countl_zero(difference)) / kBits;
  if (level >= kLevels) level = kLevels - 1;
  const auto slot = static_cast<uint32_t>(tick >> (kBits * level)) & (kSlots - 1);
  timer.slot_ = static_cast<uint16_t>(level * kSlots + slot);
  Timer*& head = slots_[level][slot];
  timer.previous_ = nullptr;
  timer.next_ = head;
  if (head != nullptr) head->previous_ = &timer;
  head = &timer;
  occupied_[level] |= 1ULL << slot;
}

void TimerWheel::remove(Timer& timer) {
  const uint32_t level = timer.slot_ / kSlots;
  const uint32_t slot = timer.slot_ % kSlots;
  if (timer.previous_ != nullptr) {
    timer.previous_->next_ = timer.next_;
  } else {
    slots_[level][slot] = timer.next_;
    if (timer.next_ == nullptr) occupied_[level] &= ~(1ULL << slot);
  }
  if (timer.next_ != nullptr) timer.next_->previous_ = timer.previous_;
}

// Takes a slot apart: what is due fires, the rest is dealt out to lower levels.
void TimerWheel::fire_slot(uint32_t level, uint32_t slot) {
  while (Timer* timer = slots_[level][slot]) {
    remove(*timer);
    if (tick_of(timer->deadline_, true) <= now_tick_) {
      timer->wheel_ = nullptr;
      --armed_;
      timer->fired_ = true;
      timer->signal_->notify();
    } else {
      insert(*timer);
    }
  }
}

void TimerWheel::advance(Instant now) {
  const uint64_t target = tick_of(now, false);
  while (now_tick_ < target) {
    if (armed_ == 0) {
      now_tick_ = target;
      return;
    }
    // Jump to the next tick at which a slot of some level comes up.
    const Instant wake = next_wake();
    const uint64_t next = tick_of(wake, false);
    if (next > target) {
      now_tick_ = target;
      return;
    }
    now_tick_ = next;
    for (uint32_t level = kLevels; level-- > 0;) {
      const uint64_t span_mask = (1ULL << (kBits * level)) - 1;
      if ((now_tick_ & span_mask) != 0) continue;
      const auto slot = static_cast<uint32_t>(now_tick_ >> (kBits * level)) & (kSlots - 1);
      if ((occupied_[level] >> slot & 1) != 0) fire_slot(level, slot);
    }
  }
}

Instant TimerWheel::next_wake() const {
  if (armed_ == 0) return kForever;
  uint64_t best = UINT64_MAX;
  for (uint32_t level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const uint64_t digit_now = now_tick_ >> (kBits * level);
    const auto position = static_cast<int>(digit_now & (kSlots - 1));
    // Slots behind the current digit come up first, then, a lap later, those before it.
    const uint64_t turned = std::rotr(occupied_[level], (position + 1) % 64);
    const auto distance = static_cast<uint64_t>(std::countr_zero(turned)) + 1;
    const uint64_t tick = (digit_now + distance) << (kBits * level);
    if (tick < best) best = tick;
  }
  return start_ + kTick * static_cast<int64_t>(best);
}

}  // namespace sluice
