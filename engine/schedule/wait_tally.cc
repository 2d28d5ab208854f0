#include "engine/schedule/wait_tally.h"

#include <algorithm>

namespace sluice {
namespace {

// After so many halvings nothing is left of 32 bits.
constexpr int64_t kHalvingsMax = 32;

}  // namespace

void WaitTally::set(Bottleneck why, Instant now) {
  count_until(now);
  why_ = why;
}

void WaitTally::count_until(Instant now) {
  while (now >= halve_at_) {
    if (now - halve_at_ >= kHalving * kHalvingsMax) {
      spent_.fill(0);
      since_ = now - kHalving;
      halve_at_ = now;
    }
    if (halve_at_ > since_) {
      spent_[static_cast<size_t>(why_)] +=
          static_cast<uint32_t>((halve_at_ - since_).count() / kUnit);
      since_ = halve_at_;
    }
    for (uint32_t& spent : spent_) spent /= 2;
    halve_at_ += kHalving;
  }
  if (now <= since_) return;
  spent_[static_cast<size_t>(why_)] += static_cast<uint32_t>((now - since_).count() / kUnit);
  since_ = now;
}

Bottleneck WaitTally::dominant(Instant now) const {
  WaitTally upto = *this;
  upto.count_until(now);
  const auto most = std::max_element(upto.spent_.begin() + 1, upto.spent_.end());
  return *most == 0 ? Bottleneck::kNone : static_cast<Bottleneck>(most - upto.spent_.begin());
}

double WaitTally::share(Bottleneck why, Instant now) const {
  WaitTally upto = *this;
  upto.count_until(now);
  uint64_t sum = 0;
  for (size_t i = 1; i < kBottlenecks; ++i) sum += upto.spent_[i];
  if (sum == 0 || why == Bottleneck::kNone) return 0;
  return static_cast<double>(upto.spent_[static_cast<size_t>(why)]) / static_cast<double>(sum);
}

Bottleneck bottleneck_of(const LaneFacts& facts) {
  if (facts.rows_waiting + facts.rows_deferred == 0) return Bottleneck::kNone;
  if (facts.halted) return Bottleneck::kDisk;
  if (facts.paused) return Bottleneck::kPaused;
  if (facts.refused) return Bottleneck::kRefused;
  if (facts.backing_off) return Bottleneck::kBackOff;
  if (facts.rows_waiting == 0) return Bottleneck::kRetry;
  if (facts.message_denied != Bottleneck::kNone) return facts.message_denied;
  // Somebody is free to take a row: it only has to be there.
  if (facts.idle > 0) {
    return facts.rows_loaded == 0 ? Bottleneck::kDisk : Bottleneck::kReplies;
  }
  if (facts.connection_limit > 0 && facts.connections >= facts.connection_limit) {
    return Bottleneck::kConnectionLimit;
  }
  if (facts.connection_denied != Bottleneck::kNone) return facts.connection_denied;
  if (facts.connections == 0 && facts.reading) return Bottleneck::kDisk;
  return Bottleneck::kReplies;
}

}  // namespace sluice
