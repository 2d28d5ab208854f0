// Writers replace and evict without a pause while readers hold what they found until the end of
// their turn. What is freed is overwritten first, so a pointer that outlived its entry shows; and
// what is read is measured against two bounds of age: its TTL by the clock that the reader gave,
// and no answer older than the latest that had landed before the reading began.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "resolver_cache/cache.h"

namespace resolver_cache {
namespace {

constexpr uint64_t kNames = 256;
constexpr size_t kHeld = 32;  // entries that a reader holds in one turn
constexpr int kWriters = 2;
constexpr int kReaders = 2;
constexpr uint64_t kWrites = 40'000;  // of each writer
constexpr Time kStart = std::chrono::hours(1);
constexpr Time kTtl = std::chrono::seconds(30);  // the shortest that the cache grants
constexpr Time kTick = std::chrono::milliseconds(50);

std::string name_of(uint64_t i) { return "name-" + std::to_string(i) + ".example.com"; }

Answer version(uint64_t number) {
  Answer answer;
  answer.kind = AnswerKind::kPositive;
  answer.ttl = 30;
  for (uint16_t i = 0; i < 4; ++i) answer.items.push_back({i, std::to_string(number)});
  return answer;
}

struct Shared {
  explicit Shared(const CacheOptions& options) : cache(options) {}
  Cache cache;
  std::atomic<int64_t> clock{kStart.count()};
  std::array<std::atomic<uint64_t>, kNames>
      landed{};  // the latest version known to be in the cache
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> kept{0};
};

struct Seen {
  uint64_t reads = 0;
  uint64_t changed = 0;   // under a reader that still held it
  uint64_t outdated = 0;  // older than what had landed before
  uint64_t expired = 0;   // beyond its TTL
  Time oldest{};
};

// The version that all items agree on; 0 when the entry is not what was asked for.
uint64_t version_of(const Entry& entry, const std::string& name) {
  if (entry.name() != name || entry.item_count() != 4) return 0;
  std::string_view first;
  bool whole = true;
  entry.for_each_item([&](const ItemView& item) {
    if (item.preference == 0) first = item.data;
    whole = whole && item.data == first;
  });
  uint64_t number = 0;
  for (const char digit : first) {
    if (digit < '0' || digit > '9') return 0;
    number = number * 10 + static_cast<uint64_t>(digit - '0');
  }
  return whole ? number : 0;
}

struct Held {
  const Entry* entry;
  uint64_t name;
  uint64_t version;
};

void read_and_hold(Shared& shared, const std::vector<std::string>& names, uint64_t seed,
                   Seen& seen) {
  Reader reader(shared.cache);
  std::vector<Held> held;
  uint64_t at = seed * 101;
  while (!shared.stop.load(std::memory_order_relaxed)) {
    for (size_t n = 0; n < kHeld; ++n) {
      const uint64_t i = at++ % kNames;
      const uint64_t known = shared.landed[i].load(std::memory_order_acquire);
      const Time now(shared.clock.load(std::memory_order_acquire));
      const Hit hit = shared.cache.find(reader, names[i], RecordType::kMx, now);
      if (hit.entry == nullptr) continue;
      const uint64_t number = version_of(*hit.entry, names[i]);
      const Time age = now - hit.entry->times().landed;
      seen.changed += number == 0;
      seen.outdated += number < known;
      seen.expired += age >= kTtl;
      seen.oldest = std::max(seen.oldest, age);
      ++seen.reads;
      held.push_back({hit.entry, i, number});
    }
    std::this_thread::yield();
    for (const Held& h : held) seen.changed += version_of(*h.entry, names[h.name]) != h.version;
    held.clear();
    if (at % 7 == 0) {
      reader.offline();
      reader.online();
    } else {
      reader.quiescent();
    }
  }
}

// Each writer has the names of its own remainder, so the versions of a name ascend.
void write_all(Shared& shared, const std::vector<std::string>& names, uint64_t writer) {
  Reader reader(shared.cache);
  for (uint64_t number = 1; number <= kWrites; ++number) {
    const uint64_t i = (number * kWriters + writer) % kNames;
    const Time now(shared.clock.fetch_add(kTick.count(), std::memory_order_acq_rel));
    Flight flight = shared.cache.claim_refresh(names[i], RecordType::kMx);
    ASSERT_TRUE(flight);
    const Landed landed = flight.land(reader, version(number), now, number);
    if (landed.own == nullptr) {
      shared.landed[i].store(number, std::memory_order_release);
      shared.kept.fetch_add(1, std::memory_order_relaxed);
    }
    reader.quiescent();
    if (number % 16 == 0) std::this_thread::yield();
  }
}

TEST(CacheReclaim, WhatAReaderHoldsIsNeverFreedAndNeverTooOld) {
  CacheOptions options;
  options.entries_max = kNames * 3 / 4;  // so that some are evicted all the time
  options.limbo_max = 64;
  Shared shared(options);
  std::vector<std::string> names;
  for (uint64_t i = 0; i < kNames; ++i) names.push_back(name_of(i));
  Entry::poison_freed(true);
  std::vector<Seen> seen(kReaders);
  std::vector<std::thread> readers;
  for (uint64_t r = 0; r < kReaders; ++r) {
    readers.emplace_back([&, r] { read_and_hold(shared, names, r, seen[r]); });
  }
  std::vector<std::thread> writers;
  for (uint64_t w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] { write_all(shared, names, w); });
  }
  for (std::thread& writer : writers) writer.join();
  shared.stop = true;
  for (std::thread& reader : readers) reader.join();
  Entry::poison_freed(false);

  Time oldest{};
  for (const Seen& s : seen) {
    EXPECT_GT(s.reads, 0U);
    EXPECT_EQ(s.changed, 0U);
    EXPECT_EQ(s.outdated, 0U);
    EXPECT_EQ(s.expired, 0U);
    oldest = std::max(oldest, s.oldest);
  }
  EXPECT_LT(oldest, kTtl);
  const CacheStats stats = shared.cache.stats();
  EXPECT_LE(stats.entries, options.entries_max + kWriters);
  EXPECT_LE(stats.limbo, options.limbo_max);
  EXPECT_GT(stats.evicted, 0U);
  EXPECT_EQ(stats.inserted, shared.kept.load());
  EXPECT_GT(stats.inserted, stats.entries + stats.limbo);  // so something was freed, and poisoned
  RecordProperty("oldest_ms", std::to_string(oldest / std::chrono::milliseconds(1)));
}

}  // namespace
}  // namespace resolver_cache
