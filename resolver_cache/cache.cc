#include "resolver_cache/cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

#include "absl/base/macros.h"
#include "resolver_cache/name_hash.h"

namespace resolver_cache {
namespace {

constexpr int kTagShift = 48;
constexpr uint64_t kPointerMask = (uint64_t{1} << kTagShift) - 1;

const Entry* entry_of(uint64_t slot) {
  return reinterpret_cast<const Entry*>(static_cast<uintptr_t>(slot & kPointerMask));
}
Entry* owned_entry_of(uint64_t slot) {
  return reinterpret_cast<Entry*>(static_cast<uintptr_t>(slot & kPointerMask));
}

uint64_t slot_of(const Entry* entry) {
  const uint64_t pointer = reinterpret_cast<uintptr_t>(entry);
  ABSL_HARDENING_ASSERT((pointer & ~kPointerMask) == 0);
  return pointer | (entry->hash() >> kTagShift) << kTagShift;
}

std::string key_of(std::string_view name, RecordType type) {
  std::string key(name);
  const auto number = static_cast<uint16_t>(type);
  key.push_back(static_cast<char>(number >> 8));
  key.push_back(static_cast<char>(number & 0xFF));
  return key;
}

bool may_be_stale(RecordType type) {
  return type == RecordType::kMx || type == RecordType::kA || type == RecordType::kAaaa;
}

Time seconds(uint32_t count) { return std::chrono::seconds(count); }

constexpr int kLivePositive = 3;

// Small is worse: evicted first.
std::pair<int, Time> worth(const Entry& entry, Time now) {
  const Entry::Times& times = entry.times();
  if (now >= std::max(times.expires, times.stale_until)) return {0, times.expires};
  if (entry.kind() == AnswerKind::kFailed) return {1, times.expires};
  if (entry.kind() != AnswerKind::kPositive) return {2, times.expires};
  return {kLivePositive, times.expires};
}

}  // namespace

Reader::Reader(Cache& cache) : cache_(cache), slot_(cache.reclaimer_.add_reader()) { online(); }

Reader::~Reader() {
  if (online_) offline();
  cache_.reclaimer_.remove_reader(slot_);
}

void Reader::quiescent() { cache_.reclaimer_.announce(*slot_); }

void Reader::offline() {
  online_ = false;
  cache_.reclaimer_.go_offline(*slot_);
}

void Reader::online() {
  cache_.reclaimer_.go_online(*slot_);
  online_ = true;
}

Flight::Flight(Flight&& other) noexcept
    : cache_(std::exchange(other.cache_, nullptr)),
      name_(std::move(other.name_)),
      type_(other.type_) {}

Flight& Flight::operator=(Flight&& other) noexcept {
  if (this != &other) {
    if (cache_ != nullptr) cache_->abandon(name_, type_);
    cache_ = std::exchange(other.cache_, nullptr);
    name_ = std::move(other.name_);
    type_ = other.type_;
  }
  return *this;
}

Flight::~Flight() {
  if (cache_ != nullptr) cache_->abandon(name_, type_);
}

Landed Flight::land(const Reader& reader, const Answer& answer, Time now, uint64_t random) {
  ABSL_HARDENING_ASSERT(cache_ != nullptr && reader.is_online());
  return std::exchange(cache_, nullptr)->land(name_, type_, answer, now, random);
}

Cache::Cache(const CacheOptions& options)
    : options_(options),
      bytes_max_(options.bytes_max != 0 ? options.bytes_max : uint64_t{512} * options.entries_max),
      stripes_(std::make_unique<Stripe[]>(kStripes)),
      reclaimer_(options.limbo_max) {
  // Twice as many slots as entries keeps full buckets rare.
  const uint64_t buckets = std::bit_ceil(std::max<uint64_t>(1, options.entries_max / (kSlots / 2)));
  bucket_mask_ = buckets - 1;
  buckets_ = make_table(buckets);
}

void Cache::FreeTable::operator()(Bucket* table) const { std::free(table); }

Cache::Table Cache::make_table(uint64_t buckets) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t bytes = buckets * sizeof(Bucket);  // a power of two
  const bool huge = bytes >= kHugePage;
  void* block = std::aligned_alloc(huge ? kHugePage : alignof(Bucket), bytes);
  if (block == nullptr) throw std::bad_alloc();
  // A lookup touches one line anywhere in it: with small pages it would miss the TLB each time too.
  if (huge) static_cast<void>(madvise(block, bytes, MADV_HUGEPAGE));
  Table table(static_cast<Bucket*>(block));
  std::uninitialized_value_construct_n(table.get(), buckets);
  return table;
}

