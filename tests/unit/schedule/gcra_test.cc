#include "engine/schedule/gcra.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <thread>
#include <vector>

#include "engine/base/random.h"
#include "tests/unit/schedule/grants.h"

namespace sluice {
namespace {

int64_t ns(Instant t) { return t.time_since_epoch().count(); }
Rate rate(uint64_t amount, Duration period, uint64_t burst = 1) { return {amount, period, burst}; }

TEST(Gcra, StartsFullAndNamesTheMomentOfTheNextPermit) {
  Gcra limit(rate(10, 1s, 3));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.take(at(0)).granted);
  const Permit denied = limit.take(at(0));
  EXPECT_FALSE(denied.granted);
  EXPECT_EQ(denied.at, Instant(100ms));
  EXPECT_FALSE(limit.take(denied.at - 1ns).granted);
  EXPECT_TRUE(limit.take(denied.at).granted);
}

TEST(Gcra, TakesSeveralAllOrNone) {
  Gcra limit(rate(10, 1s, 5));
  EXPECT_TRUE(limit.take(at(0), 4).granted);
  EXPECT_FALSE(limit.take(at(0), 2).granted);
  EXPECT_TRUE(limit.take(at(0), 1).granted);
  EXPECT_EQ(limit.peek(at(0), 5), Instant(500ms));
  EXPECT_EQ(limit.peek(Instant(2s), 5), Instant(2s));
}

TEST(Gcra, GivesTheFullRateWithoutDrift) {
  struct Case {
    Rate rate;
    int64_t periods;
  };
  const Case cases[] = {{rate(1'000, 1s), 100},      {rate(7, 1s), 100'000},
                        {rate(500'000, 1h), 1},      {rate(999'983, 1s), 1},
                        {rate(3, 24h), 10'000},      {rate(7, 1s, 1'000), 100'000},
                        {rate(11, 13min, 2), 50'000}};
  for (const Case& c : cases) {
    Gcra limit(c.rate);
    const int64_t start = 1'000'000'000'000'007;
    while (limit.take(at(start)).granted) {
    }
    // Now empty: in so many periods, asking whenever told to, exactly that many times the amount.
    const auto expected = static_cast<int64_t>(c.rate.amount) * c.periods;
    Instant now = limit.peek(at(start));
    for (int64_t i = 1; i < expected; ++i) {
      const Permit permit = limit.take(now);
      ASSERT_TRUE(permit.granted) << to_string(c.rate) << " permit " << i;
      now = limit.peek(now);
    }
    const int64_t spent = ns(now) - start;
    EXPECT_GE(spent, c.rate.period.count() * c.periods) << to_string(c.rate);
    EXPECT_LE(spent, c.rate.period.count() * c.periods + 2) << to_string(c.rate);
  }
}

TEST(Gcra, NeverExceedsWithRandomArrivals) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const Duration periods[] = {1s, 1min, 1h, 24h, 7ms, Duration(1 + random.below(1'000'000'000))};
    const Rate r = rate(1 + random.below(random.below(2) == 0 ? 10 : 2'000'000),
                        periods[random.below(std::size(periods))],
                        1 + random.below(random.below(2) == 0 ? 1 : 1'000));
    Gcra limit(r);
    const auto interval = std::max<int64_t>(r.period.count() / static_cast<int64_t>(r.amount), 1);
    int64_t now = static_cast<int64_t>(random.below(1'000'000'000'000));
    std::vector<Grant> grants;
    for (int i = 0; i < 2'000; ++i) {
      switch (random.below(4)) {
        case 0:
          break;
        case 1:
          now += static_cast<int64_t>(random.below(static_cast<uint64_t>(interval)));
          break;
        case 2:
          now = std::max(now, ns(limit.peek(at(now))));
          break;
        default:
          now += static_cast<int64_t>(random.below(static_cast<uint64_t>(interval) * 20));
      }
      const uint64_t count = 1 + random.below(std::min<uint64_t>(r.burst, 5));
      const Permit permit = limit.take(at(now), count);
      if (permit.granted && random.below(5) == 0) {
        ASSERT_TRUE(limit.give_back(permit));
      } else if (permit.granted) {
        grants.push_back({now, count});
      } else {
        ASSERT_GT(permit.at, at(now));
      }
    }
    ASSERT_TRUE(never_exceeds(grants, r)) << "seed " << seed;
  }
}

TEST(Gcra, NeverExceedsWithThreadsWhoseClocksDiffer) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const Rate r = rate(1 + seed * 131'071, 1s, 1 + seed * 3);
    Gcra limit(r);
    constexpr int kThreads = 4;
    std::vector<std::vector<Grant>> grants(kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&limit, &mine = grants[static_cast<size_t>(t)], t, seed] {
        Random random(seed * 100 + static_cast<uint64_t>(t));
        int64_t now = 1'000'000'000;
        for (int i = 0; i < 5'000; ++i) {
          now += static_cast<int64_t>(random.below(10'000));
          const Permit permit = limit.take(at(now));
          if (!permit.granted) continue;
          if (random.below(8) == 0) {
            limit.give_back(permit);
          } else {
            mine.push_back({now, 1});
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<Grant> all;
    for (const auto& mine : grants) all.insert(all.end(), mine.begin(), mine.end());
    EXPECT_GT(all.size(), 100U);
    EXPECT_TRUE(never_exceeds(all, r)) << "seed " << seed;
  }
}

TEST(Gcra, BeginsDrainedOrWhereAnEarlierOneEnded) {
  Gcra saved(rate(60, 1min, 10));
  EXPECT_TRUE(saved.take(Instant(5s), 10).granted);
  EXPECT_EQ(saved.arrival(), Instant(15s));

  Gcra next(rate(60, 1min, 10));
  next.restored(Instant(784s), Instant(777s));
  EXPECT_TRUE(next.take(Instant(777s), 3).granted);
  EXPECT_FALSE(next.take(Instant(777s)).granted);
  EXPECT_EQ(next.peek(Instant(777s)), Instant(778s));

  Gcra drained(rate(60, 1min, 10));
  drained.restored(kForever, Instant(9s));
  EXPECT_FALSE(drained.take(Instant(10s) - 1ns).granted);
  EXPECT_TRUE(drained.take(Instant(10s)).granted);
  EXPECT_EQ(drained.arrival(), Instant(20s));

  Gcra full(rate(60, 1min, 10));
  full.restored(Instant(9s), Instant(9s));
  EXPECT_TRUE(full.take(Instant(9s), 10).granted);
  EXPECT_FALSE(full.take(Instant(9s)).granted);
}

TEST(Gcra, HoldsOverAKillWhenItBeginsDrained) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const Rate r = rate(1 + random.below(50), 1s, 1 + random.below(30));
    std::vector<Grant> grants;
    int64_t now = 1'000'000'000;
    for (int life = 0; life < 4; ++life) {
      Gcra limit(r);
      if (life > 0) limit.restored(kForever, at(now));
      for (int i = 0; i < 100; ++i) {
        now += static_cast<int64_t>(random.below(40'000'000));
        if (limit.take(at(now)).granted) grants.push_back({now, 1});
      }
    }
    EXPECT_GT(grants.size(), 4U);
    ASSERT_TRUE(never_exceeds(grants, r)) << "seed " << seed;
  }
}

TEST(Gcra, TakesOverWhatWasUsedAndDeniesWhenReplaced) {
  Gcra old(rate(10, 1s, 8));
  EXPECT_TRUE(old.take(Instant(1s), 6).granted);
  Gcra slower(rate(60, 1min, 8));
  slower.replace(old, Instant(1s));
  EXPECT_TRUE(old.retired());
  EXPECT_FALSE(slower.retired());
  const Permit denied = old.take(Instant(2s));
  EXPECT_FALSE(denied.granted);
  EXPECT_EQ(denied.at, Instant(2s) + 1ms);
  EXPECT_EQ(old.peek(Instant(100s)), Instant(100s) + 1ms);
  EXPECT_EQ(slower.peek(Instant(1s), 2), Instant(1s));
  EXPECT_EQ(slower.peek(Instant(1s), 3), Instant(2s));

  // No more than all of it is used, and a reading behind the old one's is no gain.
  EXPECT_TRUE(slower.take(Instant(1s) + 500ms, 2).granted);
  Gcra single(rate(1, 1s, 1));
  single.replace(slower, Instant(1s));
  EXPECT_EQ(single.peek(Instant(1s)), Instant(2s) + 500ms);

  Gcra idle(rate(10, 1s, 2));
  EXPECT_TRUE(idle.take(Instant(1s)).granted);
  Gcra fresh(rate(1, 1s, 5));
  fresh.replace(idle, Instant(2s));
  EXPECT_TRUE(fresh.take(Instant(2s), 5).granted);
}

TEST(Gcra, APermitOfAReplacedLimitIsGone) {
  Gcra old(rate(1, 1s, 2));
  const Permit permit = old.take(Instant(1s));
  old.retire();
  EXPECT_FALSE(old.give_back(permit));
  EXPECT_TRUE(old.retired());
}

TEST(Gcra, TakesExtremeRates) {
  Gcra fast(rate(UINT64_MAX, 1s, UINT64_MAX));
  EXPECT_TRUE(fast.take(at(0), 1'000'000).granted);
  Gcra slow(rate(1, 24h * 100'000, 1));
  EXPECT_TRUE(slow.take(Instant(1s)).granted);
  EXPECT_FALSE(slow.take(Instant(24h * 999)).granted);
  Gcra early(rate(1, 1s));
  EXPECT_TRUE(early.take(Instant(-100s)).granted);
  EXPECT_EQ(early.peek(Instant(-100s)), Instant(-99s));
  EXPECT_TRUE(early.take(kForever).granted);
}

}  // namespace
}  // namespace sluice
