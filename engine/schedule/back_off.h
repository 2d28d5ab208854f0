// How long to leave a site alone after its exchangers could not be reached or did not greet, and
// how many connections to begin with.
//
// Failures of a whole site say nothing about a row: they burn no row's attempt. Rows wait in the
// site's queue until not_before().
//
// Pure: (state, event, now) -> state. Thread: one shard's. Ownership: plain values, one of each a
// lane. Errors: none. Limits: the longest pause is max_retry_interval and ten per cent.
// BUGS: knows failures and successes only; feedback from the receivers' replies is not in it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/random.h"
#include "engine/base/time.h"

namespace sluice {

// Below the threshold (the policy's consecutive_connection_failures_before_delay) a failure costs a
// short pause: 1 s, 2 s, 4 s ... up to 30 s. From the threshold on the pauses are 1 min, 2 min,
// 4 min ... up to `longest` (max_retry_interval). All with ten per cent of jitter.
class BackOff {
 public:
  // Every exchanger of the site failed a connection attempt that began at `began`. Attempts that
  // ran side by side saw one outage: one that began before the last failure was counted does not
  // count again.
  void failed(Instant began, Instant now, uint32_t threshold, Duration longest, Random& random);
  // A session was greeted.
  void succeeded() {
    failures_ = 0;
    not_before_ = Instant::min();
  }

  // No connection is begun before this; Instant::min() when there is no back-off.
  Instant not_before() const { return not_before_; }
  uint32_t failures() const { return failures_; }
  // True when the threshold is reached: the site counts as down (for status and events).
  bool delayed(uint32_t threshold) const { return failures_ >= std::max(threshold, 1U); }

 private:
  uint32_t failures_ = 0;
  Instant counted_at_ = Instant::min();
  Instant not_before_ = Instant::min();
};

// How many connections a lane may have, open and being dialled.
//
// Few until the site has shown that it answers; then doubled with each message accepted, up to the
// policy's limit, and halved when the site cannot be reached. A site that refuses a connection
// while it serves others, or within a minute of having done so, has a limit of its own, which
// nobody tells: from then on the window is what it serves, and one connection beyond it is tried at
// a time, with a pause that doubles from 1 s to 5 min while it refuses. Each that is greeted widens
// the window by one; at the policy's limit all is forgotten.
class Ramp {
 public:
  static constexpr uint32_t kStart = 5;
  static constexpr Duration kPauseMin = std::chrono::seconds(1);
  static constexpr Duration kPauseMax = std::chrono::minutes(5);
  static constexpr Duration kAliveFor = std::chrono::minutes(1);

  uint32_t limit(uint32_t connection_limit, Instant now) const {
    const uint32_t tried = careful_ && now >= probe_at_ ? 1 : 0;
    return std::min(window_ + tried, connection_limit);
  }
  // A session was greeted: `greeted` are open with it.
  void greeted(uint32_t greeted, uint32_t connection_limit, Instant now);
  // A message was accepted.
  void accepted(uint32_t connection_limit) {
    if (!careful_ && window_ < connection_limit) window_ = std::min(window_ * 2, connection_limit);
  }
  // A connection attempt that began at `began` failed while `greeted` others were open. Attempts
  // that ran side by side count once, as in BackOff.
  void failed(Instant began, uint32_t greeted, Instant now, Random& random);
  // When one more may be tried; Instant::min() when nothing is held back.
  Instant probe_at() const { return careful_ ? probe_at_ : Instant::min(); }

 private:
  uint32_t window_ = kStart;
  bool careful_ = false;
  Duration pause_ = kPauseMin;
  Instant probe_at_ = Instant::min();
  Instant counted_at_ = Instant::min();
  Instant greeted_at_ = Instant::min();
};

}  // namespace sluice
