#include "engine/record/recovery.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/record/journal_builder.h"

namespace sluice {
namespace {

JournalEntry entry(SegmentRow row, State state, uint32_t attempts, Duration at = 0s) {
  JournalEntry e;
  e.job = "a";
  e.segment = 1;
  e.row = row;
  e.state = state;
  e.attempts = attempts;
  e.session = 7;
  e.at = kStart + at;
  e.first_at = kStart;
  e.next_at = kStart + at + 20min;
  e.size = 100;
  return e;
}

JournalEntry event(JobEvent what, Duration at) {
  JournalEntry e;
  e.kind = JournalEntry::Kind::kJobEvent;
  e.job = "a";
  e.event = what;
  e.at = kStart + at;
  return e;
}

int64_t count(const JobRecovery& job, State state) {
  return job.states[static_cast<size_t>(state)];
}

TEST(Recovery, HoldsInEveryOrder) {
  std::vector<JournalEntry> entries = {
      entry(0, State::kDelivered, 1),    entry(1, State::kDeferred, 1),
      entry(1, State::kDeferred, 2, 1h), entry(2, State::kDeferred, 1),
      entry(2, State::kBounced, 2),      entry(200, State::kExpired, 9)};
  std::vector<size_t> order = {0, 1, 2, 3, 4, 5};
  do {
    Recovery recovery({"a", "b"});
    for (const size_t i : order) ASSERT_TRUE(recovery.add(entries[i]).ok());
    recovery.finish();
    const JobRecovery* job = recovery.job("a");
    ASSERT_NE(job, nullptr);
    const SegmentRecovery* segment = job->segment(1);
    ASSERT_NE(segment, nullptr);
    EXPECT_TRUE(segment->is_final(0));
    EXPECT_FALSE(segment->is_final(1));
    EXPECT_TRUE(segment->is_final(2));
    EXPECT_FALSE(segment->is_final(3));
    EXPECT_TRUE(segment->is_final(200));
    EXPECT_FALSE(segment->is_final(1'000'000));
    EXPECT_EQ(segment->final_count(), 3u);
    ASSERT_EQ(segment->deferred().size(), 1u);
    EXPECT_EQ(segment->deferred()[0].row, 1u);
    EXPECT_EQ(segment->deferred()[0].attempts, 2u);
    EXPECT_EQ(segment->deferred()[0].next_at, kStart + 1h + 20min);
    EXPECT_EQ(segment->deferred()[0].first_at, kStart);
    EXPECT_EQ(count(*job, State::kDelivered), 1);
    EXPECT_EQ(count(*job, State::kBounced), 1);
    EXPECT_EQ(count(*job, State::kExpired), 1);
    EXPECT_EQ(count(*job, State::kDeferred), 1);
    EXPECT_EQ(job->attempts, 6);
    EXPECT_EQ(job->bytes, 100);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Recovery, OtherJobsAndUnknownSegments) {
  Recovery recovery({"b"});
  ASSERT_TRUE(recovery.add(entry(0, State::kDelivered, 1)).ok());
  recovery.finish();
  EXPECT_EQ(recovery.job("a"), nullptr);
  ASSERT_NE(recovery.job("b"), nullptr);
  EXPECT_EQ(recovery.job("b")->segment(0), nullptr);
}

TEST(Recovery, ASecondFinalEntryIsCountedAndNotBelieved) {
  Recovery recovery({"a"});
  ASSERT_TRUE(recovery.add(entry(0, State::kDelivered, 1)).ok());
  ASSERT_TRUE(recovery.add(entry(0, State::kBounced, 1)).ok());
  ASSERT_TRUE(recovery.add(entry(0, State::kDeferred, 7)).ok());
  recovery.finish();
  const JobRecovery* job = recovery.job("a");
  EXPECT_EQ(count(*job, State::kDelivered), 1);
  EXPECT_EQ(count(*job, State::kBounced), 0);
  EXPECT_EQ(count(*job, State::kDeferred), 0);
  EXPECT_EQ(job->final_twice, 1);
}

TEST(Recovery, MarksAreCountedByEntry) {
  Recovery recovery({"a"});
  JournalEntry marked = entry(0, State::kDeferred, 1);
  marked.dns_stale = true;
  marked.maybe_delivered = true;
  ASSERT_TRUE(recovery.add(marked).ok());
  marked.attempts = 2;
  marked.maybe_delivered = false;
  ASSERT_TRUE(recovery.add(marked).ok());
  ASSERT_TRUE(recovery.add(entry(0, State::kDelivered, 3)).ok());
  recovery.finish();
  EXPECT_EQ(recovery.job("a")->stale, 2);
  EXPECT_EQ(recovery.job("a")->maybe_delivered, 1);
}

TEST(Recovery, ImpossibleRowsAreRefused) {
  Recovery recovery({"a"});
  EXPECT_FALSE(recovery.add(entry(kSegmentRowsEnd, State::kDelivered, 1)).ok());
  EXPECT_TRUE(recovery.add(entry(kSegmentRowsEnd - 1, State::kDelivered, 1)).ok());
}

TEST(Recovery, JobEvents) {
  Recovery recovery({"a"});
  ASSERT_TRUE(recovery.add(event(JobEvent::kResumed, 2s)).ok());
  ASSERT_TRUE(recovery.add(event(JobEvent::kPaused, 1s)).ok());
  EXPECT_FALSE(recovery.job("a")->paused);
  ASSERT_TRUE(recovery.add(event(JobEvent::kPaused, 3s)).ok());
  EXPECT_TRUE(recovery.job("a")->paused);
  EXPECT_FALSE(recovery.job("a")->cancelled);
  ASSERT_TRUE(recovery.add(event(JobEvent::kCancelled, 3s)).ok());
  ASSERT_TRUE(recovery.add(event(JobEvent::kFinished, 4s)).ok());
  EXPECT_TRUE(recovery.job("a")->cancelled);
  EXPECT_TRUE(recovery.job("a")->finished);
}

TEST(Recovery, ManyAttemptsOfManyRowsKeepTheLast) {
  Recovery recovery({"a"});
  for (uint32_t attempt = 1; attempt <= 20; ++attempt) {
    for (SegmentRow row = 0; row < 5'000; ++row) {
      ASSERT_TRUE(recovery.add(entry(row, State::kDeferred, attempt, attempt * 1h)).ok());
    }
  }
  for (SegmentRow row = 0; row < 5'000; row += 2) {
    ASSERT_TRUE(recovery.add(entry(row, State::kDelivered, 21)).ok());
  }
  recovery.finish();
  const SegmentRecovery* segment = recovery.job("a")->segment(1);
  ASSERT_EQ(segment->deferred().size(), 2'500u);
  EXPECT_EQ(segment->deferred().capacity(), 2'500u);
  for (size_t i = 0; i < 2'500; ++i) {
    EXPECT_EQ(segment->deferred()[i].row, 2 * i + 1);
    EXPECT_EQ(segment->deferred()[i].attempts, 20u);
  }
}

}  // namespace
}  // namespace sluice
