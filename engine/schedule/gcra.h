// A rate limit in one 64-bit word: the generic cell rate algorithm (ITU-T I.371, virtual
// scheduling), exact over all threads that share it.
//
// What is promised: in any time t at most burst + rate * t permits (t to the nanosecond, rounded
// up), whatever the order in which threads ask and however their clocks' readings differ within a
// turn; and whoever asks again at the moment that a refusal names gets the full rate, without
// drift: 7/s is 7 in a second and 604,800 in a day.
//
// How: the word is the theoretical arrival time, counted in 1/2^k of a permit since the clock's
// zero. One permit is then 2^k units for every rate, so nothing is rounded from permit to permit;
// only the reading of the clock is, and never by more than a nanosecond (with a burst of millions
// at a few a day: by 2^-59 of the burst).
//
// Thread: any; take() and give_back() are single compare-and-swap loops, no locks.
// Ownership: a plain object of 40 bytes; lives as long as whoever asks it.
// Errors: none. A Rate with a zero in it is a CHECK: configuration refuses it earlier.
// Limits: rates above 1,000,000,000/s are taken as that; periods up to 1,000 days.
// BUGS: a permit that is given back after another thread took one is forfeited: undoing it could
//   let two out where one is allowed. Ask peek() first and the case is rare.
//   With a burst of 1 a permit that is fetched late moves all later ones: a caller that wakes every
//   millisecond gets at most 1,000/s. Rates above that need a burst of what falls into a wake-up.
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/base/time.h"
#include "engine/model/policy.h"

namespace sluice {

// The answer to take().
struct Permit {
  bool granted = false;
  // When `granted` is false: the earliest moment at which the same question is granted, if nobody
  // else takes permits until then.
  Instant at{};
  // For Gcra::give_back(): the word before and after.
  int64_t before = 0;
  int64_t after = 0;
};

class Gcra {
 public:
  // Starts full: `burst` permits may be taken at once.
  explicit Gcra(const Rate& rate);
  Gcra(const Gcra&) = delete;
  Gcra& operator=(const Gcra&) = delete;

  // Takes `count` permits, all or none. REQUIRES: 0 < count <= burst().
  Permit take(Instant now, uint64_t count = 1);
  // The earliest moment, from `now` on, at which take() of `count` would be granted.
  Instant peek(Instant now, uint64_t count = 1) const;
  // Undoes a granted take() that was not used. False when somebody took permits since; then
  // nothing is given back.
  bool give_back(const Permit& permit);

  uint64_t burst() const { return burst_; }

  // The theoretical arrival time as a point of the wall clock: what is written down, so that
  // restored() after a restart does not find a full burst again.
  WallTime saved(Instant now, WallTime wall_now) const;
  // Sets what saved() gave. A time farther ahead than an empty limit needs to fill (the wall clock
  // was set back) counts as empty; one in the past as full. Not while other threads take.
  void restored(WallTime arrival, Instant now, WallTime wall_now);

 private:
  // Units since the clock's zero, rounded down or up.
  int64_t units_down(Instant t) const;
  int64_t units_up(Instant t) const;
  // The first moment at which units_down() gives at least `units`.
  Instant instant_of(int64_t units) const;
  // What units_down(now) must have reached for `count` permits.
  int64_t needed(int64_t arrival, uint64_t count) const;

  // Where the next permit is counted from: where the last one ended, or anew at `now` when the
  // limit has been idle; less than a nanosecond is not idleness but the grain of the clock.
  int64_t begins(int64_t arrival, int64_t down, Instant now) const;

  std::atomic<int64_t> arrival_;
  uint64_t burst_;
  // A permit is 2^shift_ units; units pass at scale_ / period_ a nanosecond.
  uint64_t scale_;
  uint64_t period_;
  uint8_t shift_;
};

}  // namespace sluice
