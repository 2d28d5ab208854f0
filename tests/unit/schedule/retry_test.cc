#include "engine/schedule/retry.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice {
namespace {

constexpr Configuration::Retry kRetry{std::chrono::minutes(20), std::chrono::hours(4)};
constexpr WallTime kFirst = from_unix_seconds(1'800'000'000);

TEST(Retry, DoublesUpToTheLongestWithTenPerCentOfJitter) {
  Random random(1);
  const Duration expected[] = {20min, 40min, 80min, 160min, 240min, 240min};
  for (uint32_t attempts = 1; attempts <= 6; ++attempts) {
    const Duration middle = expected[attempts - 1];
    std::set<Duration> seen;
    for (int i = 0; i < 1'000; ++i) {
      const Duration pause = retry_pause(attempts, kRetry, random);
      EXPECT_GE(pause, middle - middle / 10);
      EXPECT_LE(pause, middle + middle / 10);
      seen.insert(pause);
    }
    EXPECT_GT(seen.size(), 900U);
    EXPECT_LT(*seen.begin(), middle - middle / 12);
    EXPECT_GT(*seen.rbegin(), middle + middle / 12);
  }
  EXPECT_LE(retry_pause(UINT32_MAX, kRetry, random), 264min);
}

TEST(Retry, NeverPausesForNothing) {
  Random random(2);
  EXPECT_GE(retry_pause(1, {Duration::zero(), Duration::zero()}, random), Duration(1ms));
  EXPECT_GE(retry_pause(9, {-1h, -1h}, random), Duration(1ms));
  EXPECT_GT(retry_pause(9, {Duration::max(), Duration::max()}, random), Duration(24h));
}

TEST(Retry, ExpiresWhenTheNextAttemptWouldComeTooLate) {
  Random random(3);
  const RetryDecision later = next_attempt(1, kFirst, kFirst + 1s, 72h, kRetry, random);
  ASSERT_TRUE(later.due);
  EXPECT_GE(*later.due, kFirst + 18min);
  EXPECT_LE(*later.due, kFirst + 23min);
  EXPECT_TRUE(next_attempt(1, kFirst, kFirst + 1s, 10min, kRetry, random).expired());
  EXPECT_TRUE(next_attempt(7, kFirst, kFirst + 71h, 72h, kRetry, random).expired());
  EXPECT_FALSE(next_attempt(7, kFirst, kFirst + 60h, 72h, kRetry, random).expired());
}

TEST(Retry, EveryRowEndsWithinItsLifetime) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    WallTime now = kFirst;
    uint32_t attempts = 0;
    while (true) {
      ++attempts;
      const RetryDecision decision = next_attempt(attempts, kFirst, now, 72h, kRetry, random);
      if (decision.expired()) break;
      ASSERT_GT(*decision.due, now);
      now = *decision.due;
      ASSERT_LE(now, kFirst + 72h);
    }
    EXPECT_GE(attempts, 18U);
    EXPECT_LE(attempts, 26U);
  }
}

TEST(Retry, KnowsTheEndOfALifetime) {
  EXPECT_FALSE(lifetime_over(kFirst, kFirst + 1h, 1h));
  EXPECT_TRUE(lifetime_over(kFirst, kFirst + 1h + 1ns, 1h));
}

}  // namespace
}  // namespace sluice
