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

// The word of a limit that was replaced; no arrival comes near it.
constexpr int64_t kRetired = INT64_MAX;
constexpr Duration kSoon = std::chrono::milliseconds(1);

Instant soon(Instant now) { return now < kForever - kSoon ? now + kSoon : kForever; }

Wide floor_divide(Wide a, Wide b) {
  const Wide quotient = a / b;
  return a % b < 0 ? quotient - 1 : quotient;
}

int64_t clamp_units(Wide units) {
  return static_cast<int64_t>(std::clamp<Wide>(units, -kUnitsMax, kUnitsMax));
}

}  // namespace

Gcra::Gcra(const Rate& rate)
    : arrival_(-kUnitsMax), latest_(-kUnitsMax), burst_(rate.burst), shift_(0) {
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

void Gcra::taken_at(int64_t moment) {
  int64_t latest = latest_.load(std::memory_order_relaxed);
  while (latest < moment &&
         !latest_.compare_exchange_weak(latest, moment, std::memory_order_relaxed)) {
  }
}

Permit Gcra::take(Instant now, uint64_t count) {
  CHECK(count > 0 && count <= burst_);
  const int64_t down = units_down(now);
  Permit permit;
  permit.count = count;
  permit.given_back = given_back_.load(std::memory_order_acquire);
  int64_t arrival = arrival_.load(std::memory_order_relaxed);
  while (true) {
    if (arrival == kRetired) {
      permit.at = soon(now);
      return permit;
    }
    const int64_t need = needed(arrival, count);
    if (down < need) {
      permit.at = instant_of(need);
      return permit;
    }
    const int64_t start = begins(arrival, down, now);
    permit.after = start + static_cast<int64_t>(count << shift_);
    taken_at(std::min(start, down));
    if (arrival_.compare_exchange_weak(arrival, permit.after, std::memory_order_release,
                                       std::memory_order_relaxed)) {
      permit.granted = true;
      permit.at = now;
      return permit;
    }
  }
}

Instant Gcra::peek(Instant now, uint64_t count) const {
  CHECK(count > 0 && count <= burst_);
  const int64_t arrival = arrival_.load(std::memory_order_relaxed);
  if (arrival == kRetired) return soon(now);
  const int64_t need = needed(arrival, count);
  return units_down(now) >= need ? now : instant_of(need);
}

int64_t Gcra::taken_after(const Permit& permit, int64_t arrival, uint64_t given_back) const {
  const uint64_t returned = given_back - permit.given_back;
  // So much came and went since that nothing is known of what was taken.
  if (returned > burst_) return kUnitsMax;
  const int64_t moved = arrival - permit.after + static_cast<int64_t>(returned << shift_);
  return (moved >> shift_) << shift_;
}

bool Gcra::give_back(const Permit& permit) {
  CHECK(permit.granted);
  if (defect(Defect::kLeakPermit)) return false;
  const auto units = static_cast<int64_t>(permit.count << shift_);
  // One at a time: then the word only rises under it, and is what it was when it is equal.
  while (giving_back_.test_and_set(std::memory_order_acquire)) {
    giving_back_.wait(true, std::memory_order_relaxed);
  }
  const uint64_t given_back = given_back_.load(std::memory_order_relaxed);
  bool whole = false;
  int64_t arrival = arrival_.load(std::memory_order_acquire);
  while (arrival != kRetired) {
    const int64_t later = taken_after(permit, arrival, given_back);
    const int64_t latest = latest_.load(std::memory_order_relaxed);
    const int64_t left = std::max(arrival - units, std::min(arrival, latest + later));
    if (!arrival_.compare_exchange_weak(arrival, left, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
      continue;
    }
    const int64_t lowered = arrival - left;
    if (later > 0) {
      const uint64_t begun = (static_cast<uint64_t>(lowered) + (uint64_t{1} << shift_) - 1);
      given_back_.store(given_back + (begun >> shift_), std::memory_order_release);
    }
    whole = lowered == units;
    break;
  }
  giving_back_.clear(std::memory_order_release);
  giving_back_.notify_one();
  return whole;
}

Instant Gcra::arrival() const { return instant_of(arrival_.load(std::memory_order_relaxed)); }

void Gcra::restored(Instant arrival, Instant as_of) {
  const int64_t drained = units_up(as_of) + static_cast<int64_t>(burst_ << shift_);
  arrival_.store(std::min(units_up(arrival), drained), std::memory_order_relaxed);
}

void Gcra::replace(Gcra& old, Instant now) {
  const int64_t arrival = old.arrival_.exchange(kRetired, std::memory_order_acq_rel);
  CHECK(arrival != kRetired);
  // Another thread's reading may be ahead of this one's.
  const int64_t latest = old.latest_.load(std::memory_order_relaxed);
  const int64_t reached = std::max(old.units_down(now), latest);
  if (arrival <= reached) return;
  const Wide permit = static_cast<Wide>(1) << old.shift_;
  const Wide used = -floor_divide(-(static_cast<Wide>(arrival - reached) << shift_), permit);
  const Wide most = static_cast<Wide>(burst_) << shift_;
  const int64_t begin = units_up(std::max(now, old.instant_of(latest)));
  arrival_.store(begin + static_cast<int64_t>(std::min(used, most)), std::memory_order_relaxed);
}

void Gcra::retire() { arrival_.store(kRetired, std::memory_order_relaxed); }

bool Gcra::retired() const { return arrival_.load(std::memory_order_relaxed) == kRetired; }

}  // namespace sluice
