#include "tools/sink/ledger.h"

#include <algorithm>

namespace sluice::sink {

void RateSeries::merge(const RateSeries& other) {
  std::vector<Moment> both;
  both.reserve(moments_.size() + other.moments_.size());
  std::merge(moments_.begin(), moments_.end(), other.moments_.begin(), other.moments_.end(),
             std::back_inserter(both),
             [](const Moment& a, const Moment& b) { return a.millisecond < b.millisecond; });
  moments_.clear();
  for (const Moment& moment : both) {
    if (!moments_.empty() && moments_.back().millisecond == moment.millisecond) {
      moments_.back().count += moment.count;
    } else {
      moments_.push_back(moment);
    }
  }
  truncated_ = truncated_ || other.truncated_;
}

uint64_t RateSeries::most_in(uint32_t length) const {
  uint64_t most = 0;
  uint64_t inside = 0;
  size_t first = 0;
  for (const Moment& moment : moments_) {
    inside += moment.count;
    while (moment.millisecond - moments_[first].millisecond >= length) {
      inside -= moments_[first++].count;
    }
    most = std::max(most, inside);
  }
  return most;
}

std::vector<uint64_t> RateSeries::by_second(size_t seconds_max) const {
  std::vector<uint64_t> seconds;
  if (moments_.empty()) return seconds;
  const uint32_t start = moments_.front().millisecond;
  for (const Moment& moment : moments_) {
    const size_t second = (moment.millisecond - start) / 1'000;
    if (second >= seconds_max) break;
    if (second >= seconds.size()) seconds.resize(second + 1);
    seconds[second] += moment.count;
  }
  return seconds;
}

}  // namespace sluice::sink
