#include "engine/schedule/back_off.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

void expect_about(Duration pause, Duration middle) {
  EXPECT_GE(pause, middle - middle / 10);
  EXPECT_LE(pause, middle + middle / 10);
}

TEST(BackOff, PausesShortlyThenLong) {
  Random random(1);
  BackOff back_off;
  EXPECT_EQ(back_off.not_before(), Instant::min());
  Instant now(100s);
  const Duration expected[] = {1s,   2s,    4s,    8s,    1min,   2min,   4min,
                               8min, 16min, 32min, 64min, 128min, 240min, 240min};
  uint32_t failures = 0;
  for (const Duration middle : expected) {
    back_off.failed(now, now, 5, 4h, random);
    EXPECT_EQ(back_off.failures(), ++failures);
    EXPECT_EQ(back_off.delayed(5), failures >= 5);
    expect_about(back_off.not_before() - now, middle);
    now = back_off.not_before();
  }
  back_off.succeeded();
  EXPECT_EQ(back_off.not_before(), Instant::min());
  back_off.failed(now, now, 5, 4h, random);
  expect_about(back_off.not_before() - now, 1s);
}

TEST(BackOff, CountsAnOutageOnceHoweverManyAttemptsSawIt) {
  Random random(2);
  BackOff back_off;
  for (int i = 0; i < 20; ++i) {
    back_off.failed(Instant(1s), Instant(31s) + Duration(i), 5, 4h, random);
  }
  EXPECT_EQ(back_off.failures(), 1U);
  back_off.failed(Instant(33s), Instant(40s), 5, 4h, random);
  EXPECT_EQ(back_off.failures(), 2U);
}

TEST(BackOff, TakesAnyThresholdAndLongest) {
  Random random(3);
  BackOff at_once;
  at_once.failed(Instant(0s), Instant(0s), 0, 4h, random);
  expect_about(at_once.not_before() - Instant(0s), 1min);
  BackOff hasty;
  hasty.failed(Instant(0s), Instant(0s), 1, 5s, random);
  expect_about(hasty.not_before() - Instant(0s), 5s);
  BackOff patient;
  Instant now(0s);
  for (int i = 0; i < 40; ++i) patient.failed(now, now, 1'000, 4h, random);
  expect_about(patient.not_before() - now, 30s);
}

TEST(Ramp, DoublesToTheLimitAndHalvesWhenTheSiteIsDown) {
  Random random(1);
  Ramp ramp;
  Instant now(1s);
  EXPECT_EQ(ramp.limit(20, now), 5U);
  EXPECT_EQ(ramp.limit(3, now), 3U);
  ramp.accepted(20);
  EXPECT_EQ(ramp.limit(20, now), 10U);
  ramp.accepted(20);
  ramp.accepted(20);
  EXPECT_EQ(ramp.limit(20, now), 20U);
  for (int i = 0; i < 10; ++i, now += 1s) ramp.failed(now, 0, now, random);
  EXPECT_EQ(ramp.limit(20, now), 1U);
  EXPECT_EQ(ramp.probe_at(), Instant::min());
  ramp.accepted(20);
  EXPECT_EQ(ramp.limit(20, now), 2U);
  // A limit that rises later is reached by further doubling.
  for (int i = 0; i < 5; ++i) ramp.accepted(UINT32_MAX);
  EXPECT_EQ(ramp.limit(1'000, now), 64U);
}

TEST(Ramp, AttemptsOfOneBurstCountOnce) {
  Random random(1);
  Ramp ramp;
  const Instant now(1s);
  ramp.accepted(20);
  for (int i = 0; i < 10; ++i) ramp.failed(now, 0, now + 1s, random);
  EXPECT_EQ(ramp.limit(20, now), 5U);
}

// A receiver that serves two connections and refuses what goes beyond.
TEST(Ramp, ALimitThatNobodyTellsIsKept) {
  Random random(1);
  Ramp ramp;
  Instant now(1s);
  ramp.greeted(1, 20, now);
  ramp.greeted(2, 20, now);
  for (int i = 0; i < 3; ++i) ramp.failed(now, 2, now + 10ms, random);
  now += 20ms;
  EXPECT_EQ(ramp.limit(20, now), 2U);
  for (int i = 0; i < 1'000; ++i) ramp.accepted(20);
  EXPECT_EQ(ramp.limit(20, now), 2U) << "accepted messages say nothing of connections";

  int refused = 0;
  const Instant end = now + 1h;
  while (now < end) {
    now = std::max(now, ramp.probe_at());
    EXPECT_EQ(ramp.limit(20, now), 3U) << "one more is tried";
    ramp.failed(now, 2, now, random);
    ++refused;
    EXPECT_EQ(ramp.limit(20, now), 2U);
  }
  EXPECT_LE(refused, 25) << "twelve of five minutes, after nine that doubled";
}

TEST(Ramp, WidensByOneWhereTheReceiverAllowsMore) {
  Random random(1);
  Ramp ramp;
  Instant now(1s);
  ramp.greeted(1, 6, now);
  ramp.failed(now, 1, now, random);
  for (uint32_t open = 2; open <= 6; ++open) {
    EXPECT_EQ(ramp.limit(6, now), open - 1);
    now = ramp.probe_at();
    EXPECT_EQ(ramp.limit(6, now), open);
    ramp.greeted(open, 6, now);
  }
  EXPECT_EQ(ramp.probe_at(), Instant::min()) << "all is forgotten";
}

TEST(Ramp, AnOutageIsNoLimit) {
  Random random(1);
  Ramp ramp;
  Instant now(1s);
  ramp.greeted(1, 20, now);
  ramp.failed(now, 1, now, random);
  EXPECT_NE(ramp.probe_at(), Instant::min());
  now += 2min;
  ramp.failed(now, 0, now, random);
  EXPECT_EQ(ramp.probe_at(), Instant::min());
  for (int i = 0; i < 6; ++i) ramp.accepted(20);
  EXPECT_EQ(ramp.limit(20, now), 20U);
}

}  // namespace
}  // namespace sluice
