// Permits that were not used: given back in any order, by any thread, they may be taken again, and
// never does one too many get out.
#include <gtest/gtest.h>

#include <atomic>
#include <iostream>
#include <iterator>
#include <thread>
#include <vector>

#include "engine/base/random.h"
#include "engine/schedule/gcra.h"
#include "tests/unit/schedule/grants.h"

namespace sluice {
namespace {

Rate rate(uint64_t amount, Duration period, uint64_t burst) { return {amount, period, burst}; }

// All takes that were not given back, and with them what an exact limit would grant.
class Reference {
 public:
  explicit Reference(const Rate& rate) : rate_(rate) {}

  bool would_grant(int64_t now, uint64_t count) const {
    std::vector<Grant> grants = held_;
    grants.push_back({now, count});
    return static_cast<bool>(never_exceeds(grants, rate_));
  }
  void take(int64_t now, uint64_t count) { held_.push_back({now, count}); }
  void give_back(size_t which) { held_.erase(held_.begin() + static_cast<ptrdiff_t>(which)); }
  size_t size() const { return held_.size(); }

 private:
  const Rate rate_;
  std::vector<Grant> held_;
};

struct Tally {
  uint64_t grants = 0;
  uint64_t given_back = 0;
  uint64_t forfeited = 0;  // denied although the exact limit would have granted
};

// Takes and gives back at random, with up to three clocks that differ by up to `lag`. Each grant
// must be one that the exact limit would give.
enum class Order { kAny, kOldestFirst, kNewestFirst };
void play(uint64_t seed, int64_t step_most, int64_t lag, Order order, Tally& tally) {
  Random random(seed);
  const uint64_t amount = 1 + random.below(7);
  const Rate r = rate(amount, Duration(amount + random.below(5'000)), 1 + random.below(6));
  Gcra limit(r);
  Reference reference(r);
  std::vector<Permit> permits;  // in the order of the reference's
  int64_t now = 1'000'000;
  for (int i = 0; i < 60; ++i) {
    if (step_most > 0 && random.below(3) == 0) {
      now += static_cast<int64_t>(random.below(static_cast<uint64_t>(step_most)));
    }
    if (!permits.empty() && random.below(5) < 2) {
      const size_t any = random.below(permits.size());
      const size_t which = order == Order::kAny           ? any
                           : order == Order::kOldestFirst ? 0
                                                          : permits.size() - 1;
      limit.give_back(permits[which]);
      permits.erase(permits.begin() + static_cast<ptrdiff_t>(which));
      reference.give_back(which);
      ++tally.given_back;
      continue;
    }
    const int64_t reading = now - (lag > 0 ? static_cast<int64_t>(random.below(3)) * lag / 2 : 0);
    const uint64_t count = 1 + random.below(r.burst);
    const bool exact = reference.would_grant(reading, count);
    const Permit permit = limit.take(at(reading), count);
    if (permit.granted) {
      ASSERT_TRUE(exact) << "seed " << seed << " ask " << i << " of " << r.amount << " per "
                         << r.period.count() << " ns, burst " << r.burst;
      reference.take(reading, count);
      permits.push_back(permit);
      ++tally.grants;
    } else if (exact) {
      ++tally.forfeited;
    }
  }
}

TEST(GcraGiveBack, NeverLetsOutMoreThanALimitThatKnowsAllTakes) {
  Tally tally;
  for (uint64_t seed = 1; seed <= 6'000 && !HasFatalFailure(); ++seed) {
    play(seed, 1 + static_cast<int64_t>(seed % 7) * 400, 0, Order::kAny, tally);
  }
  EXPECT_GT(tally.grants, 100'000U);
  EXPECT_GT(tally.given_back, 50'000U);
  EXPECT_LT(tally.forfeited * 50, tally.grants);
  std::cout << tally.grants << " granted, " << tally.given_back << " given back, "
            << tally.forfeited << " forfeited\n";
}

TEST(GcraGiveBack, NeverLetsOutMoreWhenClocksDiffer) {
  Tally tally;
  for (uint64_t seed = 1; seed <= 6'000 && !HasFatalFailure(); ++seed) {
    play(seed, 1 + static_cast<int64_t>(seed % 5) * 300, 1 + static_cast<int64_t>(seed % 11) * 200,
         Order::kAny, tally);
  }
  EXPECT_GT(tally.grants, 50'000U);
}

// Within a moment nothing is forfeited, in order or in reverse.
TEST(GcraGiveBack, IsExactWithinAMoment) {
  for (const Order order : {Order::kOldestFirst, Order::kNewestFirst}) {
    Tally tally;
    for (uint64_t seed = 1; seed <= 3'000 && !HasFatalFailure(); ++seed) {
      play(seed, 0, 0, order, tally);
    }
    EXPECT_GT(tally.grants, 30'000U);
    EXPECT_EQ(tally.forfeited, 0U);
  }
}

TEST(GcraGiveBack, WorksAlsoWhenOthersTookSince) {
  Gcra limit(rate(1, 1s, 2));
  const Permit mine = limit.take(at(0));
  EXPECT_TRUE(limit.take(at(0)).granted);
  EXPECT_FALSE(limit.take(at(0)).granted);
  EXPECT_TRUE(limit.give_back(mine));
  EXPECT_TRUE(limit.take(at(0)).granted);
  EXPECT_FALSE(limit.take(at(0)).granted);
}

// Once the time of a permit has passed there is nothing left of it to give back: whoever took after
// it waited for nobody.
TEST(GcraGiveBack, APermitThatHasGrownBackByItselfIsNotGivenTwice) {
  Gcra limit(rate(1, 1s, 1));
  const Permit mine = limit.take(Instant(1s));
  EXPECT_TRUE(limit.take(Instant(5s)).granted);
  EXPECT_FALSE(limit.give_back(mine));
  EXPECT_EQ(limit.peek(Instant(5s)), Instant(6s));
}

// The earlier of two comes back first, a third is taken, then the later comes back: the third must
// still be paid for.
TEST(GcraGiveBack, CountsWhatWasGivenBackInBetween) {
  Gcra limit(rate(1, 1s, 2));
  const Permit first = limit.take(Instant(10s));
  const Permit second = limit.take(Instant(10s));
  EXPECT_TRUE(limit.give_back(first));
  EXPECT_TRUE(limit.take(Instant(10s) + 500ms).granted);
  limit.give_back(second);
  EXPECT_GE(limit.arrival(), Instant(11s) + 500ms);
}

// Of a burst of many: the same as if it had never been taken.
TEST(GcraGiveBack, SeveralAtOnce) {
  Gcra limit(rate(10, 1s, 100));
  const Permit many = limit.take(Instant(1s), 60);
  const Permit few = limit.take(Instant(1s), 5);
  EXPECT_TRUE(limit.give_back(many));
  EXPECT_EQ(limit.peek(Instant(1s), 95), Instant(1s));
  EXPECT_EQ(limit.peek(Instant(1s), 96), Instant(1s) + 100ms);
  EXPECT_TRUE(limit.give_back(few));
  EXPECT_EQ(limit.peek(Instant(1s), 100), Instant(1s));
}

// Four threads on a clock that each reads now and then; every third permit comes back, some of them
// only after the thread has taken others.
TEST(GcraGiveBack, FourThreadsTogetherNeverExceed) {
  constexpr int kThreads = 4;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    const Rate r = rate(1'000'000 + seed * 131'071, 1s, 1 + seed * 5);
    Gcra limit(r);
    std::atomic<int64_t> clock{1'000'000'000};
    std::vector<std::vector<Grant>> grants(kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        Random random(seed * 100 + static_cast<uint64_t>(t));
        std::vector<Grant>& mine = grants[static_cast<size_t>(t)];
        std::vector<Permit> unused;
        int64_t now = clock.load();
        for (int i = 0; i < 20'000; ++i) {
          // A turn's reading stays for a while.
          if (random.below(4) == 0) {
            now = clock.fetch_add(static_cast<int64_t>(random.below(2'000)));
          }
          const uint64_t count = 1 + random.below(std::min<uint64_t>(r.burst, 3));
          const Permit permit = limit.take(at(now), count);
          if (permit.granted && random.below(3) == 0) {
            unused.push_back(permit);
          } else if (permit.granted) {
            mine.push_back({now, count});
          }
          if (!unused.empty() && random.below(3) == 0) {
            const size_t which = random.below(unused.size());
            limit.give_back(unused[which]);
            unused.erase(unused.begin() + static_cast<ptrdiff_t>(which));
          }
        }
        for (const Permit& permit : unused) limit.give_back(permit);
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::vector<Grant> all;
    for (const auto& mine : grants) all.insert(all.end(), mine.begin(), mine.end());
    EXPECT_GT(all.size(), 1'000U);
    EXPECT_TRUE(never_exceeds(all, r)) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice
