#include "engine/resolve/sts_store.h"

#include <algorithm>
#include <utility>

#include "engine/resolve/sts_policy.h"

namespace sluice {
namespace {

constexpr Duration kFetchPauseMin = std::chrono::seconds(10);

bool holds(const StsPolicyPtr& policy, WallTime now) {
  return policy != nullptr && now < policy->expires;
}

uint64_t bytes_of(std::string_view domain, const StsPolicyPtr& policy) {
  constexpr uint64_t kAnyBytes = 512;  // what an entry takes besides
  uint64_t bytes = kAnyBytes + domain.size();
  if (policy == nullptr) return bytes;
  for (const std::string& pattern : policy->mx) bytes += sizeof(std::string) + pattern.size();
  return bytes;
}

// However the clock was set in between.
Duration apart(WallTime a, WallTime b) { return a < b ? b - a : a - b; }

std::string seconds_of(Duration duration) {
  return std::to_string(std::chrono::floor<std::chrono::seconds>(duration).count()) + " s";
}

}  // namespace

StsAdvice StsStore::consult(std::string_view domain, const StsRecord& record, WallTime now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  StsAdvice advice;
  Entry* entry = find(domain);
  if (entry != nullptr) {
    end_overdue(*entry, now);
    if (holds(entry->policy, now)) advice.policy = entry->policy;
  }
  if (record.kind != StsRecord::Kind::kId) return advice;
  if (entry == nullptr) entry = &find_or_add(domain);

  const bool current = advice.policy != nullptr && advice.policy->id == record.id;
  if (!entry->fetching) {
    if (current && !is_refresh_due(*advice.policy, now)) return advice;
    if (!may_fetch(*entry, record.id, now)) return advice;
    advice.fetch = true;
    entry->fetching = true;
    entry->fetching_id = record.id;
    entry->fetching_since = now;
  }
  advice.pending = !current && holds_mail(*entry, record.id, now);
  return advice;
}

std::vector<StsFailure> StsStore::take_failures() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(failures_, {});
}

void StsStore::take(std::string_view domain, const std::string& id, WallTime begun,
                    const StsFetched& fetched) {
  StatusOr<StsPolicy> policy = invalid(fetched.detail);
  if (fetched.kind == StsFetched::Kind::kText) policy = parse_sts_policy(fetched.text);

  const std::lock_guard<std::mutex> lock(mutex_);
  Entry* entry = find(domain);
  // Another fetch was begun in the place of one that took too long.
  if (entry == nullptr || !entry->fetching || entry->fetching_since != begun) return;
  entry->fetching = false;
  if (fetched.kind == StsFetched::Kind::kNotAsked) return;
  if (!policy.ok()) {
    const bool invalid_text = fetched.kind == StsFetched::Kind::kText;
    fail(*entry, id, begun, invalid_text ? StsFault::kInvalid : fetched.fault,
         message_of(policy.status()));
    return;
  }
  policy->id = id;
  policy->fetched = begun;
  policy->expires = begun + policy->max_age;
  entry->tried_id = id;
  entry->failures = 0;
  // One that holds for a moment alone is asked for again after that, but not at every route.
  entry->next_fetch = begun + std::clamp(policy->max_age, kFetchPauseMin, limits_.retry_min);
  entry->last_reason.clear();
  entry->held_for.clear();
  set_policy(*entry, std::make_shared<const StsPolicy>(*std::move(policy)));
  make_room();
}

std::string StsStore::describe(std::string_view domain, WallTime now) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto at = by_domain_.find(domain);
  if (at == by_domain_.end()) return "";
  const Entry& entry = *at->second;
  std::string text = "no policy";
  if (holds(entry.policy, now)) {
    text = std::string("mode ") + name_of(entry.policy->mode) + ", id " + entry.policy->id +
           ", fetched " + seconds_of(now - entry.policy->fetched) + " ago, holds for " +
           seconds_of(entry.policy->expires - now);
  }
  if (entry.fetching) text += "; being fetched";
  if (entry.failures > 0) {
    text += "; the fetch of id " + entry.tried_id + " failed: " + entry.last_reason;
  }
  return text;
}

