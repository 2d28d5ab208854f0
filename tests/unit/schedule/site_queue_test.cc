#include "engine/schedule/site_queue.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "engine/base/random.h"

namespace sluice {
namespace {

class SiteQueueTest : public ::testing::Test {
 protected:
  static Cursor cursor(JobIndex job, uint32_t block, uint32_t rows = 1) {
    return {job * 100, block, job, rows};
  }
  DueRow due(uint32_t row, Instant when, uint32_t attempts = 1) const {
    return DueRow::make(1, row, attempts, clock_.tick_for(when), 0);
  }
  std::optional<Pick> next(Instant now) { return queue_.next(clock_, now); }

  TickClock clock_{Instant(0s)};
  SiteQueue queue_;
};

TEST_F(SiteQueueTest, GivesAJobsCursorsInOrder) {
  for (uint32_t block = 0; block < 100; ++block) queue_.add(cursor(1, block, 3), 5);
  EXPECT_EQ(queue_.size(), 300U);
  EXPECT_EQ(queue_.next_wake(clock_, Instant(0s)), Instant::min());
  for (uint32_t block = 0; block < 100; ++block) {
    const auto pick = next(Instant(0s));
    ASSERT_TRUE(pick);
    EXPECT_FALSE(pick->is_due);
    EXPECT_EQ(pick->cursor, cursor(1, block, 3));
  }
  EXPECT_FALSE(next(Instant(0s)));
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.next_wake(clock_, Instant(0s)), kForever);
}

TEST_F(SiteQueueTest, GivesTheHighestPriorityFirstAndEqualOnesByTurns) {
  for (uint32_t block = 0; block < 3; ++block) {
    queue_.add(cursor(1, block), 5);
    queue_.add(cursor(2, block), 5);
    queue_.add(cursor(3, block), 0);
  }
  std::vector<JobIndex> order;
  while (const auto pick = next(Instant(0s))) order.push_back(pick->job);
  EXPECT_EQ(order, (std::vector<JobIndex>{3, 3, 3, 1, 2, 1, 2, 1, 2}));
}

TEST_F(SiteQueueTest, AJobThatComesAndGoesWinsNoTurn) {
  for (uint32_t block = 0; block < 10; ++block) queue_.add(cursor(1, block), 5);
  uint32_t of_one = 0;
  for (uint32_t i = 0; i < 10; ++i) {
    queue_.add(cursor(2, i), 5);
    of_one += next(Instant(0s))->job == 1 ? 1 : 0;
    of_one += next(Instant(0s))->job == 1 ? 1 : 0;
  }
  EXPECT_EQ(of_one, 10U);
}

TEST_F(SiteQueueTest, DueRowsWaitForTheirTimeAndNameTheWake) {
  queue_.add_due(due(7, Instant(2s)), 1, 5);
  queue_.add_due(due(8, Instant(1s)), 2, 5);
  EXPECT_FALSE(next(Instant(999ms)));
  EXPECT_EQ(queue_.next_wake(clock_, Instant(0s)), Instant(1s));
  const auto first = next(Instant(1s));
  ASSERT_TRUE(first && first->is_due);
  EXPECT_EQ(first->due.row(), 8U);
  EXPECT_EQ(first->job, 2U);
  EXPECT_FALSE(next(Instant(1s)));
  EXPECT_EQ(queue_.next_wake(clock_, Instant(1s)), Instant(2s));
  EXPECT_EQ(queue_.rows_ready(clock_, Instant(1s), 100), 0U);
  EXPECT_EQ(queue_.rows_ready(clock_, Instant(2s), 100), 1U);
  EXPECT_TRUE(next(Instant(3s)));
}

TEST_F(SiteQueueTest, NeitherDueRowsNorFirstAttemptsStarve) {
  for (uint32_t i = 0; i < 100; ++i) queue_.add_due(due(i, Instant(0s)), 1, 5);
  for (uint32_t block = 0; block < 10; ++block) queue_.add(cursor(2, block, 4), 5);
  // One due row first, then as many due rows as each block had rows.
  uint32_t due_rows = 0;
  uint32_t first_rows = 0;
  for (int i = 0; i < 51; ++i) {
    const auto pick = next(Instant(1s));
    ASSERT_TRUE(pick);
    (pick->is_due ? due_rows : first_rows) += pick->is_due ? 1 : pick->cursor.rows;
    if (i > 5 && queue_.cursor_count() > 0) {
      EXPECT_LE(due_rows, first_rows + 1);
      EXPECT_GE(due_rows + 4, first_rows);
    }
  }
  EXPECT_EQ(first_rows, 40U);
  EXPECT_EQ(due_rows, 41U);
  while (next(Instant(1s))) ++due_rows;
  EXPECT_EQ(due_rows, 100U);
}

TEST_F(SiteQueueTest, DueRowsOfALowerPriorityComeAfterFirstAttemptsOfAHigher) {
  queue_.add_due(due(1, Instant(0s)), 1, 9);
  queue_.add(cursor(2, 0), 0);
  EXPECT_EQ(next(Instant(1s))->job, 2U);
  EXPECT_EQ(next(Instant(1s))->job, 1U);
}

TEST_F(SiteQueueTest, PausedJobsKeepWhatTheyHave) {
  queue_.pause_job(3);
  queue_.add(cursor(1, 0), 0);
  queue_.add_due(due(5, Instant(0s)), 1, 0);
  queue_.add(cursor(2, 0), 5);
  queue_.add(cursor(3, 0), 0);
  queue_.pause_job(1);
  EXPECT_EQ(queue_.rows_ready(clock_, Instant(1s), 100), 1U);
  EXPECT_EQ(next(Instant(1s))->job, 2U);
  EXPECT_FALSE(next(Instant(1s)));
  EXPECT_EQ(queue_.next_wake(clock_, Instant(1s)), kForever);
  EXPECT_EQ(queue_.size(), 3U);
  queue_.resume_job(1);
  queue_.resume_job(3);
  queue_.resume_job(77);
  uint32_t given = 0;
  while (next(Instant(1s))) ++given;
  EXPECT_EQ(given, 3U);
}

TEST_F(SiteQueueTest, RemovesAJobWhole) {
  for (uint32_t block = 0; block < 5; ++block) {
    queue_.add(cursor(1, block, 2), 5);
    queue_.add(cursor(2, block, 2), 5);
  }
  queue_.add_due(due(1, Instant(1h)), 1, 5);
  queue_.add_due(due(2, Instant(1h)), 2, 5);
  while (next(Instant(0s))->cursor.block < 1) {
  }
  uint32_t cursors = 0;
  uint32_t dues = 0;
  queue_.remove_job(
      1,
      [&](const Cursor& c) {
        EXPECT_EQ(c.job, 1U);
        ++cursors;
      },
      [&](const DueRow& row) {
        EXPECT_EQ(row.row(), 1U);
        ++dues;
      });
  EXPECT_EQ(cursors, 3U);
  EXPECT_EQ(dues, 1U);
  EXPECT_EQ(queue_.cursor_count(), 4U);
  EXPECT_EQ(queue_.due_count(), 1U);
  EXPECT_EQ(queue_.size(), 9U);
  queue_.remove_job(
      1, [](const Cursor&) { FAIL(); }, [](const DueRow&) { FAIL(); });
}

TEST_F(SiteQueueTest, SmallQueuesAreSmall) {
  // Of the many lanes most have one job and one domain, and after a while no mail.
  queue_.add(cursor(1, 0), 5);
  EXPECT_LE(queue_.memory_bytes(), 560U);
  ASSERT_TRUE(next(Instant(0s)));
  EXPECT_LE(queue_.memory_bytes(), 80U);
}

// What is cheap to tell is what the jobs have, whoever came and went.
void expect_sums(const SiteQueue& queue, const TickClock& clock) {
  std::vector<SiteQueue::JobRows> sums;
  queue.visit_job_sums(clock, [&sums](const SiteQueue::JobRows& rows) {
    if (rows.first_attempts + rows.due > 0) sums.push_back(rows);
  });
  const std::vector<SiteQueue::JobRows> jobs = queue.jobs(clock);
  ASSERT_EQ(sums.size(), jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    ASSERT_EQ(sums[i].job, jobs[i].job);
    ASSERT_EQ(sums[i].first_attempts, jobs[i].first_attempts);
    ASSERT_EQ(sums[i].due, jobs[i].due);
    ASSERT_GE(sums[i].latest_due, jobs[i].latest_due);
  }
}

TEST_F(SiteQueueTest, LosesAndDoublesNothingOverRandomOperations) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Random random(seed);
    SiteQueue queue;
    std::map<JobIndex, uint8_t> priorities;
    std::set<std::pair<JobIndex, uint32_t>> cursors;
    std::map<uint32_t, std::pair<JobIndex, uint32_t>> rows;  // row -> job, tick
    std::set<JobIndex> paused;
    uint32_t fresh = 0;
    Instant now(0s);
    for (int i = 0; i < 5'000; ++i) {
      const auto job = static_cast<JobIndex>(random.below(6));
      const auto priority = static_cast<uint8_t>(job / 2);
      switch (random.below(8)) {
        case 0:
        case 1:
          queue.add(cursor(job, fresh), priority);
          cursors.insert({job, fresh++});
          break;
        case 2: {
          const auto row = due(fresh, now + Duration(random.below(1'000'000'000)));
          queue.add_due(row, job, priority);
          rows[fresh++] = {job, row.due_tick};
          break;
        }
        case 3:
          now += Duration(random.below(100'000'000));
          break;
        case 4:
          if (random.below(4) == 0) {
            queue.pause_job(job);
            paused.insert(job);
          } else {
            queue.resume_job(job);
            paused.erase(job);
          }
          break;
        default: {
          const auto pick = queue.next(clock_, now);
          const Instant wake = queue.next_wake(clock_, now);
          if (!pick) {
            ASSERT_GT(wake, now);
            for (const auto& [j, block] : cursors) ASSERT_TRUE(paused.contains(j));
            for (const auto& [row, value] : rows) {
              ASSERT_TRUE(paused.contains(value.first) || clock_.instant_of(value.second) > now);
            }
            break;
          }
          ASSERT_FALSE(paused.contains(pick->job));
          for (const auto& [j, block] : cursors) {
            ASSERT_TRUE(paused.contains(j) || j / 2 >= pick->job / 2);
          }
          if (pick->is_due) {
            const auto found = rows.find(pick->due.row());
            ASSERT_NE(found, rows.end());
            ASSERT_EQ(found->second.first, pick->job);
            ASSERT_LE(clock_.instant_of(found->second.second), now);
            rows.erase(found);
          } else {
            ASSERT_EQ(cursors.erase({pick->job, pick->cursor.block}), 1U);
          }
        }
      }
      ASSERT_EQ(queue.size(), cursors.size() + rows.size());
      ASSERT_EQ(queue.empty(), cursors.empty() && rows.empty());
      if (i % 20 == 0) expect_sums(queue, clock_);
    }
  }
}

}  // namespace
}  // namespace sluice
