// When a deferred row is tried again, and when it is not tried any more.
//
// Pure functions; any thread.
//
// The pause before attempt n + 1 is retry_interval * 2^(n - 1), at most max_retry_interval, and
// then ten per cent more or less, so that rows that were deferred together do not come back
// together. A row whose next attempt would come after its lifetime has ended (first attempt plus
// lifetime) expires at once instead of waiting for an attempt that will not be made, as KumoMTA
// decides it; Postfix's way (one more attempt after the lifetime) would keep mail beyond what the
// job's author asked for. An attempt due exactly at the end is still made. The time counts from
// the row's first attempt, not from the job's start: a long job does not eat its own lifetime.
//
// BUGS: a row that was never attempted (its site was down all the time) has no first attempt; its
// owner passes the moment at which it first could have been attempted.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/base/random.h"
#include "engine/base/time.h"
#include "engine/model/configuration.h"

namespace sluice {

// `pause` and up to ten per cent more or less, evenly spread. At least 1 ms.
Duration jittered(Duration pause, Random& random);

// The pause after `attempts` attempts (from 1), jitter included.
Duration retry_pause(uint32_t attempts, const Configuration::Retry& config, Random& random);

struct RetryDecision {
  // Nothing: the row has expired (State::kExpired).
  std::optional<WallTime> due;
  bool expired() const { return !due; }
};

// `attempts`: how many were made, from 1. `first_at`: when the first began.
RetryDecision next_attempt(uint32_t attempts, WallTime first_at, WallTime now, Duration lifetime,
                           const Configuration::Retry& config, Random& random);

// True when a row that waits without being attempted is past its lifetime.
inline bool lifetime_over(WallTime first_at, WallTime now, Duration lifetime) {
  return now - first_at > lifetime;
}

}  // namespace sluice