std::vector<SavedStsPolicy> StsStore::saved(WallTime now) const {
  std::vector<std::pair<std::string, StsPolicyPtr>> held;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Entry& entry : entries_) {
      if (holds(entry.policy, now)) held.emplace_back(entry.domain, entry.policy);
    }
  }
  std::sort(held.begin(), held.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<SavedStsPolicy> all;
  all.reserve(held.size());
  for (auto& [domain, policy] : held) all.push_back({std::move(domain), *policy});
  return all;
}

void StsStore::restore(const std::vector<SavedStsPolicy>& policies, WallTime now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const SavedStsPolicy& saved : policies) {
    StsPolicy policy = saved.policy;
    policy.max_age = std::min(policy.max_age, kStsMaxAge);
    policy.fetched = std::min(policy.fetched, now);
    policy.expires = policy.fetched + policy.max_age;
    if (policy.expires <= now) continue;
    Entry& entry = find_or_add(saved.domain);
    if (entry.policy != nullptr) continue;
    set_policy(entry, std::make_shared<const StsPolicy>(std::move(policy)));
    make_room();
  }
}

uint64_t StsStore::version() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return version_;
}

size_t StsStore::domains() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return entries_.size();
}

StsStore::Entry* StsStore::find(std::string_view domain) {
  const auto at = by_domain_.find(domain);
  if (at == by_domain_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, at->second);
  return &*at->second;
}

StsStore::Entry& StsStore::find_or_add(std::string_view domain) {
  if (Entry* known = find(domain)) return *known;
  entries_.emplace_front();
  Entry& entry = entries_.front();
  entry.domain = domain;
  by_domain_.emplace(entry.domain, entries_.begin());
  bytes_ += bytes_of(domain, nullptr);
  make_room();
  return entry;
}

void StsStore::end_overdue(Entry& entry, WallTime now) {
  if (!entry.fetching) return;
  if (apart(now, entry.fetching_since) < limits_.pending_max) return;
  entry.fetching = false;
  fail(entry, entry.fetching_id, now, StsFault::kFetch, "it took too long");
}

bool StsStore::may_fetch(const Entry& entry, const std::string& id, WallTime now) const {
  if (id != entry.tried_id || now >= entry.next_fetch) return true;
  return entry.next_fetch - now > limits_.retry_max;  // the clock was set back
}

// Not after a failure: mail was held for that id before.
bool StsStore::holds_mail(Entry& entry, const std::string& id, WallTime now) const {
  if (entry.tried_id == id && entry.failures > 0) return false;
  if (entry.held_for != id) {
    entry.held_for = id;
    entry.held_since = now;
  }
  return apart(now, entry.held_since) < limits_.pending_max;
}

bool StsStore::is_refresh_due(const StsPolicy& policy, WallTime now) const {
  if (now < policy.fetched) return true;  // the clock was set back
  return now - policy.fetched >= std::min(policy.max_age / 2, limits_.refresh_max);
}

void StsStore::fail(Entry& entry, const std::string& id, WallTime begun, StsFault fault,
                    std::string reason) {
  if (failures_.size() < limits_.failures_max) {
    failures_.push_back({entry.domain, fault, reason});
  }
  if (entry.tried_id != id) entry.failures = 0;
  entry.tried_id = id;
  Duration pause = limits_.retry_min;
  for (uint32_t i = 0; i < entry.failures && pause < limits_.retry_max; ++i) pause *= 2;
  ++entry.failures;
  entry.next_fetch = begun + std::min(pause, limits_.retry_max);
  entry.last_reason = std::move(reason);
}

void StsStore::set_policy(Entry& entry, StsPolicyPtr policy) {
  bytes_ -= bytes_of(entry.domain, entry.policy);
  entry.policy = std::move(policy);
  bytes_ += bytes_of(entry.domain, entry.policy);
  ++version_;
}

// Never the entry that is in use: it comes first.
void StsStore::make_room() {
  auto at = entries_.end();
  while (at != entries_.begin() &&
         (entries_.size() > limits_.domains_max || bytes_ > limits_.bytes_max)) {
    --at;
    if (at == entries_.begin()) return;
    if (at->fetching) continue;
    bytes_ -= bytes_of(at->domain, at->policy);
    if (at->policy != nullptr) ++version_;
    by_domain_.erase(at->domain);
    at = entries_.erase(at);
  }
}

}  // namespace sluice
