// A rate limit in one 64-bit word: the generic cell rate algorithm (ITU-T I.371, virtual
// scheduling), exact over all threads that share it.
//
// What is promised: in any time t at most burst + rate * t permits (t to the nanosecond, rounded
// up), whatever the order in which threads ask and however their clocks' readings differ within a
// turn; and whoever asks again at the moment that a refusal names gets the full rate, without
// drift: 7/s is 7 in a second and 604,800 in a day. Permits that were given back count as never
// taken.
//
// How: the word is the theoretical arrival time, counted in 1/2^k of a permit since the clock's
// zero. One permit is then 2^k units for every rate, so nothing is rounded from permit to permit;
// only the reading of the clock is, and never by more than a nanosecond (with a burst of millions
// at a few a day: by 2^-59 of the burst).
//
// Giving back: of takes at t1, t2, ... of c1, c2, ... units the exact arrival is the largest of
// ti + ci + c(i+1) + ..., and the word is never less. Without the take p, the sums that begin at p
// or before lose its c and so are at most word - c; those that begin later hold at most the later
// takes' units m, begin no later than the latest take, and were never more than the word. So
// max(word - c, min(word, latest + m)) is never less than the exact arrival without p: what it lets
// out, the exact one would.
//
// `latest` is kept in a second word. What m can be at most is seen from the first: each later take
// moved it on by at least its units, so m is at most what it moved since, in whole permits; what
// was moved back since by giving earlier permits back is added, and so a third word counts that.
// Moving back the last take of all cancels what that one moved, for every earlier permit: it is not
// counted. A permit given back at the moment of the last take is therefore wholly there again when
// those that overlap it come back in order or in reverse; otherwise some may be forfeited, never
// the contrary.
//
// Restarts: arrivals of an earlier process are at most burst permits ahead of any moment at which
// it granted one. A limit that begins drained as of the start (restored(kForever, start)) lets out
// at most rate * t in a time t since, whatever the earlier process did: with its burst + rate * t
// until it died, the sum over the kill holds without anything having been written.
//
// Thread: any; take() is a compare-and-swap loop; give_back() excludes other give_back()s for a few
//   instructions, never a take().
// Ownership: a plain object of 56 bytes; lives as long as whoever asks it.
// Errors: none. A Rate with a zero in it is a CHECK: configuration refuses it earlier.
// Limits: rates above 1,000,000,000/s are taken as that; periods up to 1,000 days.
// BUGS: a permit of a limit that has been replaced cannot be given back: one a shard at most, at a
//   change of rules.
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
  // For Gcra::give_back(): how many, the word behind them, and what was given back before them.
  uint64_t count = 0;
  int64_t after = 0;
  uint64_t given_back = 0;
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
  // Undoes a granted take() that was not used; once. False when not all of it came back: the limit
  // was replaced, or what came between forfeits some.
  bool give_back(const Permit& permit);
  // The same: the moment does not matter.
  bool give_back(const Permit& permit, Instant /*now*/) { return give_back(permit); }

  uint64_t burst() const { return burst_; }

  // The theoretical arrival time: from then on it is full. What is written down for restored().
  Instant arrival() const;
  // Begins with that arrival, but never emptier than drained as of `as_of`: kForever is just that.
  // One in the past is full. Not while other threads take.
  void restored(Instant arrival, Instant as_of);

  // Begins with as many permits used as `old`, at most burst(), and retires it. Not while other
  // threads take of this one; of `old` they may.
  void replace(Gcra& old, Instant now);
  // Denies from now on, naming a moment soon after: whoever asks must fetch the limit that holds
  // instead.
  void retire();
  bool retired() const;

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
  void taken_at(int64_t moment);
  // At least the units of what was taken after the permit and not given back.
  int64_t taken_after(const Permit& permit, int64_t arrival, uint64_t given_back) const;

  std::atomic<int64_t> arrival_;
  // The latest moment at which a permit was taken; never behind the takes that `arrival_` shows.
  std::atomic<int64_t> latest_;
  // Permits given back so far when there were later takes, begun ones as whole; never ahead of
  // what `arrival_` shows.
  std::atomic<uint64_t> given_back_{0};
  uint64_t burst_;
  // A permit is 2^shift_ units; units pass at scale_ / period_ a nanosecond.
  uint64_t scale_;
  uint64_t period_;
  uint8_t shift_;
  std::atomic_flag giving_back_;
};

}  // namespace sluice