Cache::~Cache() {
  for (uint64_t b = 0; b <= bucket_mask_; ++b) {
    for (std::atomic<uint64_t>& slot : buckets_[b].slots) {
      const uint64_t value = slot.load(std::memory_order_relaxed);
      if (value != 0) Entry::destroy(owned_entry_of(value));
    }
  }
}

uint64_t Cache::hash_of(std::string_view name, RecordType type) const {
  return hash_name(options_.seed, name, type);
}

const Entry* Cache::lookup(uint64_t hash, std::string_view name, RecordType type) const {
  const uint64_t tag = hash >> kTagShift;
  for (const std::atomic<uint64_t>& slot : bucket_of(hash).slots) {
    const uint64_t value = slot.load(std::memory_order_acquire);
    if (value == 0 || value >> kTagShift != tag) continue;
    const Entry* entry = entry_of(value);
    if (entry->hash() == hash && entry->type() == type && entry->name() == name) return entry;
  }
  return nullptr;
}

void Cache::prefetch_entry(uint64_t hash) const {
  for (const std::atomic<uint64_t>& slot : bucket_of(hash).slots) {
    const uint64_t value = slot.load(std::memory_order_relaxed);
    if (value == 0 || value >> kTagShift != hash >> kTagShift) continue;
    const char* entry = reinterpret_cast<const char*>(entry_of(value));
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 64);
    return;
  }
}

Hit Cache::judge(const Entry* entry, Time now) {
  if (entry == nullptr) return {};
  if (entry->is_fresh(now)) return {entry, false};
  if (entry->is_servable_stale(now)) return {entry, true};
  return {};
}

Hit Cache::find(const Reader& reader, std::string_view name, RecordType type, Time now) const {
  ABSL_HARDENING_ASSERT(reader.is_online());
  const Entry* entry = lookup(hash_of(name, type), name, type);
  return judge(entry, now);
}

void Cache::find_many(const Reader& reader, std::span<const Key> keys, std::span<Hit> hits,
                      Time now) const {
  ABSL_HARDENING_ASSERT(reader.is_online() && hits.size() >= keys.size());
  constexpr size_t kGroup = 16;  // about as many lines as a core can have under way
  std::array<uint64_t, kGroup> hashes;
  for (size_t begin = 0; begin < keys.size(); begin += kGroup) {
    const std::span<const Key> group = keys.subspan(begin, std::min(kGroup, keys.size() - begin));
    for (size_t i = 0; i < group.size(); ++i) {
      hashes[i] = hash_of(group[i].name, group[i].type);
      __builtin_prefetch(&bucket_of(hashes[i]));
    }
    for (size_t i = 0; i < group.size(); ++i) prefetch_entry(hashes[i]);
    for (size_t i = 0; i < group.size(); ++i) {
      hits[begin + i] = judge(lookup(hashes[i], group[i].name, group[i].type), now);
    }
  }
}

Claim Cache::claim(const Reader& reader, std::string_view name, RecordType type, Time now,
                   Notify notify) {
  Claim claim;
  claim.hit = find(reader, name, type, now);
  claim.kind = Claim::Kind::kHit;
  if (claim.hit.entry != nullptr) return claim;

  std::string key = key_of(name, type);
  Stripe& stripe = stripe_of(hash_of(name, type));
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  claim.hit = find(reader, name, type, now);  // it may have landed meanwhile
  if (claim.hit.entry != nullptr) return claim;
  const auto [flight, inserted] = stripe.flights.try_emplace(std::move(key));
  if (inserted) {
    claim.kind = Claim::Kind::kFly;
    claim.flight = Flight(this, std::string(name), type);
    return claim;
  }
  claim.kind = Claim::Kind::kWait;
  claim.ticket = ++stripe.last_ticket;
  flight->second.push_back({claim.ticket, std::move(notify)});
  return claim;
}

