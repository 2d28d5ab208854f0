#include "engine/schedule/shared_limits.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr size_t kLookedAt = 2;
// Keeps sums with a clock's reading from overflow; more than any limit needs to fill.
constexpr Duration kAheadMax = std::chrono::hours(24 * 36'525);

size_t index_of(LimitKind kind) { return static_cast<size_t>(kind); }

// Whether anybody else holds it. A copy is counted with acquire and release: what its last other
// holder did is seen from here on.
template <typename T>
bool is_held(const std::shared_ptr<T>& pointer) {
  if (pointer.use_count() > 1) return true;
  const std::shared_ptr<T> seen = pointer;
  return false;
}

constexpr LimitKind kKinds[kLimitKinds] = {LimitKind::kMessages, LimitKind::kConnections};

}  // namespace

std::shared_ptr<Gcra> ScopeLimits::rate_of(LimitKind kind, const std::optional<Rate>& rate,
                                           Instant now, uint64_t rules) {
  const std::lock_guard lock(common_.mutex);
  common_.now = std::max(common_.now, now);
  Paced& paced = rates_[index_of(kind)];
  if (rules < paced.rules) return paced.gcra;
  paced.rules = rules;
  if (rate == paced.rate) return paced.gcra;
  std::shared_ptr<Gcra> next;
  if (rate) {
    next = std::make_shared<Gcra>(*rate);
    if (paced.gcra) {
      next->replace(*paced.gcra, now);
    } else if (paced.arrival != kUnknown) {
      next->restored(paced.arrival, now);
    } else if (common_.drained != kUnknown) {
      next->restored(kForever, common_.drained);
    }
  } else {
    paced.arrival = paced.gcra->arrival();
    paced.gcra->retire();
  }
  paced.rate = rate;
  paced.gcra = std::move(next);
  return paced.gcra;
}

Instant ScopeLimits::arrival_of(LimitKind kind) const {
  const Paced& paced = rates_[index_of(kind)];
  return paced.gcra ? paced.gcra->arrival() : paced.arrival;
}

bool ScopeLimits::is_forgettable(Instant now) const {
  for (const LimitKind kind : kKinds) {
    if (is_held(rates_[index_of(kind)].gcra) || arrival_of(kind) > now) return false;
  }
  return connections.taken() == 0;
}

void SharedLimits::begin(LimitsStart start, const SavedLimits& saved, Instant now,
                         WallTime wall_now) {
  const std::lock_guard lock(common_.mutex);
  CHECK(scopes_.empty() && saved_.empty());
  common_.now = now;
  if (start == LimitsStart::kFresh) return;
  if (start == LimitsStart::kCrashed) {
    common_.drained = now;
    return;
  }
  if (saved.drained) {
    const Duration since = wall_now - *saved.drained;
    common_.drained = now - std::clamp(since, Duration::zero(), kAheadMax);
  }
  for (const SavedLimit& limit : saved.limits) {
    if (limit.arrival <= wall_now) continue;
    const Instant arrival = now + std::min(limit.arrival - wall_now, kAheadMax);
    auto [entry, fresh] = saved_.try_emplace(limit.key);
    if (fresh) entry->second.fill(ScopeLimits::kUnknown);
    entry->second[index_of(limit.kind)] = arrival;
    saved_until_ = std::max(saved_until_, arrival);
  }
}

std::shared_ptr<ScopeLimits> SharedLimits::scope(std::string_view key) {
  const std::lock_guard lock(common_.mutex);
  const auto known = index_.find(key);
  if (known != index_.end()) return scopes_[known->second];
  forget_some();
  // The constructor is for this class alone.
  std::shared_ptr<ScopeLimits> made(new ScopeLimits(std::string(key), common_));
  if (const auto saved = saved_.find(key); saved != saved_.end()) {
    for (const LimitKind kind : kKinds) {
      made->rates_[index_of(kind)].arrival = saved->second[index_of(kind)];
    }
    saved_.erase(saved);
  }
  index_.emplace(made->key_, static_cast<uint32_t>(scopes_.size()));
  scopes_.push_back(made);
  return made;
}

void SharedLimits::forget_some() {
  if (common_.now > saved_until_) saved_.clear();
  for (size_t i = 0; i < kLookedAt && !scopes_.empty(); ++i) {
    hand_ %= scopes_.size();
    if (is_held(scopes_[hand_]) || !scopes_[hand_]->is_forgettable(common_.now)) {
      ++hand_;
      continue;
    }
    index_.erase(scopes_[hand_]->key_);
    scopes_[hand_] = std::move(scopes_.back());
    scopes_.pop_back();
    if (hand_ < scopes_.size()) index_[scopes_[hand_]->key_] = static_cast<uint32_t>(hand_);
  }
}

SavedLimits SharedLimits::save(Instant now, WallTime wall_now) const {
  const std::lock_guard lock(common_.mutex);
  SavedLimits saved;
  if (common_.drained != ScopeLimits::kUnknown) saved.drained = wall_now - (now - common_.drained);
  const auto add = [&](const std::string& key, LimitKind kind, Instant arrival) {
    if (arrival <= now) return;
    saved.limits.push_back({key, kind, wall_now + std::min(arrival - now, kAheadMax)});
  };
  for (const std::shared_ptr<ScopeLimits>& scope : scopes_) {
    for (const LimitKind kind : kKinds) add(scope->key_, kind, scope->arrival_of(kind));
  }
  for (const auto& [key, arrivals] : saved_) {
    for (const LimitKind kind : kKinds) add(key, kind, arrivals[index_of(kind)]);
  }
  std::sort(saved.limits.begin(), saved.limits.end(), [](const SavedLimit& a, const SavedLimit& b) {
    return std::tie(a.key, a.kind) < std::tie(b.key, b.kind);
  });
  return saved;
}

size_t SharedLimits::size() const {
  const std::lock_guard lock(common_.mutex);
  return scopes_.size();
}

}  // namespace sluice
