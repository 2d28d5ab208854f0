// Readers look while writers replace: no reader may ever see an entry that is not whole, or older
// than what it has seen before, or freed (a sanitizer would tell; so would the pattern).
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "resolver_cache/cache.h"

namespace resolver_cache {
namespace {

constexpr int kNames = 64;
constexpr int kReaders = 3;
constexpr uint64_t kWrites = 30'000;
constexpr Time kStart = std::chrono::hours(1);

std::string name_of(uint64_t i) { return "name-" + std::to_string(i) + ".example.com"; }

// The version is in every item: what is not whole shows.
Answer version(uint64_t number) {
  Answer answer;
  answer.kind = AnswerKind::kPositive;
  answer.ttl = 3'600;
  for (uint16_t i = 0; i < 4; ++i) answer.items.push_back({i, std::to_string(number)});
  return answer;
}

struct Seen {
  uint64_t reads = 0;
  uint64_t broken = 0;
  uint64_t went_back = 0;
};

void read_all_the_time(Cache& cache, const std::atomic<bool>& stop, Seen& seen) {
  Reader reader(cache);
  std::vector<uint64_t> latest(kNames, 0);
  for (uint64_t round = 0; !stop.load(std::memory_order_relaxed); ++round) {
    for (uint64_t i = 0; i < kNames; ++i) {
      const Hit hit = cache.find(reader, name_of(i), RecordType::kMx, kStart);
      if (hit.entry == nullptr) continue;
      std::string first;
      hit.entry->for_each_item([&](const ItemView& item) {
        if (item.preference == 0) first = item.data;
        if (item.data != first) ++seen.broken;
      });
      const uint64_t number = std::stoull(first);
      if (number < latest[i]) ++seen.went_back;
      latest[i] = number;
      ++seen.reads;
    }
    if (round % 16 == 15) {
      reader.offline();
      reader.online();
    } else {
      reader.quiescent();
    }
  }
}

TEST(CacheTorture, ReadersNeverSeeOldOrBrokenEntries) {
  CacheOptions options;
  options.entries_max = kNames * 2;
  options.limbo_max = 64;
  Cache cache(options);
  std::atomic<bool> stop{false};
  std::vector<Seen> seen(kReaders);
  std::vector<std::thread> readers;
  for (Seen& s : seen) {
    readers.emplace_back([&cache, &stop, &s] { read_all_the_time(cache, stop, s); });
  }
  {
    Reader writer(cache);
    for (uint64_t number = 1; number <= kWrites; ++number) {
      Flight flight = cache.claim_refresh(name_of(number % kNames), RecordType::kMx);
      ASSERT_TRUE(flight);
      static_cast<void>(flight.land(writer, version(number), kStart, number));
      writer.quiescent();
    }
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  for (const Seen& s : seen) {
    EXPECT_EQ(s.broken, 0U);
    EXPECT_EQ(s.went_back, 0U);
  }
  EXPECT_LE(cache.stats().limbo, options.limbo_max);
  EXPECT_EQ(cache.stats().inserted + cache.stats().dropped, kWrites);
}

TEST(CacheTorture, OneFlightPerKeyOverAllThreads) {
  constexpr int kThreads = 4;
  constexpr uint64_t kRounds = 2'000;
  CacheOptions options;
  options.entries_max = 16;  // evicts all the time
  Cache cache(options);
  std::atomic<int> flying[8] = {};
  std::atomic<uint64_t> twice{0};
  std::atomic<uint64_t> told{0};
  std::atomic<uint64_t> waits{0};
  const auto work = [&](uint64_t seed) {
    Reader reader(cache);
    for (uint64_t i = 0; i < kRounds; ++i) {
      const uint64_t key = (i * 7 + seed) % 8;
      const Time now = kStart + std::chrono::seconds(31 * i);
      Claim claim = cache.claim(reader, name_of(key), RecordType::kMx, now, [&told] { ++told; });
      if (claim.kind == Claim::Kind::kFly) {
        if (flying[key].fetch_add(1) != 0) ++twice;
        flying[key].fetch_sub(1);
        Answer answer = version(i);
        answer.ttl = 30;
        static_cast<void>(claim.flight.land(reader, answer, now, i));
      } else if (claim.kind == Claim::Kind::kWait) {
        ++waits;
      }
      reader.quiescent();
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < kThreads; ++t) threads.emplace_back(work, t);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(twice.load(), 0U);
  EXPECT_EQ(told.load(), waits.load());
  EXPECT_EQ(cache.stats().flights, 0U);
}

}  // namespace
}  // namespace resolver_cache
