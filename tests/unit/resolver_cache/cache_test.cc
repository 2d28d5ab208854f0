#include "resolver_cache/cache.h"

#include <gtest/gtest.h>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace resolver_cache {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr RecordType kMx = RecordType::kMx;
constexpr Time kStart = hours(1'000);

Answer positive(uint32_t ttl, std::string host = "mx.example.com") {
  Answer answer;
  answer.kind = AnswerKind::kPositive;
  answer.ttl = ttl;
  answer.canonical = "example.com";
  answer.items = {{10, std::move(host)}};
  return answer;
}

Answer negative(AnswerKind kind, uint32_t ttl) {
  Answer answer;
  answer.kind = kind;
  answer.ttl = ttl;
  return answer;
}

class CacheTest : public ::testing::Test {
 protected:
  explicit CacheTest(CacheOptions options = small()) : cache_(options), reader_(cache_) {}
  static CacheOptions small() {
    CacheOptions options;
    options.entries_max = 64;
    return options;
  }

  // Claims and lands at once.
  Landed land(const std::string& name, const Answer& answer, Time now, RecordType type = kMx) {
    Claim claim = cache_.claim(reader_, name, type, now, [] {});
    EXPECT_EQ(claim.kind, Claim::Kind::kFly);
    return claim.flight.land(reader_, answer, now, 0);
  }
  Hit find(const std::string& name, Time now, RecordType type = kMx) {
    return cache_.find(reader_, name, type, now);
  }

  Cache cache_;
  Reader reader_;
};

TEST_F(CacheTest, AnswersLiveForTheirTtl) {
  EXPECT_EQ(find("example.com", kStart).entry, nullptr);
  land("example.com", positive(100), kStart);
  const Hit hit = find("example.com", kStart + seconds(99));
  ASSERT_NE(hit.entry, nullptr);
  EXPECT_FALSE(hit.stale);
  EXPECT_EQ(hit.entry->canonical(), "example.com");
  size_t count = 0;
  hit.entry->for_each_item([&count](const ItemView& item) {
    ++count;
    EXPECT_EQ(item.preference, 10);
    EXPECT_EQ(item.data, "mx.example.com");
  });
  EXPECT_EQ(count, 1U);
  EXPECT_EQ(find("example.com", kStart + seconds(100)).entry, nullptr);
  EXPECT_EQ(find("example.com", kStart, RecordType::kA).entry, nullptr);
}

TEST_F(CacheTest, ACanonicalNameThatDiffersIsKeptThroughAFailedRefresh) {
  land("www.com", positive(60), kStart);
  EXPECT_EQ(find("www.com", kStart).entry->canonical(), "example.com");
  land("example.com", positive(60), kStart);
  const Time expired = kStart + seconds(60);
  for (const char* name : {"www.com", "example.com"}) {
    land(name, failed_answer(name, "SERVFAIL"), expired);
    const Hit hit = find(name, expired);
    ASSERT_TRUE(hit.stale);
    EXPECT_EQ(hit.entry->name(), name);
    EXPECT_EQ(hit.entry->canonical(), "example.com");
    hit.entry->for_each_item([](const ItemView& item) { EXPECT_EQ(item.data, "mx.example.com"); });
  }
}

TEST_F(CacheTest, FindManySaysWhatFindSays) {
  std::vector<std::string> names;
  for (int i = 0; i < 45; ++i) names.push_back("d" + std::to_string(i));
  for (int i = 0; i < 45; ++i) {
    if (i % 5 == 4) continue;  // never asked
    const std::string& name = names[static_cast<size_t>(i)];
    land(name, positive(i % 3 == 0 ? 60 : 600), kStart);
    if (i % 6 == 0) land(name, failed_answer(name, ""), kStart + seconds(100));
  }
  const Time now = kStart + seconds(102);  // fresh, stale, expired and unknown ones
  std::vector<Key> keys;
  for (const std::string& name : names) keys.push_back({name, kMx});
  keys.push_back({names[1], RecordType::kA});
  keys.push_back({names[1], kMx});  // twice in one call
  for (const size_t count :
       {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{17}, keys.size()}) {
    std::vector<Hit> hits(count);
    cache_.find_many(reader_, std::span(keys).first(count), hits, now);
    for (size_t i = 0; i < count; ++i) {
      const Hit single = cache_.find(reader_, keys[i].name, keys[i].type, now);
      EXPECT_EQ(hits[i].entry, single.entry) << i;
      EXPECT_EQ(hits[i].stale, single.stale) << i;
    }
  }
  EXPECT_TRUE(find(names[0], now).stale);
  EXPECT_EQ(find(names[3], now).entry, nullptr);
  EXPECT_NE(find(names[1], now).entry, nullptr);
}

TEST_F(CacheTest, TtlsAreClamped) {
  land("short.com", positive(0), kStart);
  EXPECT_NE(find("short.com", kStart + seconds(29)).entry, nullptr);
  EXPECT_EQ(find("short.com", kStart + seconds(30)).entry, nullptr);
  land("long.com", positive(UINT32_MAX), kStart);
  EXPECT_EQ(find("long.com", kStart + hours(24)).entry, nullptr);
  land("none.com", negative(AnswerKind::kNoData, 86'400), kStart);
  EXPECT_NE(find("none.com", kStart + minutes(59)).entry, nullptr);
  EXPECT_EQ(find("none.com", kStart + hours(1)).entry, nullptr);
}

TEST_F(CacheTest, FailuresBackOffDoublingToFiveMinutes) {
  Time now = kStart;
  const int expected[] = {5, 10, 20, 40, 80, 160, 300, 300};
  for (const int pause : expected) {
    land("example.com", failed_answer("example.com", "timed out"), now);
    const Hit hit = find("example.com", now + seconds(pause) - Time(1));
    ASSERT_NE(hit.entry, nullptr);
    EXPECT_EQ(hit.entry->detail(), "timed out");
    now += seconds(pause);
    EXPECT_EQ(find("example.com", now).entry, nullptr);
  }
  land("example.com", positive(60), now);
  EXPECT_EQ(find("example.com", now).entry->failures(), 0U);
}

TEST_F(CacheTest, JitterOnlyShortensAPauseByAQuarter) {
  Claim claim = cache_.claim(reader_, "a.com", kMx, kStart, [] {});
  const Landed landed = claim.flight.land(reader_, failed_answer("a.com", ""), kStart, UINT64_MAX);
  const Time pause = landed.entry->times().expires - kStart;
  EXPECT_GE(pause, std::chrono::milliseconds(3'750));
  EXPECT_LT(pause, seconds(4));
}

TEST_F(CacheTest, ServesStaleWhileRefreshingFails) {
  land("example.com", positive(60), kStart);
  const Time expired = kStart + seconds(60);
  const Landed landed = land("example.com", failed_answer("example.com", "SERVFAIL"), expired);
  EXPECT_TRUE(landed.stale);
  EXPECT_EQ(landed.entry->kind(), AnswerKind::kPositive);
  const Hit hit = find("example.com", expired + seconds(4));
  ASSERT_NE(hit.entry, nullptr);
  EXPECT_TRUE(hit.stale);
  EXPECT_EQ(find("example.com", expired + seconds(5)).entry, nullptr);  // asked again
  // A day after expiry it is no longer served.
  const Time late = expired + hours(24);
  EXPECT_EQ(land("example.com", failed_answer("example.com", ""), late).entry->kind(),
            AnswerKind::kFailed);
}

TEST_F(CacheTest, NegativeAndTlsaAreNeverServedStale) {
  land("a.com", negative(AnswerKind::kNoData, 60), kStart);
  EXPECT_FALSE(land("a.com", failed_answer("a.com", ""), kStart + seconds(60)).stale);
  EXPECT_EQ(find("a.com", kStart + seconds(61)).entry->kind(), AnswerKind::kFailed);
  land("t.com", positive(60), kStart, RecordType::kTlsa);
  const Landed landed =
      land("t.com", failed_answer("t.com", ""), kStart + seconds(60), RecordType::kTlsa);
  EXPECT_EQ(landed.entry->kind(), AnswerKind::kFailed);
}

TEST_F(CacheTest, NameErrorIsConfirmedByASecondAnswerFifteenMinutesLater) {
  const Answer gone = negative(AnswerKind::kNameError, 3'600);
  const Landed first = land("gone.com", gone, kStart);
  EXPECT_FALSE(first.entry->is_confirmed_name_error(minutes(15)));
  // Until then it is asked again after 15 minutes, whatever its TTL.
  EXPECT_NE(find("gone.com", kStart + minutes(14)).entry, nullptr);
  EXPECT_EQ(find("gone.com", kStart + minutes(15)).entry, nullptr);
  // A failure between does not forget.
  land("gone.com", failed_answer("gone.com", ""), kStart + minutes(15));
  const Landed second = land("gone.com", gone, kStart + minutes(16));
  EXPECT_TRUE(second.entry->is_confirmed_name_error(minutes(15)));
  EXPECT_NE(find("gone.com", kStart + minutes(70)).entry, nullptr);
  // Another answer between does.
  land("gone.com", positive(30), kStart + minutes(80));
  const Landed third = land("gone.com", gone, kStart + minutes(90));
  EXPECT_FALSE(third.entry->is_confirmed_name_error(minutes(15)));
}

TEST_F(CacheTest, OneFlightAndWaitersAreTold) {
  int told = 0;
  Claim first = cache_.claim(reader_, "a.com", kMx, kStart, [&told] { told += 100; });
  ASSERT_EQ(first.kind, Claim::Kind::kFly);
  const Claim second = cache_.claim(reader_, "a.com", kMx, kStart, [&told] { told += 1; });
  EXPECT_EQ(second.kind, Claim::Kind::kWait);
  const Claim third = cache_.claim(reader_, "a.com", kMx, kStart, [&told] { told += 10; });
  EXPECT_EQ(third.kind, Claim::Kind::kWait);
  cache_.forget("a.com", kMx, third.ticket);
  EXPECT_FALSE(cache_.claim_refresh("a.com", kMx));
  EXPECT_EQ(cache_.stats().flights, 1U);
  EXPECT_EQ(told, 0);
  first.flight.land(reader_, positive(60), kStart, 0);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(cache_.stats().flights, 0U);
  EXPECT_EQ(cache_.claim(reader_, "a.com", kMx, kStart, [] {}).kind, Claim::Kind::kHit);
}

TEST_F(CacheTest, AnAbandonedFlightIsFreeAgain) {
  int told = 0;
  {
    const Claim first = cache_.claim(reader_, "a.com", kMx, kStart, [] {});
    static_cast<void>(cache_.claim(reader_, "a.com", kMx, kStart, [&told] { ++told; }));
  }
  EXPECT_EQ(told, 1);
  EXPECT_EQ(cache_.claim(reader_, "a.com", kMx, kStart, [] {}).kind, Claim::Kind::kFly);
}

TEST_F(CacheTest, RefreshIsDueInTheLastTenthAndAFailedOneKeepsTheAnswer) {
  land("a.com", positive(100), kStart);
  EXPECT_FALSE(find("a.com", kStart + seconds(89)).entry->is_refresh_due(kStart + seconds(89)));
  const Time due = kStart + seconds(91);
  EXPECT_TRUE(find("a.com", due).entry->is_refresh_due(due));
  Flight flight = cache_.claim_refresh("a.com", kMx);
  const Landed landed = flight.land(reader_, failed_answer("a.com", ""), due, 0);
  EXPECT_FALSE(landed.stale);
  EXPECT_FALSE(find("a.com", due).entry->is_refresh_due(due));
}

TEST_F(CacheTest, IsBoundedAndPrefersPositiveAnswers) {
  for (int i = 0; i < 32; ++i) land("p" + std::to_string(i), positive(3'600), kStart);
  for (int i = 0; i < 500; ++i) {
    land("n" + std::to_string(i), negative(AnswerKind::kNameError, 3'600), kStart);
    reader_.quiescent();
    EXPECT_LE(cache_.stats().entries, 64U);
  }
  int kept = 0;
  for (int i = 0; i < 32; ++i) kept += find("p" + std::to_string(i), kStart).entry != nullptr;
  EXPECT_GE(kept, 24);
  EXPECT_GT(cache_.stats().evicted, 400U);
}

TEST_F(CacheTest, TooLargeAnEntryIsNotKeptButAnswered) {
  const Landed landed = land("big.com", positive(60, std::string(kEntryBytesMax, 'x')), kStart);
  ASSERT_NE(landed.entry, nullptr);
  EXPECT_NE(landed.own, nullptr);
  EXPECT_EQ(find("big.com", kStart).entry, nullptr);
  EXPECT_EQ(cache_.stats().dropped, 1U);
}

TEST(CacheLimbo, FullLimboDropsTheInsertUntilTheReaderIsQuiescent) {
  CacheOptions options;
  options.entries_max = 64;
  options.limbo_max = 2;
  Cache cache(options);
  Reader reader(cache);
  Time now = kStart;
  for (int i = 0; i < 5; ++i) {
    Claim claim = cache.claim(reader, "a.com", kMx, now, [] {});
    ASSERT_EQ(claim.kind, Claim::Kind::kFly);
    const Landed landed = claim.flight.land(reader, positive(30), now, 0);
    EXPECT_EQ(landed.own != nullptr, i >= 3) << i;  // one placed, two replaced, then no room
    now += seconds(30);
  }
  EXPECT_EQ(cache.stats().limbo, 2U);
  reader.quiescent();
  EXPECT_EQ(cache.stats().limbo, 0U);
  Claim claim = cache.claim(reader, "a.com", kMx, now, [] {});
  EXPECT_EQ(claim.flight.land(reader, positive(30), now, 0).own, nullptr);
}

TEST(CacheLimbo, AnEntryHoldsUntilEveryOnlineReaderIsQuiescent) {
  CacheOptions options;
  options.entries_max = 64;
  Cache cache(options);
  Reader writer(cache);
  Reader reader(cache);
  cache.claim(writer, "a.com", kMx, kStart, [] {}).flight.land(writer, positive(30), kStart, 0);
  const Entry* entry = cache.find(reader, "a.com", kMx, kStart).entry;
  cache.claim_refresh("a.com", kMx).land(writer, positive(60), kStart, 0);
  writer.quiescent();
  EXPECT_EQ(cache.stats().limbo, 1U);
  EXPECT_EQ(entry->name(), "a.com");  // a sanitizer would see a freed one
  reader.offline();
  EXPECT_EQ(cache.stats().limbo, 0U);
  reader.online();
  EXPECT_NE(cache.find(reader, "a.com", kMx, kStart).entry, nullptr);
}

TEST(CacheDeterminism, SameSeedSameContent) {
  std::string seen[2];
  for (std::string& content : seen) {
    CacheOptions options;
    options.entries_max = 16;
    options.seed = 7;
    Cache cache(options);
    Reader reader(cache);
    for (int i = 0; i < 200; ++i) {
      const std::string name = "d" + std::to_string(i);
      cache.claim(reader, name, kMx, kStart, [] {})
          .flight.land(reader, positive(static_cast<uint32_t>(60 + i * 37 % 100)), kStart, 0);
      reader.quiescent();
    }
    for (int i = 0; i < 200; ++i) {
      const std::string name = "d" + std::to_string(i);
      content.push_back(cache.find(reader, name, kMx, kStart).entry != nullptr ? '1' : '0');
    }
  }
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_NE(seen[0].find('1'), std::string::npos);
}

}  // namespace
}  // namespace resolver_cache
