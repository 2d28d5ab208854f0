// Timers of a shard: a hierarchical wheel (Varghese and Lauck, 1987).
//
// Arming, moving and cancelling are O(1). A timer never fires early, and at most one tick (1 ms)
// plus the length of a turn late. Deadlines beyond about 12 days are re-queued inside, so any
// Instant is allowed. One shard's; not thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "engine/base/time.h"
#include "engine/ring/signal.h"

namespace sluice {

class TimerWheel;

// A place in the wheel. Lives in a slot or an object that outlives its being armed; the destructor
// disarms. When it fires, fired() is true until the next arm, and the signal is notified.
class Timer {
 public:
  explicit Timer(Signal& signal) : signal_(&signal) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { disarm(); }

  // Replaces an earlier deadline. kForever disarms.
  void arm(TimerWheel& wheel, Instant deadline);
  void disarm();
  bool armed() const { return wheel_ != nullptr; }
  bool fired() const { return fired_; }
  Instant deadline() const { return deadline_; }

 private:
  friend class TimerWheel;
  Signal* signal_;
  TimerWheel* wheel_ = nullptr;
  Timer* previous_ = nullptr;
  Timer* next_ = nullptr;
  uint16_t slot_ = 0;
  bool fired_ = false;
  Instant deadline_{};
};

class TimerWheel {
 public:
  explicit TimerWheel(Instant start);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  // REQUIRES: no timer is armed.
  ~TimerWheel();

  // Fires everything that is due at `now`. Time going back is ignored.
  void advance(Instant now);
  // A moment at which advance() should be called next: never after the earliest deadline's tick,
  // sometimes before it (when a slot of a higher level has to be dealt out); kForever when empty.
  Instant next_wake() const;
  uint32_t armed_count() const { return armed_; }

 private:
  friend class Timer;
  static constexpr int kLevels = 5;
  static constexpr int kBits = 6;
  static constexpr uint32_t kSlots = 1U << kBits;

  void insert(Timer& timer);
  void remove(Timer& timer);
  uint64_t tick_of(Instant t, bool round_up) const;
  void fire_slot(uint32_t level, uint32_t slot);

  const Instant start_;
  uint64_t now_tick_ = 0;  // everything up to and including this tick has fired
  uint32_t armed_ = 0;
  std::array<uint64_t, kLevels> occupied_{};
  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
};

}  // namespace sluice
