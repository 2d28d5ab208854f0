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

// How many connections a lane may have, open and being dialled: few until the site has shown that
// it answers, so that a dead one is not asked twenty times at once.
class Ramp {
 public:
  static constexpr uint32_t kStart = 5;

  uint32_t limit(uint32_t connection_limit) const { return std::min(window_, connection_limit); }
  // A session was greeted, or a message accepted: doubles up to the limit.
  void succeeded(uint32_t connection_limit) {
    if (window_ < connection_limit) window_ = std::min(window_ * 2, connection_limit);
  }
  // The site failed: halves, at least 1.
  void failed() { window_ = std::max(window_ / 2, 1U); }

 private:
  uint32_t window_ = kStart;
};

}  // namespace sluice
