// Judges a rate by what came: at most burst + rate * t in any time t.
//
// Exact, in whole numbers, one step an event: a bucket into which each event pours a permit and out
// of which the rate runs. It overflows if and only if some time t saw more.
// THREAD. One. LIMITS. burst * period below 2^62 ns, as the engine's limits have it.
#pragma once

#include <cstdint>

#include "engine/base/time.h"
#include "engine/model/policy.h"

namespace sluice::sim {

class Bucket {
 public:
  // `more`: so many beside the burst.
  explicit Bucket(const Rate& rate, uint64_t more = 0)
      : amount_(static_cast<int64_t>(rate.amount)),
        period_(rate.period.count()),
        capacity_(static_cast<int64_t>(rate.burst + more) * period_) {}

  // One more event. False when there are too many. REQUIRES: not before the one before.
  bool add(Instant now) {
    // The rate counts a nanosecond that has begun.
    const int64_t passed = (now - last_).count();
    level_ = passed > level_ / amount_ ? 0 : level_ - passed * amount_;
    level_ += period_;
    last_ = now;
    return level_ <= capacity_ + amount_;
  }

 private:
  const int64_t amount_;
  const int64_t period_;
  const int64_t capacity_;
  int64_t level_ = 0;  // permits in 1/period
  Instant last_{};
};

}  // namespace sluice::sim
