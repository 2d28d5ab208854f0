#include "resolver_cache/cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>

#include "absl/base/macros.h"

namespace resolver_cache {
namespace {

constexpr int kTagShift = 48;
constexpr uint64_t kPointerMask = (uint64_t{1} << kTagShift) - 1;

Entry* entry_of(uint64_t slot) {
  return reinterpret_cast<Entry*>(static_cast<uintptr_t>(slot & kPointerMask));
}

uint64_t slot_value(const Entry* entry, uint64_t hash) {
  const uint64_t pointer = reinterpret_cast<uintptr_t>(entry);
  ABSL_HARDENING_ASSERT((pointer & ~kPointerMask) == 0);
  return pointer | hash >> kTagShift << kTagShift;
}

// A bit for each slot whose tag is that one. Without a loop or a branch: at which slot a search
// would end is as good as random, and a processor that guessed it wrong would have waited in vain.
template <typename Slots, size_t... kNumbers>
[[gnu::always_inline]] inline uint32_t slots_tagged(const Slots& slots, uint64_t tag,
                                                    std::index_sequence<kNumbers...>) {
  const auto is_tagged = [tag](const auto& slot) {
    return static_cast<uint32_t>(slot.load(std::memory_order_relaxed) >> kTagShift == tag);
  };
  return ((is_tagged(slots[kNumbers]) << kNumbers) | ...);
}

struct Found {
  size_t slot = 0;
  Entry* entry = nullptr;
};

template <typename Slot, size_t kCount>
[[gnu::always_inline]] inline Found find_in(const std::array<Slot, kCount>& slots,
                                            const Question& question) {
  const uint64_t tag = question.hash >> kTagShift;
  uint32_t candidates = slots_tagged(slots, tag, std::make_index_sequence<kCount>());
  for (; candidates != 0; candidates &= candidates - 1) {
    const auto i = static_cast<size_t>(std::countr_zero(candidates));
    const uint64_t value = slots[i].load(std::memory_order_acquire);
    if (value == 0 || value >> kTagShift != tag) continue;
    Entry* entry = entry_of(value);
    __builtin_prefetch(reinterpret_cast<const char*>(entry) + 64);  // the items
    if (entry->answers(question)) return {i, entry};
  }
  return {};
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

uint64_t bucket_count(const CacheOptions& options) {
  // Twice as many slots as entries keeps full buckets rare.
  return std::max<uint64_t>(1, (uint64_t{options.entries_max} + 3) / 4);
}

uint64_t entry_bytes_max(const CacheOptions& options) {
  return options.bytes_max != 0 ? options.bytes_max : uint64_t{512} * options.entries_max;
}

// Beside the entries: an eighth for what lies between them, and what waits for readers.
uint64_t arena_bytes(const CacheOptions& options) {
  const uint64_t entries = std::max<uint64_t>(entry_bytes_max(options), 2 * kEntryBytesMax);
  return entries + entries / 8 + options.limbo_max * uint64_t{kEntryBytesMax};
}

}  // namespace

struct FlightRecord {
  struct Waiter {
    uint64_t ticket;
    Cache::Notify notify;
  };
  std::string name;
  RecordType type = RecordType::kA;
  uint64_t hash = 0;
  std::vector<Waiter> waiters;
};

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
    : cache_(std::exchange(other.cache_, nullptr)), record_(other.record_) {}

Flight& Flight::operator=(Flight&& other) noexcept {
  if (this != &other) {
    if (cache_ != nullptr) cache_->abandon(*record_);
    cache_ = std::exchange(other.cache_, nullptr);
    record_ = other.record_;
  }
  return *this;
}

Flight::~Flight() {
  if (cache_ != nullptr) cache_->abandon(*record_);
}

Landed Flight::land(const Reader& reader, const Answer& answer, Time now, uint64_t random) {
  ABSL_HARDENING_ASSERT(cache_ != nullptr && reader.is_online());
  return std::exchange(cache_, nullptr)->land(*record_, answer, now, random);
}

Cache::Memory::Memory(uint64_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t alignment = bytes >= kHugePage ? kHugePage : Arena::kPage;
  const size_t whole = (bytes + alignment - 1) / alignment * alignment;
  mapped_bytes = whole + alignment;
  mapped = mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  const size_t skipped = alignment - reinterpret_cast<uintptr_t>(mapped) % alignment;
  octets = {static_cast<std::byte*>(mapped) + skipped % alignment, whole};
  // A lookup touches lines anywhere in it: with small pages it would miss the TLB each time too.
  if (alignment == kHugePage) static_cast<void>(madvise(octets.data(), whole, MADV_HUGEPAGE));
}

Cache::Memory::~Memory() { munmap(mapped, mapped_bytes); }

Cache::Stripe::Stripe() = default;
Cache::Stripe::~Stripe() = default;

size_t Cache::FlightHash::operator()(const Question& question) const {
  return std::rotl(question.hash, 32);  // a stripe's hashes have their low bits in common
}
size_t Cache::FlightHash::operator()(const FlightRecord* record) const {
  return std::rotl(record->hash, 32);
}
bool Cache::FlightEqual::operator()(const FlightRecord* record, const Question& question) const {
  return record->hash == question.hash && record->type == question.type &&
         record->name == question.name;
}

// The table's memory is zeroes, and that is what buckets of empty slots are.
Cache::Cache(const CacheOptions& options)
    : options_(options),
      bytes_max_(entry_bytes_max(options)),
      bucket_count_(bucket_count(options)),
      table_memory_(bucket_count_ * sizeof(Bucket)),
      entry_memory_(arena_bytes(options)),
      buckets_(reinterpret_cast<Bucket*>(table_memory_.octets.data())),
      stripes_(std::make_unique<Stripe[]>(kStripes)),
      arena_(entry_memory_.octets),
      reclaimer_(options.limbo_max, arena_) {}

Cache::~Cache() = default;

[[gnu::always_inline]] inline Hit Cache::look_up(const Question& question, Time now) const {
  const Entry* entry = find_in(bucket_of(question.hash).slots, question).entry;
  if (entry == nullptr) return {};
  if (entry->is_fresh(now)) return {entry, false};
  if (entry->is_servable_stale(now)) return {entry, true};
  return {};
}

void Cache::prefetch_entry(uint64_t hash) const {
  for (const Slot& slot : bucket_of(hash).slots) {
    const uint64_t value = slot.load(std::memory_order_relaxed);
    if (value == 0 || value >> kTagShift != hash >> kTagShift) continue;
    const char* entry = reinterpret_cast<const char*>(entry_of(value));
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 64);
    return;
  }
}

Hit Cache::find(const Reader& reader, std::string_view name, RecordType type, Time now) const {
  ABSL_HARDENING_ASSERT(reader.is_online());
  return look_up(question_of(name, type), now);
}

void Cache::find_many(const Reader& reader, std::span<const Key> keys, std::span<Hit> hits,
                      Time now) const {
  ABSL_HARDENING_ASSERT(reader.is_online() && hits.size() >= keys.size());
  constexpr size_t kGroup = 16;  // about as many lines as a core can have under way
  std::array<Question, kGroup> questions;
  for (size_t begin = 0; begin < keys.size(); begin += kGroup) {
    const std::span<const Key> group = keys.subspan(begin, std::min(kGroup, keys.size() - begin));
    for (size_t i = 0; i < group.size(); ++i) {
      questions[i] = question_of(group[i].name, group[i].type);
      __builtin_prefetch(&bucket_of(questions[i].hash));
    }
    for (size_t i = 0; i < group.size(); ++i) prefetch_entry(questions[i].hash);
    for (size_t i = 0; i < group.size(); ++i) hits[begin + i] = look_up(questions[i], now);
  }
}

Claim Cache::claim(const Reader& reader, std::string_view name, RecordType type, Time now,
                   Notify notify) {
  ABSL_HARDENING_ASSERT(reader.is_online());
  const Question question = question_of(name, type);
  Claim claim;
  claim.hit = look_up(question, now);
  claim.kind = Claim::Kind::kHit;
  if (claim.hit.entry != nullptr) return claim;

  Stripe& stripe = stripe_of(question.hash);
  const std::lock_guard<ShortLock> lock(stripe.mutex);
  claim.hit = look_up(question, now);  // it may have landed meanwhile
  if (claim.hit.entry != nullptr) return claim;
  const auto flying = stripe.flights.find(question);
  if (flying == stripe.flights.end()) {
    claim.kind = Claim::Kind::kFly;
    claim.flight = enlist(stripe, question);
    return claim;
  }
  claim.kind = Claim::Kind::kWait;
  claim.ticket = ++stripe.last_ticket;
  (*flying)->waiters.push_back({claim.ticket, std::move(notify)});
  return claim;
}

Flight Cache::claim_refresh(std::string_view name, RecordType type) {
  const Question question = question_of(name, type);
  Stripe& stripe = stripe_of(question.hash);
  const std::lock_guard<ShortLock> lock(stripe.mutex);
  if (stripe.flights.contains(question)) return {};
  return enlist(stripe, question);
}

Flight Cache::enlist(Stripe& stripe, const Question& question) {
  std::unique_ptr<FlightRecord> record;
  if (stripe.spare.empty()) {
    record = std::make_unique<FlightRecord>();
  } else {
    record = std::move(stripe.spare.back());
    stripe.spare.pop_back();
  }
  record->name.assign(question.name);
  record->type = question.type;
  record->hash = question.hash;
  stripe.flights.insert(record.get());
  return {this, record.release()};
}

void Cache::forget(std::string_view name, RecordType type, uint64_t ticket) {
  const Question question = question_of(name, type);
  Stripe& stripe = stripe_of(question.hash);
  const std::lock_guard<ShortLock> lock(stripe.mutex);
  const auto flying = stripe.flights.find(question);
  if (flying == stripe.flights.end()) return;
  std::erase_if((*flying)->waiters, [ticket](const auto& w) { return w.ticket == ticket; });
}

// The record's end as well.
void Cache::tell_waiters(Stripe& stripe, FlightRecord& record) {
  constexpr size_t kSpareMax = 64;
  constexpr size_t kWaitersKept = 64;  // room for more is not held on to
  std::unique_ptr<FlightRecord> ended(&record);
  const size_t erased = stripe.flights.erase(ended.get());
  ABSL_HARDENING_ASSERT(erased == 1);
  for (FlightRecord::Waiter& waiter : ended->waiters) waiter.notify();
  ended->waiters.clear();
  if (stripe.spare.size() < kSpareMax && ended->waiters.capacity() <= kWaitersKept) {
    stripe.spare.push_back(std::move(ended));
  }
}

void Cache::abandon(FlightRecord& record) {
  Stripe& stripe = stripe_of(record.hash);
  const std::lock_guard<ShortLock> lock(stripe.mutex);
  tell_waiters(stripe, record);
}

// What an entry shall be.
struct Cache::Draft {
  Entry::Times times;
  uint32_t failures = 0;
  bool keeps_answer = false;  // the old one's
};

Landed Cache::land(FlightRecord& record, const Answer& answer, Time now, uint64_t random) {
  constexpr int kStepsWhenFull = 8;
  const Question question = question_of(record.name, record.type);
  const size_t new_bytes = Entry::bytes_for(question.name, answer);
  const bool room = make_room(Arena::footprint(new_bytes), now);
  Landed landed;
  bool arena_full = false;
  {
    Stripe& stripe = stripe_of(question.hash);
    const std::lock_guard<ShortLock> lock(stripe.mutex);
    auto& slots = bucket_of(question.hash).slots;
    const Found found = find_in(slots, question);
    const Entry* old = found.entry;
    const Draft draft = this->draft(old, question.type, answer, now, random);
    const size_t bytes = draft.keeps_answer ? old->bytes() : new_bytes;
    const auto write = [&](void* block) {
      if (draft.keeps_answer) return Entry::copy(block, *old, draft.times, draft.failures);
      return Entry::make(block, bytes, question.name, question.type, answer, draft.times,
                         draft.failures);
    };
    void* block = nullptr;
    Slot* slot = nullptr;
    if ((room || old != nullptr) && bytes <= kEntryBytesMax) {
      block = arena_.allocate(bytes);
      arena_full = block == nullptr;
    }
    if (block != nullptr) {
      slot = slot_for(question, old == nullptr ? nullptr : &slots[found.slot], stripe, now);
    }
    if (slot != nullptr) {
      Entry* entry = write(block);
      landed.entry = entry;
      landed.stale = !entry->is_fresh(now);
      publish(*slot, question.hash, entry);
      ++stripe.inserted;
    } else {
      if (block != nullptr) arena_.release(std::array{Arena::Block{block, bytes}});
      landed.own.reset(write(::operator new(bytes)));
      landed.entry = landed.own.get();
      landed.stale = !landed.entry->is_fresh(now);
      ++stripe.dropped;
    }
    tell_waiters(stripe, record);
  }
  for (int step = 0; arena_full && step < kStepsWhenFull; ++step) evict_next(now, false);
  return landed;
}

Time Cache::failure_pause(uint32_t failures, uint64_t random) const {
  Time pause = options_.failure_ttl_min;
  for (uint32_t i = 1; i < failures && pause < options_.failure_ttl_max; ++i) pause *= 2;
  pause = std::min(pause, options_.failure_ttl_max);
  return pause - pause / 4 * static_cast<int64_t>(random % 1'024) / 1'024;
}

Cache::Draft Cache::draft(const Entry* old, RecordType type, const Answer& answer, Time now,
                          uint64_t random) const {
  Draft draft;
  Entry::Times& times = draft.times;
  times.landed = now;
  if (answer.kind == AnswerKind::kFailed) {
    draft.failures = old == nullptr ? 1 : old->failures() + 1;
    const Time retry_at = now + failure_pause(draft.failures, random);
    if (old != nullptr && old->kind() == AnswerKind::kPositive &&
        now < std::max(old->times().expires, old->times().stale_until)) {
      times = old->times();
      times.retry_at = retry_at;
      draft.keeps_answer = true;
      return draft;
    }
    times.expires = times.retry_at = retry_at;
    if (old != nullptr) times.first_name_error = old->times().first_name_error;
    return draft;
  }
  if (answer.kind == AnswerKind::kPositive) {
    times.expires =
        now + std::clamp(seconds(answer.ttl), options_.positive_ttl_min, options_.positive_ttl_max);
    if (may_be_stale(type)) times.stale_until = times.expires + options_.serve_stale;
    return draft;
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
  return draft;
}

bool Cache::make_room(size_t bytes, Time now) {
  constexpr int kStepsMax = 256;
  constexpr int kStepsSparing = 8;  // then a live positive answer has to go
  for (int step = 0; step < kStepsMax; ++step) {
    if (entries_.load(std::memory_order_relaxed) < options_.entries_max &&
        entry_bytes_.load(std::memory_order_relaxed) + bytes <= bytes_max_) {
      return true;
    }
    evict_next(now, step < kStepsSparing);
  }
  return false;
}

void Cache::evict_next(Time now, bool spare_positive) {
  const uint64_t index = hand_.fetch_add(1, std::memory_order_relaxed) % bucket_count_;
  Stripe& stripe = stripes_[index % kStripes];
  const std::lock_guard<ShortLock> lock(stripe.mutex);
  evict_worst(buckets_[index], stripe, now, spare_positive);
}

// Where the answer to `question` may be published: in the place of `same`, if there is one, with a
// place in limbo taken for what is there now; else in an empty slot. Null when there is neither.
Cache::Slot* Cache::slot_for(const Question& question, Slot* same, Stripe& stripe, Time now) {
  if (same != nullptr) return reclaimer_.reserve() ? same : nullptr;
  Bucket& bucket = bucket_of(question.hash);
  const auto is_empty = [](const Slot& s) { return s.load(std::memory_order_relaxed) == 0; };
  Slot* empty = std::find_if(bucket.slots.begin(), bucket.slots.end(), is_empty);
  if (empty != bucket.slots.end()) return empty;
  if (!evict_worst(bucket, stripe, now, false)) return nullptr;
  return std::find_if(bucket.slots.begin(), bucket.slots.end(), is_empty);
}

bool Cache::evict_worst(Bucket& bucket, Stripe& stripe, Time now, bool spare_positive) {
  Slot* worst = nullptr;
  std::pair<int, Time> least{};
  for (Slot& slot : bucket.slots) {
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
  Entry* entry = entry_of(worst->exchange(0, std::memory_order_acq_rel));
  entries_.fetch_sub(1, std::memory_order_relaxed);
  entry_bytes_.fetch_sub(Arena::footprint(entry->bytes()), std::memory_order_relaxed);
  reclaimer_.retire(entry);
  ++stripe.evicted;
  return true;
}

void Cache::publish(Slot& slot, uint64_t hash, Entry* entry) {
  const uint64_t value = slot_value(entry, hash);
  const size_t bytes = Arena::footprint(entry->bytes());
  const uint64_t before = slot.load(std::memory_order_relaxed);
  if (before == 0) {
    entries_.fetch_add(1, std::memory_order_relaxed);
    entry_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    slot.store(value, std::memory_order_release);
    return;
  }
  Entry* replaced = entry_of(before);
  const size_t replaced_bytes = Arena::footprint(replaced->bytes());
  // Other writers' lines are left alone where nothing changes.
  if (bytes != replaced_bytes) {
    entry_bytes_.fetch_add(bytes - replaced_bytes, std::memory_order_relaxed);
  }
  slot.exchange(value, std::memory_order_acq_rel);
  reclaimer_.retire(replaced);
}

CacheStats Cache::stats() const {
  CacheStats stats;
  stats.entries = entries_.load(std::memory_order_relaxed);
  stats.entry_bytes = entry_bytes_.load(std::memory_order_relaxed);
  stats.table_bytes = bucket_count_ * sizeof(Bucket);
  stats.limbo = reclaimer_.limbo_count();
  for (size_t i = 0; i < kStripes; ++i) {
    const std::lock_guard<ShortLock> lock(stripes_[i].mutex);
    stats.inserted += stripes_[i].inserted;
    stats.evicted += stripes_[i].evicted;
    stats.dropped += stripes_[i].dropped;
    stats.flights += stripes_[i].flights.size();
  }
  return stats;
}

}  // namespace resolver_cache
