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

void BackOff::failed(Instant began, Instant now, uint32_t threshold, Duration longest,
                     Random& random) {
  if (began < counted_at_) return;
  counted_at_ = now;
  if (failures_ < UINT32_MAX) ++failures_;
  threshold = std::max(threshold, 1U);
  const Duration pause = failures_ < threshold
                             ? doubled(kShortFirst, failures_ - 1, std::min(kShortMost, longest))
                             : doubled(kDelayFirst, failures_ - threshold, longest);
  not_before_ = now + jittered(pause, random);
}

void Ramp::greeted(uint32_t greeted, uint32_t connection_limit, Instant now) {
  greeted_at_ = now;
  if (!careful_) {
    if (window_ < connection_limit) window_ = std::min(window_ * 2, connection_limit);
    return;
  }
  if (greeted <= window_) return;
  window_ = greeted;
  pause_ = std::max(pause_ / 2, kPauseMin);
  probe_at_ = now + pause_;
  if (window_ >= connection_limit) careful_ = false;
}

void Ramp::failed(Instant began, uint32_t greeted, Instant now, Random& random) {
  const bool alive = greeted_at_ != Instant::min() && now - greeted_at_ < kAliveFor;
  if (greeted == 0 && !alive) {
    if (began < counted_at_) return;
    counted_at_ = now;
    careful_ = false;
    window_ = std::max(window_ / 2, 1U);
    return;
  }
  if (began < counted_at_) {
    // Of the burst that showed the limit more may be served than was known then.
    if (careful_) window_ = std::max(window_, greeted);
    return;
  }
  counted_at_ = now;
  if (!careful_) {
    careful_ = true;
    window_ = std::max(greeted, 1U);
    pause_ = kPauseMin;
  } else if (greeted >= window_) {
    pause_ = std::min(pause_ * 2, kPauseMax);  // the one that was tried
  } else {
    // One of those that were served before: sessions may end and begin, so a step at a time.
    window_ = std::max({greeted, window_ - 1, 1U});
  }
  probe_at_ = now + jittered(pause_, random);
}

}  // namespace sluice
