#include "engine/schedule/wait_tally.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

constexpr Instant kStart{std::chrono::hours(1'000)};

TEST(WaitTally, NothingWasWaitedFor) {
  WaitTally tally;
  EXPECT_EQ(tally.dominant(kStart), Bottleneck::kNone);
  EXPECT_EQ(tally.share(Bottleneck::kReplies, kStart), 0);
  tally.set(Bottleneck::kNone, kStart);
  EXPECT_EQ(tally.dominant(kStart + 1h), Bottleneck::kNone);
}

TEST(WaitTally, TimeCountsNotChanges) {
  WaitTally tally;
  Instant now = kStart;
  // A permit every millisecond, which takes 50 us to use.
  for (int i = 0; i < 20'000; ++i) {
    tally.set(Bottleneck::kMessageRate, now);
    now += 950us;
    tally.set(Bottleneck::kReplies, now);
    now += 25us;
    tally.set(Bottleneck::kDisk, now);
    now += 25us;
  }
  EXPECT_EQ(tally.dominant(now), Bottleneck::kMessageRate);
  EXPECT_NEAR(tally.share(Bottleneck::kMessageRate, now), 0.95, 0.001);
  EXPECT_NEAR(tally.share(Bottleneck::kReplies, now), 0.025, 0.001);
}

TEST(WaitTally, WhatIsGoingOnCountsBeforeItEnds) {
  WaitTally tally;
  tally.set(Bottleneck::kReplies, kStart);
  tally.set(Bottleneck::kConnectionRate, kStart + 1s);
  EXPECT_EQ(tally.dominant(kStart + 1500ms), Bottleneck::kReplies);
  EXPECT_EQ(tally.dominant(kStart + 3s), Bottleneck::kConnectionRate);
  EXPECT_EQ(tally.current(), Bottleneck::kConnectionRate);
}

TEST(WaitTally, TheNewReasonIsToldWithinTenSeconds) {
  WaitTally tally;
  tally.set(Bottleneck::kReplies, kStart);
  tally.set(Bottleneck::kMessageRate, kStart + 1h);
  EXPECT_EQ(tally.dominant(kStart + 1h + 1s), Bottleneck::kReplies);
  EXPECT_EQ(tally.dominant(kStart + 1h + 10s), Bottleneck::kMessageRate);
  EXPECT_GT(tally.share(Bottleneck::kMessageRate, kStart + 1h + 40s), 0.98);
}

TEST(WaitTally, TimeWithoutMailLeavesTheSharesAsTheyWere) {
  WaitTally tally;
  tally.set(Bottleneck::kReplies, kStart);
  tally.set(Bottleneck::kDisk, kStart + 3s);
  tally.set(Bottleneck::kNone, kStart + 4s);
  EXPECT_NEAR(tally.share(Bottleneck::kReplies, kStart + 4s), 0.75, 0.001);
  EXPECT_NEAR(tally.share(Bottleneck::kReplies, kStart + 20s), 0.75, 0.001);
  EXPECT_EQ(tally.dominant(kStart + 20s), Bottleneck::kReplies);
  EXPECT_EQ(tally.dominant(kStart + 2h), Bottleneck::kNone);
}

TEST(WaitTally, ALongStateIsItselfHoweverLongNobodyAsked) {
  for (const Duration long_time : {Duration(12s), Duration(3min), Duration(100h)}) {
    WaitTally tally;
    tally.set(Bottleneck::kBackOff, kStart);
    EXPECT_EQ(tally.dominant(kStart + long_time), Bottleneck::kBackOff);
    EXPECT_EQ(tally.share(Bottleneck::kBackOff, kStart + long_time), 1);
    tally.set(Bottleneck::kReplies, kStart + long_time);
    EXPECT_EQ(tally.dominant(kStart + long_time), Bottleneck::kBackOff);
  }
}

LaneFacts busy() {
  LaneFacts facts;
  facts.rows_waiting = 100;
  facts.rows_loaded = 20;
  facts.connections = 5;
  facts.connection_limit = 20;
  return facts;
}

TEST(BottleneckOf, WhatStopsEverythingGoesFirst) {
  LaneFacts facts = busy();
  facts.message_denied = Bottleneck::kMessageRate;
  facts.backing_off = true;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kBackOff);
  facts.refused = true;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kRefused);
  facts.paused = true;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kPaused);
  facts.halted = true;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kDisk);
  facts.rows_waiting = 0;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kNone);
}

TEST(BottleneckOf, LimitsOfMessagesGoBeforeThoseOfConnections) {
  LaneFacts facts = busy();
  facts.connections = 20;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kConnectionLimit);
  facts.message_denied = Bottleneck::kJobRate;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kJobRate);
  facts = busy();
  facts.connection_denied = Bottleneck::kMaxConnections;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kMaxConnections);
  facts.connection_limit = 0;
  facts.connection_denied = Bottleneck::kNone;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kReplies);
}

TEST(BottleneckOf, AFreeConnectionWithoutRowsWaitsForTheDisk) {
  LaneFacts facts = busy();
  facts.idle = 1;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kReplies);
  facts.rows_loaded = 0;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kDisk);
  facts = busy();
  facts.connections = 0;
  facts.reading = true;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kDisk);
}

TEST(BottleneckOf, OnlyDeferredRowsWaitForTheirTime) {
  LaneFacts facts;
  facts.rows_deferred = 3;
  EXPECT_EQ(bottleneck_of(facts), Bottleneck::kRetry);
}

}  // namespace
}  // namespace sluice
