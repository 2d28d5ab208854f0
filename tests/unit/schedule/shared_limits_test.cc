#include "engine/schedule/shared_limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/random.h"
#include "tests/unit/schedule/grants.h"

namespace sluice {
namespace {

const WallTime kWall = from_unix_seconds(1'800'000'000);
constexpr Rate kTenASecond = {10, 1s, 10};
constexpr Rate kOneASecond = {1, 1s, 1};

TEST(Slots, GrantsNoneBeforeALimitIsSet) {
  Slots slots;
  EXPECT_FALSE(slots.take());
  slots.set_limit(1);
  EXPECT_TRUE(slots.take());
  EXPECT_FALSE(slots.take());
}

TEST(Slots, WaitUntilEnoughHaveFinishedUnderALowerLimit) {
  Slots slots(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(slots.take());
  slots.set_limit(1);
  EXPECT_EQ(slots.taken(), 3U);
  slots.give_back();
  slots.give_back();
  EXPECT_FALSE(slots.take());
  slots.give_back();
  EXPECT_TRUE(slots.take());
  EXPECT_EQ(slots.limit(), 1U);
  EXPECT_EQ(slots.taken(), 1U);
}

TEST(Slots, AreNeverMoreThanTheLimitOverFourThreads) {
  constexpr uint32_t kLimit = 3;
  Slots slots(kLimit);
  std::atomic<uint32_t> used{0};
  std::atomic<uint32_t> most{0};
  std::atomic<uint64_t> grants{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        if (!slots.take()) continue;
        const uint32_t mine = used.fetch_add(1) + 1;
        uint32_t seen = most.load();
        while (seen < mine && !most.compare_exchange_weak(seen, mine)) {
        }
        grants.fetch_add(1);
        used.fetch_sub(1);
        slots.give_back();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most.load(), kLimit);
  EXPECT_GT(grants.load(), 20'000U);
  EXPECT_EQ(slots.taken(), 0U);
}

// Whoever finds no slot leaves its bit and tries once more; whoever gives one back looks for bits
// afterwards. Then nobody waits for ever: each wake-up that is owed is given.
TEST(Slots, NobodyWaitsBesideAFreeOne) {
  constexpr uint32_t kThreads = 4;
  Slots slots(1);
  ShardSet waiting;
  std::array<std::atomic<bool>, kThreads> woken{};
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 3'000; ++i) {
        while (!slots.take()) {
          waiting.set(t);
          if (slots.take()) break;
          woken[t].wait(false);
          woken[t].store(false);
        }
        waiting.clear(t);
        slots.give_back();
        if (const std::optional<uint32_t> next = waiting.next_after(t)) {
          woken[*next].store(true);
          woken[*next].notify_one();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(slots.taken(), 0U);
  EXPECT_EQ(waiting.count(), 0U);
}

TEST(ShardSet, GoesRoundAllShards) {
  ShardSet set;
  EXPECT_EQ(set.next_after(7), std::nullopt);
  EXPECT_FALSE(set.any_but(7));
  for (const uint32_t shard : {0U, 63U, 64U, 200U, 255U}) set.set(shard);
  EXPECT_EQ(set.count(), 5U);
  const std::pair<uint32_t, uint32_t> kNext[] = {{0, 63},    {1, 63},    {62, 63},
                                                 {63, 64},   {64, 200},  {199, 200},
                                                 {200, 255}, {254, 255}, {255, 0}};
  for (const auto& [shard, next] : kNext) EXPECT_EQ(set.next_after(shard), next) << shard;
  for (const uint32_t shard : {0U, 64U, 200U, 255U}) set.clear(shard);
  EXPECT_TRUE(set.contains(63));
  EXPECT_FALSE(set.contains(64));
  EXPECT_EQ(set.next_after(63), 63U);
  EXPECT_EQ(set.next_after(62), 63U);
  EXPECT_FALSE(set.any_but(63));
  EXPECT_TRUE(set.any_but(64));
  EXPECT_TRUE(set.any_but(255));
}

TEST(SharedLimits, GivesEveryoneTheSameLimits) {
  SharedLimits limits;
  const auto first = limits.scope("site mx.example.com source a");
  const auto second = limits.scope("site mx.example.com source a");
  EXPECT_EQ(first, second);
  EXPECT_EQ(first->key(), "site mx.example.com source a");
  EXPECT_NE(first, limits.scope("site mx.example.com source b"));
  const auto rate = first->message_rate(kTenASecond, Instant(1s));
  EXPECT_EQ(rate, second->message_rate(kTenASecond, Instant(2s)));
  EXPECT_NE(rate, first->connection_rate(kTenASecond, Instant(2s)));
  EXPECT_EQ(first->connection_rate(std::nullopt, Instant(2s)), nullptr);
}

TEST(SharedLimits, AChangedRateBeginsAsEmptyAsTheOldOneWas) {
  SharedLimits limits;
  const auto scope = limits.scope("job x");
  const auto old = scope->message_rate(kTenASecond, Instant(1s), 1);
  EXPECT_TRUE(old->take(Instant(1s), 10).granted);
  const auto next = scope->message_rate(Rate{20, 1s, 20}, Instant(1s), 2);
  EXPECT_NE(next, old);
  EXPECT_TRUE(old->retired());
  EXPECT_TRUE(next->take(Instant(1s), 10).granted);
  EXPECT_FALSE(next->take(Instant(1s)).granted);
  // A shard that still goes by the old rules gets what holds.
  EXPECT_EQ(scope->message_rate(kTenASecond, Instant(1s), 1), next);
  EXPECT_FALSE(next->retired());

  EXPECT_EQ(scope->message_rate(std::nullopt, Instant(1s), 3), nullptr);
  EXPECT_TRUE(next->retired());
  // What had been used when the rate was removed is still used.
  EXPECT_FALSE(scope->message_rate(kTenASecond, Instant(1s), 4)->take(Instant(1s), 10).granted);
}

TEST(SharedLimits, BeginFullWhereNothingRanBefore) {
  SharedLimits limits;
  limits.begin(LimitsStart::kFresh, {}, Instant(5s), kWall);
  const auto rate = limits.scope("job x")->message_rate(kTenASecond, Instant(5s));
  EXPECT_TRUE(rate->take(Instant(5s), 10).granted);
}

TEST(SharedLimits, BeginDrainedAfterACrash) {
  SharedLimits limits;
  limits.begin(LimitsStart::kCrashed, {}, Instant(5s), kWall);
  const auto scope = limits.scope("job x");
  const auto rate = scope->message_rate(kTenASecond, Instant(5s));
  EXPECT_FALSE(rate->take(Instant(5s)).granted);
  EXPECT_EQ(rate->peek(Instant(5s)), Instant(5s) + 100ms);
  // Asked for late it has filled meanwhile.
  const auto late = scope->connection_rate(kTenASecond, Instant(6s));
  EXPECT_TRUE(late->take(Instant(6s), 10).granted);
}

TEST(SharedLimits, BeginWhereACleanEndLeftThem) {
  SharedLimits before;
  before.begin(LimitsStart::kFresh, {}, Instant(5s), kWall);
  const auto empty = before.scope("site b source s");
  const auto full = before.scope("site a source s");
  EXPECT_TRUE(empty->message_rate(kTenASecond, Instant(5s))->take(Instant(5s), 10).granted);
  EXPECT_TRUE(empty->connection_rate(kOneASecond, Instant(5s))->take(Instant(5s)).granted);
  EXPECT_TRUE(full->message_rate(kOneASecond, Instant(1s))->take(Instant(1s)).granted);
  const SavedLimits saved = before.save(Instant(5s), kWall);
  const SavedLimits expected = {std::nullopt,
                                {{"site b source s", LimitKind::kMessages, kWall + 1s},
                                 {"site b source s", LimitKind::kConnections, kWall + 1s}}};
  EXPECT_EQ(saved, expected);

  // 300 ms later, with another zero of the clock.
  SharedLimits after;
  after.begin(LimitsStart::kClean, saved, Instant(777s), kWall + 300ms);
  // What nobody asked for yet is passed on at a second end.
  EXPECT_EQ(after.save(Instant(777s), kWall + 300ms), expected);
  const auto scope = after.scope("site b source s");
  EXPECT_EQ(after.save(Instant(777s), kWall + 300ms), expected);
  const auto rate = scope->message_rate(kTenASecond, Instant(777s));
  EXPECT_TRUE(rate->take(Instant(777s), 3).granted);
  EXPECT_FALSE(rate->take(Instant(777s)).granted);
  // Times are rounded away from a refill.
  const Instant at = scope->connection_rate(kOneASecond, Instant(777s))->peek(Instant(777s));
  EXPECT_GE(at, Instant(777s) + 700ms);
  EXPECT_LE(at, Instant(777s) + 700ms + 1ns);
  const auto other = after.scope("site a source s")->message_rate(kOneASecond, Instant(777s));
  EXPECT_TRUE(other->take(Instant(777s)).granted);
}

TEST(SharedLimits, AShortLifeAfterACrashPassesOnThatAllIsDrained) {
  SharedLimits crashed;
  crashed.begin(LimitsStart::kCrashed, {}, Instant(5s), kWall);
  const SavedLimits saved = crashed.save(Instant(5s) + 200ms, kWall + 200ms);
  EXPECT_EQ(saved, (SavedLimits{kWall, {}}));
  SharedLimits after;
  after.begin(LimitsStart::kClean, saved, Instant(50s), kWall + 400ms);
  const auto rate = after.scope("job x")->message_rate(kTenASecond, Instant(50s));
  EXPECT_TRUE(rate->take(Instant(50s), 4).granted);
  EXPECT_FALSE(rate->take(Instant(50s)).granted);
}

TEST(SharedLimits, AWallClockThatWasSetBackLocksNobodyOut) {
  SharedLimits limits;
  const SavedLimits saved = {kWall, {{"job x", LimitKind::kMessages, kWall + 1s}}};
  limits.begin(LimitsStart::kClean, saved, Instant(9s), kWall - 24h * 365);
  for (const char* key : {"job x", "job y"}) {
    const auto rate = limits.scope(key)->message_rate(kTenASecond, Instant(9s));
    EXPECT_EQ(rate->peek(Instant(9s)), Instant(9s) + 100ms) << key;
  }
}

TEST(SharedLimits, HoldOverCleanEndsAndKills) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    const Rate r = {1 + random.below(40), 1s, 1 + random.below(20)};
    std::vector<Grant> grants;
    SavedLimits saved;
    LimitsStart start = LimitsStart::kFresh;
    int64_t wall = 0;  // since kWall
    for (int life = 0; life < 6; ++life) {
      const int64_t zero = static_cast<int64_t>(random.below(1'000'000'000'000));
      const int64_t born = wall;
      const auto now = [&] { return at(zero + wall - born); };
      SharedLimits limits;
      limits.begin(start, saved, now(), kWall + Duration(wall));
      const auto scope = limits.scope("job x");
      const uint64_t asks = random.below(60);
      for (uint64_t i = 0; i < asks; ++i) {
        wall += static_cast<int64_t>(random.below(60'000'000));
        const auto rate = scope->message_rate(r, now());
        if (rate->take(now()).granted) grants.push_back({wall, 1});
      }
      const bool clean = random.below(2) == 0;
      start = clean ? LimitsStart::kClean : LimitsStart::kCrashed;
      saved = clean ? limits.save(now(), kWall + Duration(wall)) : SavedLimits();
      wall += static_cast<int64_t>(random.below(200'000'000));
    }
    EXPECT_GT(grants.size(), 0U);
    // Each start reads both clocks anew: a nanosecond more.
    ASSERT_TRUE(never_exceeds(grants, r)) << "seed " << seed;
  }
}

TEST(SharedLimits, ForgetWhatNobodyHoldsAndIsFull) {
  SharedLimits limits;
  const auto held = limits.scope("held");
  const auto gcra = limits.scope("rate held")->message_rate(kOneASecond, Instant(1s));
  EXPECT_TRUE(
      limits.scope("empty")->message_rate(Rate{1, 24h, 1}, Instant(1s))->take(Instant(1s)).granted);
  for (int i = 0; i < 10'000; ++i) {
    const auto scope = limits.scope("site " + std::to_string(i));
    (void)scope->message_rate(kOneASecond, Instant(1s) + 1ms * i);
  }
  EXPECT_LT(limits.size(), 10U);
  EXPECT_EQ(limits.scope("held"), held);
  EXPECT_EQ(limits.scope("rate held")->message_rate(kOneASecond, Instant(99s)), gcra);
  const auto empty = limits.scope("empty")->message_rate(Rate{1, 24h, 1}, Instant(99s));
  EXPECT_FALSE(empty->take(Instant(99s)).granted);
}

TEST(SharedLimits, FourThreadsChangeTheRateAndNeverGetBoth) {
  constexpr Rate kRates[] = {{1'000, 1s, 4}, {700, 1s, 4}};
  SharedLimits limits;
  std::atomic<int64_t> clock{1'000'000'000};
  std::atomic<uint64_t> rules{0};
  std::vector<std::vector<Grant>> grants(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < grants.size(); ++t) {
    threads.emplace_back([&, t] {
      Random random(t + 1);
      const auto scope = limits.scope("job x");
      uint64_t mine = 0;
      std::shared_ptr<Gcra> rate = scope->message_rate(kRates[0], at(clock.load()), 0);
      for (int i = 0; i < 20'000; ++i) {
        const int64_t now = clock.fetch_add(static_cast<int64_t>(random.below(100'000)));
        if (t == 0 && random.below(500) == 0) rules.fetch_add(1);
        // The rules are learnt some time later.
        if (random.below(20) == 0) mine = rules.load();
        if (rate->retired() || random.below(20) == 0) {
          rate = scope->message_rate(kRates[mine % 2], at(now), mine);
        }
        if (rate->take(at(now)).granted) grants[t].push_back({now, 1});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Grant> all;
  for (const auto& mine : grants) all.insert(all.end(), mine.begin(), mine.end());
  EXPECT_GT(all.size(), 100U);
  EXPECT_TRUE(never_exceeds(all, kRates[0]));
  EXPECT_GT(rules.load(), 10U);
}

}  // namespace
}  // namespace sluice
