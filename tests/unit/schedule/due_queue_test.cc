#include "engine/schedule/due_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "engine/base/random.h"

namespace sluice {
namespace {

TEST(TickClock, NeverLetsARowGoEarly) {
  const TickClock clock(Instant(5s));
  EXPECT_EQ(clock.tick_for(Instant(0s)), 0U);
  EXPECT_EQ(clock.tick_for(Instant(5s)), 0U);
  EXPECT_EQ(clock.tick_for(Instant(5s) + 1ns), 1U);
  EXPECT_EQ(clock.tick_for(Instant(5s) + 10ms), 1U);
  EXPECT_EQ(clock.tick_at(Instant(5s) + 19ms), 1U);
  EXPECT_EQ(clock.tick_at(Instant(0s)), 0U);
  EXPECT_EQ(clock.instant_of(3), Instant(5s) + 30ms);
  EXPECT_EQ(clock.tick_for(kForever), UINT32_MAX);
  EXPECT_EQ(clock.tick_at(kForever), UINT32_MAX);
  Random random(1);
  for (int i = 0; i < 1'000; ++i) {
    const Instant due = Instant(5s) + Duration(random.below(1'000'000'000'000));
    EXPECT_GE(clock.instant_of(clock.tick_for(due)), due);
    EXPECT_LT(clock.tick_at(clock.instant_of(clock.tick_for(due)) - 1ns), clock.tick_for(due));
  }
}

TEST(DueRow, PacksRowAndAttempts) {
  const DueRow row = DueRow::make(7, DueRow::kRowMax, 3, 9, 1'800'000'000);
  EXPECT_EQ(row.row(), DueRow::kRowMax);
  EXPECT_EQ(row.attempts(), 3U);
  EXPECT_EQ(DueRow::make(7, 5, 4'095, 9, 0).attempts(), 4'095U);
  const DueRow many = DueRow::make(7, 5, 4'000'000, 9, 0);
  EXPECT_EQ(many.attempts(), 4'095U);
  EXPECT_EQ(many.row(), 5U);
}

TEST(DueQueue, GivesNothingBeforeItsTime) {
  DueQueue queue;
  EXPECT_FALSE(queue.pop_due(UINT32_MAX));
  EXPECT_FALSE(queue.next_due());
  queue.push(DueRow::make(1, 1, 1, 10, 0));
  EXPECT_EQ(queue.next_due(), 10U);
  EXPECT_FALSE(queue.pop_due(9));
  EXPECT_TRUE(queue.pop_due(10));
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.memory_bytes(), 0U);
}

TEST(DueQueue, AgreesWithASortedSetOverRandomOperations) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    DueQueue queue;
    std::multiset<uint32_t> model;
    uint32_t now = 0;
    const uint64_t grow_odds = 1 + random.below(4);
    for (uint32_t i = 0; i < 30'000; ++i) {
      // Grows over several chunk borders, then empties.
      if (random.below(5) <= grow_odds && i < 20'000) {
        const auto due = now + static_cast<uint32_t>(random.below(5'000));
        queue.push(DueRow::make(i, i & DueRow::kRowMax, 1, due, 0));
        model.insert(due);
      } else {
        now += static_cast<uint32_t>(random.below(3));
        const auto row = queue.pop_due(now);
        const bool expected = !model.empty() && *model.begin() <= now;
        ASSERT_EQ(row.has_value(), expected);
        if (row) {
          ASSERT_EQ(row->due_tick, *model.begin());
          model.erase(model.begin());
        }
      }
      ASSERT_EQ(queue.size(), model.size());
      if (i % 64 == 0) {
        const auto due =
            static_cast<uint32_t>(std::distance(model.begin(), model.upper_bound(now + 100)));
        ASSERT_EQ(queue.count_due(now + 100, UINT32_MAX), due);
        ASSERT_EQ(queue.count_due(now + 100, 7), std::min(due, 7U));
      }
    }
    while (const auto row = queue.pop_due(UINT32_MAX)) {
      ASSERT_EQ(row->due_tick, *model.begin());
      model.erase(model.begin());
    }
    EXPECT_TRUE(model.empty());
    EXPECT_EQ(queue.memory_bytes(), 0U);
  }
}

TEST(DueQueue, LosesNoRow) {
  Random random(9);
  DueQueue queue;
  std::vector<bool> seen(20'000);
  for (uint32_t i = 0; i < seen.size(); ++i) {
    queue.push(DueRow::make(i, i, i, static_cast<uint32_t>(random.below(50)), i));
  }
  while (const auto row = queue.pop_due(50)) {
    ASSERT_EQ(row->row(), row->segment_ref);
    ASSERT_EQ(row->first_at, row->segment_ref);
    ASSERT_FALSE(seen[row->row()]);
    seen[row->row()] = true;
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), false), 0);
}

TEST(DueQueue, CostsLittleWhenSmallAndGivesMemoryBack) {
  DueQueue queue;
  for (uint32_t i = 0; i < 3; ++i) queue.push(DueRow::make(i, 1, 1, i, 0));
  EXPECT_LE(queue.memory_bytes(), 72U);
  for (uint32_t i = 0; i < 1'000'000; ++i) queue.push(DueRow::make(i, 1, 1, i, 0));
  EXPECT_LE(queue.memory_bytes(), 1'000'000U * 16 * 102 / 100);
  for (uint32_t i = 0; i < 999'000; ++i) ASSERT_TRUE(queue.pop_due(UINT32_MAX));
  EXPECT_LE(queue.memory_bytes(), 64U << 10);
}

}  // namespace
}  // namespace sluice
