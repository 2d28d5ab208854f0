#include "engine/schedule/back_off.h"

#include "engine/schedule/retry.h"

namespace sluice {
namespace {

constexpr Duration kShortFirst = std::chrono::seconds(1);
constexpr Duration kShortMost = std::chrono::seconds(30);
constexpr Duration kDelayFirst = std::chrono::minutes(1);

// first * 2^times, at most `most`.
Duration doubled(Duration first, uint32_t times, Duration most) {
  Duration pause = first;
  for (uint32_t i = 0; i < times && pause < most; ++i) pause *= 2;
  return std::min(pause, most);
}

}  // namespace

bool BackOff::failed(Instant began, Instant now, uint32_t threshold, Duration longest,
                     Random& random, uint32_t others) {
  if (began < counted_at_) return false;
  if (missed_++ == 0) cohort_ = others + 1;
  if (missed_ < cohort_) return false;
  missed_ = 0;
  counted_at_ = now;
  if (failures_ < UINT32_MAX) ++failures_;
  threshold = std::max(threshold, 1U);
  const Duration pause = failures_ < threshold
                             ? doubled(kShortFirst, failures_ - 1, std::min(kShortMost, longest))
                             : doubled(kDelayFirst, failures_ - threshold, longest);
  not_before_ = now + jittered(pause, random);
  return true;
}

}  // namespace sluice
