// Points in time and spans of it, as types that cannot be mixed up.
//
// Nobody outside engine/ring reads a clock: neither clock below has a now(). Time is handed in
// (Io::now(), Io::wall_now()), so that the simulation can pretend it.
#pragma once

#include <chrono>
#include <cstdint>

namespace sluice {

using Duration = std::chrono::nanoseconds;

// The monotonic clock: deadlines, rates, timers. Its zero is arbitrary; never written to disk.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock, Duration>;
  static constexpr bool is_steady = true;
};
using Instant = MonotonicClock::time_point;

// The wall clock: nanoseconds since 1970-01-01T00:00:00Z. May be set back; only for what people
// and other machines read (Date, events) and for due times that survive a restart.
struct WallClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<WallClock, Duration>;
  static constexpr bool is_steady = false;
};
using WallTime = WallClock::time_point;

using std::chrono_literals::operator""ns;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

inline constexpr Instant kForever = Instant::max();

inline constexpr double to_seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// Whole seconds since 1970, rounded down.
inline constexpr int64_t unix_seconds(WallTime t) {
  return std::chrono::floor<std::chrono::seconds>(t.time_since_epoch()).count();
}
inline constexpr WallTime from_unix_seconds(int64_t seconds) {
  return WallTime(std::chrono::seconds(seconds));
}

}  // namespace sluice
