#include "engine/schedule/retry.h"

#include <algorithm>

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr Duration kPauseMin = std::chrono::milliseconds(1);
// Keeps sums with a wall time far from overflow.
constexpr Duration kPauseMax = std::chrono::hours(24 * 1'000);

}  // namespace

Duration jittered(Duration pause, Random& random) {
  pause = std::clamp(pause, kPauseMin, kPauseMax);
  const int64_t tenth = pause.count() / 10;
  const auto offset = static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * tenth + 1)));
  return std::max(Duration(pause.count() - tenth + offset), kPauseMin);
}

Duration retry_pause(uint32_t attempts, const Configuration::Retry& config, Random& random) {
  CHECK(attempts > 0);
  const Duration most = std::clamp(config.max_retry_interval, kPauseMin, kPauseMax);
  Duration pause = std::max(config.retry_interval, kPauseMin);
  for (uint32_t i = 1; i < attempts && pause < most; ++i) pause *= 2;
  return jittered(std::min(pause, most), random);
}

RetryDecision next_attempt(uint32_t attempts, WallTime first_at, WallTime now, Duration lifetime,
                           const Configuration::Retry& config, Random& random) {
  const WallTime due = now + retry_pause(attempts, config, random);
  if (due - first_at > lifetime) return {};
  return {due};
}

}  // namespace sluice
