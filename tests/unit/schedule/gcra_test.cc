#include "engine/schedule/gcra.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <thread>
#include <vector>

#include "engine/base/random.h"

namespace sluice {
namespace {

__extension__ using Wide = __int128;

Instant at(int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }
int64_t ns(Instant t) { return t.time_since_epoch().count(); }
Rate rate(uint64_t amount, Duration period, uint64_t burst = 1) { return {amount, period, burst}; }

struct Grant {
  int64_t at = 0;
  uint64_t count = 0;
};

// In every window between two grants: permits <= burst + rate * (t + 1 ns), in whole numbers. With
// S(i) the permits before grant i, this is S(j + 1) - S(i) <= burst + rate * (t_j - t_i); the least
// of S(i) - rate * t_i so far decides.
::testing::AssertionResult never_exceeds(std::vector<Grant> grants, const Rate& r) {
  std::sort(grants.begin(), grants.end(),
            [](const Grant& a, const Grant& b) { return a.at < b.at; });
  const Wide period = r.period.count();
  const Wide amount = static_cast<Wide>(r.amount);
  Wide before = 0;
  Wide least = 0;
  bool first = true;
  for (const Grant& grant : grants) {
    const Wide level = before * period - amount * grant.at;
    least = first ? level : std::min(least, level);
    first = false;
    before += static_cast<Wide>(grant.count);
    if (before * period - amount * (grant.at + 1) - least > static_cast<Wide>(r.burst) * period) {
      return ::testing::AssertionFailure() << to_string(r) << " exceeded at " << grant.at;
    }
  }
  return ::testing::AssertionSuccess();
}

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
          if (random.below(8) != 0 || !limit.give_back(permit)) mine.push_back({now, 1});
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

TEST(Gcra, GivesBackOnlyWhatNobodyBuiltUpon) {
  Gcra limit(rate(1, 1s, 2));
  const Permit first = limit.take(at(0));
  EXPECT_TRUE(limit.give_back(first));
  EXPECT_TRUE(limit.take(at(0), 2).granted);
  EXPECT_FALSE(limit.take(at(0)).granted);

  Gcra other(rate(1, 1s, 2));
  const Permit mine = other.take(at(0));
  EXPECT_TRUE(other.take(at(0)).granted);
  EXPECT_FALSE(other.give_back(mine));
  EXPECT_EQ(other.peek(at(0)), Instant(1s));
}

TEST(Gcra, SurvivesARestartWithoutRefilling) {
  const WallTime wall = from_unix_seconds(1'800'000'000);
  Gcra before(rate(60, 1min, 10));
  EXPECT_TRUE(before.take(Instant(5s), 10).granted);
  const WallTime saved = before.saved(Instant(5s), wall);
  EXPECT_EQ(saved, wall + 10s);

  // Three seconds later, with another zero of the monotonic clock.
  Gcra after(rate(60, 1min, 10));
  after.restored(saved, Instant(777s), wall + 3s);
  EXPECT_TRUE(after.take(Instant(777s), 3).granted);
  EXPECT_FALSE(after.take(Instant(777s)).granted);
  EXPECT_EQ(after.peek(Instant(777s)), Instant(778s));

  Gcra full(rate(60, 1min, 10));
  EXPECT_EQ(full.saved(Instant(9s), wall), wall);
  full.restored(wall - 1h, Instant(9s), wall);
  EXPECT_TRUE(full.take(Instant(9s), 10).granted);
  EXPECT_FALSE(full.take(Instant(9s)).granted);

  // The wall clock was set back a year: empty, not locked for a year.
  Gcra set_back(rate(60, 1min, 10));
  set_back.restored(wall, Instant(9s), wall - 24h * 365);
  EXPECT_EQ(set_back.peek(Instant(9s)), Instant(10s));
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
