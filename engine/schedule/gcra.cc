#include "engine/schedule/gcra.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/defect.h"

namespace sluice {
namespace {

__extension__ using Wide = __int128;

constexpr Duration kPeriodMax = std::chrono::hours(24 * 1'000);
// Keeps sums of a clock reading and a burst far from overflow.
constexpr int64_t kUnitsMax = int64_t{1} << 61;
constexpr uint64_t kBurstUnitsMax = uint64_t{1} << 60;

Wide floor_divide(Wide a, Wide b) {
  const Wide quotient = a / b;
  return a % b < 0 ? quotient - 1 : quotient;
}

int64_t clamp_units(Wide units) {
  return static_cast<int64_t>(std::clamp<Wide>(units, -kUnitsMax, kUnitsMax));
}

}  // namespace

Gcra::Gcra(const Rate& rate) : arrival_(-kUnitsMax), burst_(rate.burst), shift_(0) {
  CHECK(rate.amount > 0 && rate.burst > 0);
  CHECK(rate.period > Duration::zero());
  period_ = static_cast<uint64_t>(std::min(rate.period, kPeriodMax).count());
  scale_ = std::min(rate.amount, period_);  // one a nanosecond
  burst_ = std::min(burst_, kBurstUnitsMax);
  // Units as fine as half a nanosecond, as far as the burst leaves room in the word.
  while (scale_ <= period_ && burst_ << (shift_ + 1) <= kBurstUnitsMax) {
    scale_ *= 2;
    ++shift_;
  }
}

int64_t Gcra::units_down(Instant t) const {
  const Wide scaled = static_cast<Wide>(t.time_since_epoch().count()) * static_cast<Wide>(scale_);
  return clamp_units(floor_divide(scaled, static_cast<Wide>(period_)));
}

int64_t Gcra::units_up(Instant t) const {
  const Wide scaled = static_cast<Wide>(t.time_since_epoch().count()) * static_cast<Wide>(scale_);
  return clamp_units(-floor_divide(-scaled, static_cast<Wide>(period_)));
}

Instant Gcra::instant_of(int64_t units) const {
  const Wide scaled = static_cast<Wide>(units) * static_cast<Wide>(period_);
  const Wide nanoseconds = -floor_divide(-scaled, static_cast<Wide>(scale_));
  return Instant(Duration(
      static_cast<int64_t>(std::clamp<Wide>(nanoseconds, Instant::min().time_since_epoch().count(),
                                            kForever.time_since_epoch().count()))));
}

int64_t Gcra::needed(int64_t arrival, uint64_t count) const {
  return arrival - static_cast<int64_t>((burst_ - count) << shift_);
}

int64_t Gcra::begins(int64_t arrival, int64_t down, Instant now) const {
  if (arrival > down || arrival > units_down(now - Duration(1))) return arrival;
  return down;
}

Permit Gcra::take(Instant now, uint64_t count) {
  CHECK(count > 0 && count <= burst_);
  const int64_t down = units_down(now);
  Permit permit;
  permit.before = arrival_.load(std::memory_order_relaxed);
  while (true) {
    const int64_t need = needed(permit.before, count);
    if (down < need) {
      permit.at = instant_of(need);
      return permit;
    }
    const int64_t start = begins(permit.before, down, now);
    permit.after = start + static_cast<int64_t>(count << shift_);
    if (arrival_.compare_exchange_weak(permit.before, permit.after, std::memory_order_relaxed)) {
      permit.granted = true;
      permit.at = now;
      return permit;
    }
  }
}

Instant Gcra::peek(Instant now, uint64_t count) const {
  CHECK(count > 0 && count <= burst_);
  const int64_t need = needed(arrival_.load(std::memory_order_relaxed), count);
  return units_down(now) >= need ? now : instant_of(need);
}

bool Gcra::give_back(const Permit& permit) {
  CHECK(permit.granted);
  if (defect(Defect::kLeakPermit)) return false;
  int64_t expected = permit.after;
  return arrival_.compare_exchange_strong(expected, permit.before, std::memory_order_relaxed);
}

WallTime Gcra::saved(Instant now, WallTime wall_now) const {
  const int64_t arrival = arrival_.load(std::memory_order_relaxed);
  if (arrival <= units_down(now)) return wall_now;
  return wall_now + (instant_of(arrival) - now);
}

void Gcra::restored(WallTime arrival, Instant now, WallTime wall_now) {
  const int64_t full = units_up(now);
  const int64_t drained = full + static_cast<int64_t>(burst_ << shift_);
  const Duration ahead = arrival - wall_now;
  int64_t units = full;
  if (ahead > kPeriodMax) {
    units = drained;
  } else if (ahead > Duration::zero()) {
    units = std::min(units_up(now + ahead), drained);
  }
  arrival_.store(units, std::memory_order_relaxed);
}

}  // namespace sluice