Flight Cache::claim_refresh(std::string_view name, RecordType type) {
  Stripe& stripe = stripe_of(hash_of(name, type));
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  if (!stripe.flights.try_emplace(key_of(name, type)).second) return {};
  return Flight(this, std::string(name), type);
}

void Cache::forget(std::string_view name, RecordType type, uint64_t ticket) {
  Stripe& stripe = stripe_of(hash_of(name, type));
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const auto flight = stripe.flights.find(key_of(name, type));
  if (flight == stripe.flights.end()) return;
  std::vector<Waiter>& waiters = flight->second;
  const auto is_it = [ticket](const Waiter& waiter) { return waiter.ticket == ticket; };
  waiters.erase(std::remove_if(waiters.begin(), waiters.end(), is_it), waiters.end());
}

void Cache::tell_waiters(Stripe& stripe, const std::string& key) {
  const auto flight = stripe.flights.find(key);
  ABSL_HARDENING_ASSERT(flight != stripe.flights.end());
  for (Waiter& waiter : flight->second) waiter.notify();
  stripe.flights.erase(flight);
}

void Cache::abandon(std::string_view name, RecordType type) {
  Stripe& stripe = stripe_of(hash_of(name, type));
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  tell_waiters(stripe, key_of(name, type));
}

Landed Cache::land(std::string_view name, RecordType type, const Answer& answer, Time now,
                   uint64_t random) {
  const uint64_t hash = hash_of(name, type);
  const bool room = make_room(sizeof(Entry) + name.size(), now);
  Stripe& stripe = stripe_of(hash);
  const std::lock_guard<std::mutex> lock(stripe.mutex);
  const Entry* old = lookup(hash, name, type);
  Landed landed;
  landed.own = build(hash, name, type, answer, old, now, random);
  landed.entry = landed.own.get();
  landed.stale = !landed.entry->is_fresh(now);
  const bool kept =
      (room || old != nullptr) && landed.entry->bytes() <= kEntryBytesMax && place(landed.own, now);
  (kept ? inserted_ : dropped_).fetch_add(1, std::memory_order_relaxed);
  tell_waiters(stripe, key_of(name, type));
  return landed;
}

