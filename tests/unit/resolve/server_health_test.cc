#include "engine/resolve/server_health.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{std::chrono::hours(1)};

void answer(ServerHealth& health, Instant now, Duration latency) {
  health.answered(now - latency, now);
}

TEST(ServerHealth, TheFasterOneComesFirst) {
  ServerHealth slow;
  ServerHealth fast;
  EXPECT_FALSE(slow.precedes(fast) || fast.precedes(slow)) << "as configured";
  answer(slow, kStart, milliseconds(20));
  EXPECT_TRUE(slow.precedes(fast)) << "what is known comes before what is not";
  answer(fast, kStart, milliseconds(10));
  EXPECT_TRUE(fast.precedes(slow));
  EXPECT_FALSE(slow.precedes(fast));
}

TEST(ServerHealth, LatencyIsSmoothed) {
  ServerHealth health;
  EXPECT_EQ(health.latency(), std::nullopt);
  answer(health, kStart, milliseconds(8));
  answer(health, kStart, milliseconds(800));
  EXPECT_EQ(health.latency(), milliseconds(107));
  for (int i = 0; i < 100; ++i) answer(health, kStart, milliseconds(8));
  EXPECT_LT(health.latency(), milliseconds(9));
}

TEST(ServerHealth, RestsDoubleUpToAMinute) {
  ServerHealth health;
  ServerHealth good;
  Instant now = kStart;
  for (const int rest : {1, 2, 4, 8, 16, 32, 60, 60, 60}) {
    health.failed(now, now);
    EXPECT_TRUE(health.is_resting());
    EXPECT_TRUE(good.precedes(health));
    EXPECT_FALSE(health.probe_due(now + seconds(rest) - milliseconds(1))) << rest;
    now += seconds(rest);
    EXPECT_TRUE(health.probe_due(now)) << rest;
    EXPECT_TRUE(good.precedes(health)) << "it has to answer first";
  }
  answer(health, now, milliseconds(1));
  EXPECT_FALSE(health.is_resting());
  EXPECT_TRUE(health.precedes(good));
  health.failed(now, now);
  EXPECT_TRUE(health.probe_due(now + seconds(1))) << "from the beginning";
}

TEST(ServerHealth, ManyQuestionsThatFailTogetherAreOneFailure) {
  ServerHealth health;
  for (int i = 0; i < 20; ++i) {
    health.failed(kStart + milliseconds(i), kStart + seconds(2) + milliseconds(i));
  }
  EXPECT_TRUE(health.probe_due(kStart + seconds(3)));
}

TEST(ServerHealth, OneProbeAtATime) {
  ServerHealth health;
  EXPECT_TRUE(health.probe_due(kStart)) << "nothing is known of it";
  health.probe_begins();
  EXPECT_FALSE(health.probe_due(kStart));
  health.probe_ended();
  answer(health, kStart, milliseconds(1));
  EXPECT_FALSE(health.probe_due(kStart + ServerHealth::kMeasureEvery - milliseconds(1)));
  EXPECT_TRUE(health.probe_due(kStart + ServerHealth::kMeasureEvery));
}

TEST(ServerHealth, WhenAllRestTheOneThatIsProbedNextComesFirst) {
  ServerHealth often;
  ServerHealth once;
  often.failed(kStart, kStart);
  often.failed(kStart, kStart);
  once.failed(kStart, kStart);
  EXPECT_TRUE(once.precedes(often));
  EXPECT_FALSE(often.precedes(once));
}

}  // namespace
}  // namespace sluice
