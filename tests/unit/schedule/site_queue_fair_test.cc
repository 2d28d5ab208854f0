// Who goes next when many jobs and domains wait in one lane, and what that costs.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "engine/base/random.h"
#include "engine/schedule/site_queue.h"

namespace sluice {
namespace {

class SiteQueueFairTest : public ::testing::Test {
 protected:
  DueRow due(uint32_t row, Instant when) const {
    return DueRow::make(1, row, 1, clock_.tick_for(when), 0);
  }
  std::optional<Pick> next(Instant now = Instant(0s)) { return queue_.next(clock_, now); }

  TickClock clock_{Instant(0s)};
  SiteQueue queue_;
};

TEST_F(SiteQueueFairTest, AOneRowDomainIsNotHeldUpByALargeOne) {
  for (uint32_t block = 0; block < 600; ++block) queue_.add({1, block, 1, 100}, 5, 0xA);
  queue_.add({2, 0, 1, 1}, 5, 0xB);
  queue_.add({3, 0, 1, 1}, 5, 0xC);
  EXPECT_EQ(next()->cursor, (Cursor{1, 0, 1, 100}));
  EXPECT_EQ(next()->cursor, (Cursor{2, 0, 1, 1}));
  EXPECT_EQ(next()->cursor, (Cursor{3, 0, 1, 1}));
  for (uint32_t block = 1; block < 600; ++block) {
    ASSERT_EQ(next()->cursor, (Cursor{1, block, 1, 100}));
  }
  EXPECT_FALSE(next());
}

TEST_F(SiteQueueFairTest, DomainsTakeTurnsAndKeepTheirOwnOrder) {
  for (uint32_t block = 0; block < 4; ++block) {
    for (uint64_t domain = 0; domain < 3; ++domain) {
      queue_.add({static_cast<uint32_t>(domain), block, 1, 1}, 5, domain);
    }
  }
  for (uint32_t block = 0; block < 4; ++block) {
    for (uint32_t domain = 0; domain < 3; ++domain) {
      EXPECT_EQ(next()->cursor, (Cursor{domain, block, 1, 1}));
    }
  }
}

TEST_F(SiteQueueFairTest, ADomainThatComesAndGoesWinsNoTurn) {
  for (uint32_t block = 0; block < 10; ++block) queue_.add({1, block, 1, 1}, 5, 0xA);
  uint32_t of_a = 0;
  for (uint32_t i = 0; i < 10; ++i) {
    queue_.add({2, i, 1, 1}, 5, 0xB);
    of_a += next()->cursor.segment_ref == 1 ? 1 : 0;
    of_a += next()->cursor.segment_ref == 1 ? 1 : 0;
  }
  EXPECT_EQ(of_a, 10U);
}

TEST_F(SiteQueueFairTest, TheSameDomainOfTwoJobsIsTwo) {
  queue_.add({1, 0, 1, 1}, 5, 0xA);
  queue_.add({2, 0, 2, 1}, 5, 0xA);
  queue_.remove_job(
      1, [](const Cursor&) {}, [](const DueRow&) { FAIL(); });
  ASSERT_EQ(queue_.size(), 1U);
  EXPECT_EQ(next()->cursor, (Cursor{2, 0, 2, 1}));
}

TEST_F(SiteQueueFairTest, JobsAreGivenEqualRowsNotEqualPicks) {
  for (uint32_t block = 0; block < 50; ++block) queue_.add({1, block, 1, 100}, 5, block);
  for (uint32_t block = 0; block < 1'000; ++block) queue_.add({2, block, 2, 1}, 5, block);
  for (uint32_t row = 0; row < 1'000; ++row) queue_.add_due(due(row, Instant(0s)), 3, 5);
  std::map<JobIndex, uint32_t> rows;
  for (uint32_t given = 0; given < 2'000;) {
    const auto pick = next(Instant(1s));
    ASSERT_TRUE(pick);
    const uint32_t more = pick->is_due ? 1 : pick->cursor.rows;
    given += more;
    rows[pick->job] += more;
    for (const JobIndex job : {1, 2, 3}) {
      ASSERT_LE(rows[pick->job], rows[job] + 100) << "after " << given << " rows";
    }
  }
}

TEST_F(SiteQueueFairTest, AJobThatWasHeldBackHasNoClaimOnWhatItMissed) {
  for (uint32_t block = 0; block < 100; ++block) {
    queue_.add({1, block, 1, 10}, 5, 0xA);
    queue_.add({2, block, 2, 10}, 5, 0xA);
  }
  queue_.pause_job(2);
  const SiteQueue::MayServe only_one = [](JobIndex job) { return job == 1; };
  for (int i = 0; i < 25; ++i) ASSERT_EQ(next()->job, 1U);
  queue_.resume_job(2);
  for (int i = 0; i < 25; ++i) {
    ASSERT_EQ(queue_.next(clock_, Instant(0s), only_one)->job, 1U);
  }
  uint32_t of_one = 0;
  for (int i = 0; i < 20; ++i) of_one += next()->job == 1 ? 1 : 0;
  EXPECT_GE(of_one, 9U);
  EXPECT_LE(of_one, 11U);
}

TEST_F(SiteQueueFairTest, AJobThatComesWithOneRowAtATimeStarvesNobody) {
  for (uint32_t block = 0; block < 100; ++block) queue_.add({1, block, 1, 100}, 5, 0xA);
  ASSERT_EQ(next()->job, 1U);
  uint32_t of_one = 0;
  for (uint32_t i = 0; i < 50; ++i) {
    queue_.add({2, i, 2, 1}, 5, 0xB);
    while (next()->job == 1) ++of_one;
  }
  // No block of the other waits for more than two of its rows, nor the reverse.
  EXPECT_GE(of_one, 25U);
  EXPECT_LE(of_one, 51U);
}

TEST_F(SiteQueueFairTest, ServesOnlyWhatMayBeServedAndAsksOnceAJob) {
  for (JobIndex job = 0; job < 1'000; ++job) {
    for (uint32_t block = 0; block < 3; ++block) queue_.add({job, block, job, 10}, 5, 0xA);
  }
  std::set<JobIndex> held;
  uint32_t asked = 0;
  const SiteQueue::MayServe may = [&](JobIndex job) {
    ++asked;
    return !held.contains(job);
  };
  // As a lane does that holds at most 32 jobs' rows: those served last are the last to be asked.
  std::vector<JobIndex> order;
  for (int i = 0; i < 2'000; ++i) {
    if (order.size() == 32) {
      held.erase(order.front());
      order.erase(order.begin());
    }
    const auto pick = queue_.next(clock_, Instant(0s), may);
    ASSERT_TRUE(pick);
    ASSERT_TRUE(held.insert(pick->job).second);
    order.push_back(pick->job);
  }
  EXPECT_EQ(asked, 2'000U);
  // Each job that is passed by costs one question, and no more.
  held.clear();
  for (JobIndex job = 0; job < 999; ++job) held.insert(job);
  asked = 0;
  EXPECT_EQ(queue_.next(clock_, Instant(0s), may)->job, 999U);
  EXPECT_LE(asked, 1'000U);
  held.insert(999);
  EXPECT_FALSE(queue_.next(clock_, Instant(0s), may));
}

TEST_F(SiteQueueFairTest, ALowerPriorityGoesWhenTheHigherMayNot) {
  queue_.add({1, 0, 1, 1}, 0, 0xA);
  queue_.add({2, 0, 2, 1}, 9, 0xA);
  const auto pick = queue_.next(clock_, Instant(0s), [](JobIndex job) { return job != 1; });
  ASSERT_TRUE(pick);
  EXPECT_EQ(pick->job, 2U);
}

TEST_F(SiteQueueFairTest, AJobsOwnDueRowsAndFirstAttemptsTakeTurns) {
  for (uint32_t row = 0; row < 30; ++row) queue_.add_due(due(row, Instant(0s)), 1, 5);
  for (uint32_t block = 0; block < 5; ++block) queue_.add({1, block, 1, 4}, 5, 0xA);
  std::vector<bool> is_due;
  while (const auto pick = next(Instant(1s))) is_due.push_back(pick->is_due);
  std::vector<bool> expected{true};
  for (int block = 0; block < 5; ++block) {
    expected.push_back(false);
    expected.insert(expected.end(), 4, true);
  }
  expected.insert(expected.end(), 9, true);
  EXPECT_EQ(is_due, expected);
}

TEST_F(SiteQueueFairTest, TakesCursorsForAnotherShardInTheSameOrder) {
  SiteQueue twin;
  for (uint32_t block = 0; block < 20; ++block) {
    for (JobIndex job = 0; job < 6; ++job) {
      const Cursor cursor{job, block, job, 10 + job};
      const auto priority = static_cast<uint8_t>(job / 2);
      queue_.add(cursor, priority, block % 7);
      twin.add(cursor, priority, block % 7);
    }
  }
  // Neither due rows nor what is paused are for another shard.
  for (uint32_t row = 0; row < 10; ++row) {
    queue_.add_due(due(row, Instant(0s)), 7, 0);
    queue_.add_due(due(row, Instant(1h)), 0, 0);
  }
  queue_.pause_job(5);
  twin.pause_job(5);
  const uint64_t size = queue_.size();
  std::vector<Cursor> taken;
  uint64_t rows = 0;
  EXPECT_EQ(queue_.take_cursors(3, taken), 10U);  // one block if any
  ASSERT_EQ(taken.size(), 1U);
  rows += 10;
  while (true) {
    const size_t before = taken.size();
    const uint64_t more = queue_.take_cursors(100, taken);
    if (more == 0) break;
    EXPECT_LE(more, 100U);
    uint64_t sum = 0;
    for (size_t i = before; i < taken.size(); ++i) sum += taken[i].rows;
    EXPECT_EQ(sum, more);
    if (queue_.cursor_count() > 20) {
      EXPECT_GT(more, 100U - 15);
    }
    rows += more;
    EXPECT_EQ(queue_.size(), size - rows);
  }
  EXPECT_EQ(taken.size(), 100U);
  for (const Cursor& cursor : taken) ASSERT_EQ(cursor, twin.next(clock_, Instant(0s))->cursor);
  EXPECT_EQ(queue_.cursor_count(), 20U);
  EXPECT_EQ(queue_.due_count(), 20U);
}

TEST_F(SiteQueueFairTest, CountsTheRowsOfAJobAndKnowsItsLastDueTime) {
  EXPECT_EQ(queue_.rows_of(1), 0U);
  EXPECT_EQ(queue_.latest_due(clock_), Instant::min());
  queue_.add({1, 0, 1, 40}, 5, 0xA);
  queue_.add({1, 0, 2, 7}, 5, 0xA);
  queue_.add_due(due(1, Instant(3s)), 1, 5);
  queue_.add_due(due(2, Instant(2s)), 1, 5);
  queue_.add_due(due(3, Instant(9s)), 2, 5);
  EXPECT_EQ(queue_.rows_of(1), 42U);
  EXPECT_EQ(queue_.rows_of(2), 8U);
  EXPECT_EQ(queue_.latest_due(clock_, 1), Instant(3s));
  EXPECT_EQ(queue_.latest_due(clock_, 2), Instant(9s));
  EXPECT_EQ(queue_.latest_due(clock_, 3), Instant::min());
  EXPECT_EQ(queue_.latest_due(clock_), Instant(9s));
  queue_.pause_job(2);
  while (next(Instant(4s))) {
  }
  EXPECT_EQ(queue_.rows_of(1), 0U);
  EXPECT_EQ(queue_.rows_of(2), 8U);
  EXPECT_EQ(queue_.latest_due(clock_, 1), Instant::min());
  queue_.add_due(due(4, Instant(5s)), 1, 5);
  EXPECT_EQ(queue_.latest_due(clock_, 1), Instant(5s));
}

TEST_F(SiteQueueFairTest, PausedFirstAttemptsAreNotReady) {
  queue_.add({1, 0, 1, 40}, 5, 0xA);
  queue_.add({1, 0, 2, 2}, 5, 0xA);
  queue_.add_due(due(1, Instant(1s)), 3, 5);
  EXPECT_EQ(queue_.rows_ready(clock_, Instant(0s), 1'000), 42U);
  EXPECT_EQ(queue_.rows_ready(clock_, Instant(1s), 1'000), 43U);
  EXPECT_EQ(queue_.rows_ready(clock_, Instant(1s), 7), 7U);
  queue_.pause_job(1);
  queue_.pause_job(1);
  queue_.add({1, 1, 1, 40}, 5, 0xA);
  EXPECT_EQ(queue_.rows_ready(clock_, Instant(1s), 1'000), 3U);
  queue_.resume_job(1);
  EXPECT_EQ(queue_.rows_ready(clock_, Instant(1s), 1'000), 83U);
  queue_.pause_job(1);
  queue_.remove_job(
      1, [](const Cursor&) {}, [](const DueRow&) {});
  EXPECT_EQ(queue_.rows_ready(clock_, Instant(1s), 1'000), 3U);
}

// What a domain, a cursor and a job take, and that all of it is given back.
TEST_F(SiteQueueFairTest, AHundredThousandDomainsAndThousandsOfJobsFit) {
  const size_t empty = queue_.memory_bytes();
  for (uint64_t domain = 0; domain < 100'000; ++domain) queue_.add({1, 0, 1, 1}, 5, domain);
  const size_t domains = queue_.memory_bytes() - empty;
  EXPECT_LE(domains, 100'000U * 60);
  for (uint32_t block = 1; block < 5; ++block) {
    for (uint64_t domain = 0; domain < 100'000; ++domain) queue_.add({1, block, 1, 1}, 5, domain);
  }
  const size_t cursors = queue_.memory_bytes() - empty - domains;
  EXPECT_LE(cursors, 400'000U * 17);
  for (uint32_t block = 0; block < 5; ++block) {
    for (int i = 0; i < 100'000; ++i) ASSERT_EQ(next()->cursor.block, block);
  }
  EXPECT_LE(queue_.memory_bytes(), empty);
  for (JobIndex job = 0; job < 5'000; ++job) queue_.add({1, 0, job, 1}, 5, 0xA);
  EXPECT_LE(queue_.memory_bytes() - empty, 5'000U * 420);
  for (JobIndex job = 0; job < 5'000; ++job) ASSERT_EQ(next()->job, job);
  EXPECT_LE(queue_.memory_bytes(), empty);
}

// Against a queue that looks at everything: the same domain order, job order and priorities.
TEST_F(SiteQueueFairTest, KeepsItsOrderOverRandomOperations) {
  struct Domain {
    uint64_t name;
    std::vector<Cursor> cursors;
  };
  struct Job {
    std::vector<Domain> ring;  // whose turn it is first
  };
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    SiteQueue queue;
    std::map<JobIndex, Job> jobs;
    std::map<JobIndex, uint64_t> given;
    uint32_t fresh = 0;
    for (int i = 0; i < 4'000; ++i) {
      const auto job = static_cast<JobIndex>(random.below(5));
      // Fills and drains by turns, so that tables grow and domains end.
      const bool fills = (i / 500) % 2 == 0;
      if (random.below(4) < (fills ? 3U : 1U)) {
        const uint64_t name = random.below(200);
        const Cursor cursor{fresh, fresh, job, 1 + static_cast<uint32_t>(random.below(9))};
        ++fresh;
        queue.add(cursor, static_cast<uint8_t>(job % 2), name);
        auto& ring = jobs[job].ring;
        auto known = std::find_if(ring.begin(), ring.end(),
                                  [name](const Domain& domain) { return domain.name == name; });
        if (known == ring.end()) known = ring.insert(ring.end(), Domain{name, {}});
        known->cursors.push_back(cursor);
        continue;
      }
      const auto pick = queue.next(clock_, Instant(0s));
      if (!pick) {
        for (const auto& [index, other] : jobs) ASSERT_TRUE(other.ring.empty());
        continue;
      }
      for (const auto& [index, other] : jobs) {
        ASSERT_TRUE(other.ring.empty() || index % 2 >= pick->job % 2);
      }
      auto& ring = jobs[pick->job].ring;
      ASSERT_FALSE(ring.empty());
      Domain domain = ring.front();
      ASSERT_EQ(domain.cursors.front(), pick->cursor);
      ring.erase(ring.begin());
      domain.cursors.erase(domain.cursors.begin());
      if (!domain.cursors.empty()) ring.push_back(domain);
    }
    uint64_t left = 0;
    for (const auto& [index, job] : jobs) {
      for (const Domain& domain : job.ring) {
        for (const Cursor& cursor : domain.cursors) left += cursor.rows;
      }
    }
    ASSERT_EQ(queue.size(), left);
  }
}

}  // namespace
}  // namespace sluice