Time Cache::failure_pause(uint32_t failures, uint64_t random) const {
  Time pause = options_.failure_ttl_min;
  for (uint32_t i = 1; i < failures && pause < options_.failure_ttl_max; ++i) pause *= 2;
  pause = std::min(pause, options_.failure_ttl_max);
  return pause - pause / 4 * static_cast<int64_t>(random % 1'024) / 1'024;
}

Entry::Ptr Cache::build(uint64_t hash, std::string_view name, RecordType type, const Answer& answer,
                        const Entry* old, Time now, uint64_t random) const {
  Entry::Times times;
  times.landed = now;
  if (answer.kind == AnswerKind::kFailed) {
    const uint32_t failures = old == nullptr ? 1 : old->failures() + 1;
    const Time retry_at = now + failure_pause(failures, random);
    if (old != nullptr && old->kind() == AnswerKind::kPositive &&
        now < std::max(old->times().expires, old->times().stale_until)) {
      times = old->times();
      times.retry_at = retry_at;
      return Entry::copy(*old, times, failures);
    }
    times.expires = times.retry_at = retry_at;
    if (old != nullptr) times.first_name_error = old->times().first_name_error;
    return Entry::make(hash, name, type, answer, times, failures);
  }
  if (answer.kind == AnswerKind::kPositive) {
    times.expires =
        now + std::clamp(seconds(answer.ttl), options_.positive_ttl_min, options_.positive_ttl_max);
    if (may_be_stale(type)) times.stale_until = times.expires + options_.serve_stale;
    return Entry::make(hash, name, type, answer, times, 0);
  }
  Time ttl = std::clamp(seconds(answer.ttl), options_.negative_ttl_min, options_.negative_ttl_max);
  if (answer.kind == AnswerKind::kNameError) {
    const bool again = old != nullptr && old->times().first_name_error != Time{};
    times.first_name_error = again ? old->times().first_name_error : now;
    const Time apart = now - times.first_name_error;
    if (apart < options_.name_error_apart) {
      ttl = std::min(ttl, std::max(options_.negative_ttl_min, options_.name_error_apart - apart));
    }
  }
  times.expires = now + ttl;
  return Entry::make(hash, name, type, answer, times, 0);
}

bool Cache::make_room(size_t bytes, Time now) {
  constexpr int kStepsMax = 256;
  constexpr int kStepsSparing = 8;  // then a live positive answer has to go
  for (int step = 0; step < kStepsMax; ++step) {
    if (entries_.load(std::memory_order_relaxed) < options_.entries_max &&
        entry_bytes_.load(std::memory_order_relaxed) + bytes <= bytes_max_) {
      return true;
    }
    const uint64_t index = hand_.fetch_add(1, std::memory_order_relaxed) & bucket_mask_;
    const std::lock_guard<std::mutex> lock(stripes_[index % kStripes].mutex);
    evict_worst(buckets_[index], now, step < kStepsSparing);
  }
  return false;
}

bool Cache::place(Entry::Ptr& entry, Time now) {
  Bucket& bucket = bucket_of(entry->hash());
  std::atomic<uint64_t>* free = nullptr;
  std::atomic<uint64_t>* same = nullptr;
  for (std::atomic<uint64_t>& slot : bucket.slots) {
    const uint64_t value = slot.load(std::memory_order_relaxed);
    if (value == 0) {
      if (free == nullptr) free = &slot;
      continue;
    }
    const Entry* there = entry_of(value);
    if (there->hash() == entry->hash() && there->type() == entry->type() &&
        there->name() == entry->name()) {
      same = &slot;
    }
  }
  const uint64_t value = slot_of(entry.get());
  const size_t bytes = entry->bytes();
  if (same != nullptr) {
    if (!reclaimer_.reserve()) return false;
    entry.release();
    unlink(*same, value);
  } else {
    if (free == nullptr) {
      if (!evict_worst(bucket, now, false)) return false;
      const auto is_free = [](const auto& slot) { return slot.load() == 0; };
      free = std::find_if(bucket.slots.begin(), bucket.slots.end(), is_free);
    }
    entry.release();
    free->store(value, std::memory_order_release);
  }
  entries_.fetch_add(1, std::memory_order_relaxed);
  entry_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

bool Cache::evict_worst(Bucket& bucket, Time now, bool spare_positive) {
  std::atomic<uint64_t>* worst = nullptr;
  std::pair<int, Time> least{};
  for (std::atomic<uint64_t>& slot : bucket.slots) {
    const uint64_t value = slot.load(std::memory_order_relaxed);
    if (value == 0) continue;
    const std::pair<int, Time> here = worth(*entry_of(value), now);
    if (worst == nullptr || here < least) {
      worst = &slot;
      least = here;
    }
  }
  if (worst == nullptr || (spare_positive && least.first == kLivePositive)) return false;
  if (!reclaimer_.reserve()) return false;
  unlink(*worst, 0);
  evicted_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Cache::unlink(std::atomic<uint64_t>& slot, uint64_t replacement) {
  Entry* entry = owned_entry_of(slot.exchange(replacement, std::memory_order_acq_rel));
  entries_.fetch_sub(1, std::memory_order_relaxed);
  entry_bytes_.fetch_sub(entry->bytes(), std::memory_order_relaxed);
  reclaimer_.retire(entry);
}

CacheStats Cache::stats() const {
  CacheStats stats;
  stats.entries = entries_.load(std::memory_order_relaxed);
  stats.entry_bytes = entry_bytes_.load(std::memory_order_relaxed);
  stats.table_bytes = (bucket_mask_ + 1) * sizeof(Bucket);
  stats.limbo = reclaimer_.limbo_count();
  stats.inserted = inserted_.load(std::memory_order_relaxed);
  stats.evicted = evicted_.load(std::memory_order_relaxed);
  stats.dropped = dropped_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < kStripes; ++i) {
    const std::lock_guard<std::mutex> lock(stripes_[i].mutex);
    stats.flights += stripes_[i].flights.size();
  }
  return stats;
}

}  // namespace resolver_cache
