#include "engine/resolve/server_health.h"

#include <algorithm>

namespace sluice {
namespace {

// Of the old latency, how many parts in all a new one is.
constexpr int kSmoothing = 8;
constexpr uint32_t kDoublingsMax = 6;

}  // namespace

void ServerHealth::answered(Instant asked, Instant now) {
  const Duration took = now - asked;
  latency_ = latency_ ? *latency_ + (took - *latency_) / kSmoothing : took;
  failures_ = 0;
  probe_at_ = now + kMeasureEvery;
}

void ServerHealth::failed(Instant asked, Instant now) {
  if (failures_ > 0 && asked < rest_began_) return;
  ++failures_;
  rest_began_ = now;
  probe_at_ = now + std::min(kRestMin * (1U << std::min(failures_ - 1, kDoublingsMax)), kRestMax);
}

bool ServerHealth::precedes(const ServerHealth& other) const {
  if (is_resting() != other.is_resting()) return !is_resting();
  if (is_resting()) return probe_at_ < other.probe_at_;
  if (latency_ && other.latency_) return *latency_ < *other.latency_;
  return latency_ && !other.latency_;
}

}  // namespace sluice
