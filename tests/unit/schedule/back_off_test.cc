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

TEST(BackOff, CountsWholeCohortsOnly) {
  Random random(4);
  BackOff back_off;
  // Five are tried; four fail, one is answered.
  for (uint32_t others = 4; others > 0; --others) {
    EXPECT_FALSE(back_off.failed(Instant(1s), Instant(2s), 5, 4h, random, others));
  }
  EXPECT_EQ(back_off.not_before(), Instant::min());
  back_off.succeeded();
  // Five fail.
  for (uint32_t others = 4; others > 0; --others) {
    EXPECT_FALSE(back_off.failed(Instant(3s), Instant(4s), 5, 4h, random, others));
  }
  EXPECT_TRUE(back_off.failed(Instant(3s), Instant(4s), 5, 4h, random, 0));
  EXPECT_EQ(back_off.failures(), 1U);
  expect_about(back_off.not_before() - Instant(4s), 1s);
}

TEST(BackOff, DoesNotWaitForOneThatHangs) {
  Random random(5);
  BackOff back_off;
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(back_off.failed(Instant(1s), Instant(2s), 5, 4h, random, 4));
  }
  EXPECT_TRUE(back_off.failed(Instant(3s), Instant(4s), 5, 4h, random, 1));
  EXPECT_EQ(back_off.failures(), 1U);
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

}  // namespace
}  // namespace sluice
