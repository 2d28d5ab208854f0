// How long to leave a site alone after its exchangers could not be reached or did not answer.
//
// Failures of a whole site say nothing about a row: they burn no row's attempt. Rows wait in the
// site's queue until not_before().
//
// Pure: (state, event, now) -> state. Thread: one shard's. Ownership: plain values, one of each a
// lane. Errors: none. Limits: the longest pause is max_retry_interval and ten per cent.
// BUGS: an attempt that hangs is waited for until others that came after it have failed instead.
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
  // Every exchanger of the site failed a connection attempt that began at `began`; `others` are
  // being tried still, or were greeted and have not answered a message. A failure counts when a
  // whole cohort has failed and none was answered in between: as many as were being tried at the
  // first of them. Attempts that ran side by side saw one outage: one that began before the last
  // failure was counted does not count again. True when it counted.
  bool failed(Instant began, Instant now, uint32_t threshold, Duration longest, Random& random,
              uint32_t others = 0);
  // A session was answered.
  void succeeded() {
    failures_ = 0;
    missed_ = 0;
    not_before_ = Instant::min();
  }

  // No connection is begun before this; Instant::min() when there is no back-off.
  Instant not_before() const { return not_before_; }
  uint32_t failures() const { return failures_; }
  // True when the threshold is reached: the site counts as down (for status and events).
  bool delayed(uint32_t threshold) const { return failures_ >= std::max(threshold, 1U); }

 private:
  uint32_t failures_ = 0;  // of whole cohorts
  uint32_t missed_ = 0;    // attempts of the present cohort that failed
  uint32_t cohort_ = 0;
  Instant counted_at_ = Instant::min();
  Instant not_before_ = Instant::min();
};

}  // namespace sluice
