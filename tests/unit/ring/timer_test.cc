#include "engine/ring/timer.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>

#include "engine/base/random.h"

namespace sluice {
namespace {

using namespace std::chrono_literals;

class TimerTest : public ::testing::Test {
 protected:
  Executor executor_{1 << 16};
  Executor::Scope scope_{executor_};
  const Instant start_{Duration(123'456'789)};
  TimerWheel wheel_{start_};
  Signal signal_;
};

TEST_F(TimerTest, FiresAtItsDeadlineAndNotBefore) {
  Timer timer(signal_);
  timer.arm(wheel_, start_ + 10ms);
  wheel_.advance(start_ + 9ms + 999us);
  EXPECT_FALSE(timer.fired());
  wheel_.advance(start_ + 10ms);
  EXPECT_TRUE(timer.fired());
  EXPECT_FALSE(timer.armed());
  EXPECT_TRUE(signal_.is_set());
}

TEST_F(TimerTest, RoundsUpToTheTick) {
  Timer timer(signal_);
  timer.arm(wheel_, start_ + 1500us);
  wheel_.advance(start_ + 1999us);
  EXPECT_FALSE(timer.fired());
  wheel_.advance(start_ + 2ms);
  EXPECT_TRUE(timer.fired());
}

TEST_F(TimerTest, PastDeadlineFiresAtTheNextTick) {
  wheel_.advance(start_ + 5ms);
  Timer timer(signal_);
  timer.arm(wheel_, start_);
  EXPECT_FALSE(timer.fired());
  wheel_.advance(start_ + 6ms);
  EXPECT_TRUE(timer.fired());
}

TEST_F(TimerTest, DisarmedAndForeverNeverFire) {
  Timer disarmed(signal_);
  Timer never(signal_);
  disarmed.arm(wheel_, start_ + 5ms);
  never.arm(wheel_, kForever);
  disarmed.disarm();
  EXPECT_EQ(wheel_.armed_count(), 0U);
  EXPECT_EQ(wheel_.next_wake(), kForever);
  wheel_.advance(start_ + 1h);
  EXPECT_FALSE(disarmed.fired());
  EXPECT_FALSE(never.fired());
}

TEST_F(TimerTest, DeadlinesBeyondTheTopLevelStillFire) {
  Timer timer(signal_);
  const Duration far = 24h * 40;
  timer.arm(wheel_, start_ + far);
  Instant now = start_;
  int wakes = 0;
  while (!timer.fired()) {
    const Instant wake = wheel_.next_wake();
    ASSERT_GT(wake, now);
    ASSERT_LE(wake, start_ + far + 1ms);
    now = wake;
    wheel_.advance(now);
    ASSERT_LT(++wakes, 100);
  }
  EXPECT_GE(now, start_ + far);
}

// Against a multimap: every timer fires in the first advance() at or after its tick, whatever the
// steps, and next_wake() never lies behind the earliest deadline's tick.
TEST_F(TimerTest, AgreesWithAnOrderedMap) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    TimerWheel wheel(start_);
    std::deque<Signal> signals(200);
    std::vector<std::unique_ptr<Timer>> timers;
    for (Signal& signal : signals) timers.push_back(std::make_unique<Timer>(signal));
    Instant now = start_;
    for (int step = 0; step < 2000; ++step) {
      Timer& timer = *timers[random.below(timers.size())];
      const uint64_t kind = random.below(10);
      if (kind < 6) {
        const auto scale = 1ULL << random.below(34);
        timer.arm(wheel, now + Duration(static_cast<int64_t>(random.below(scale * 1000) + 1)));
      } else if (kind < 7) {
        timer.disarm();
      } else {
        now += Duration(static_cast<int64_t>(random.below(1ULL << random.below(40))));
        const Instant wake = wheel.next_wake();
        for (const auto& t : timers) {
          if (t->armed()) {
            ASSERT_LE(wake, t->deadline() + 1ms);
          }
        }
        wheel.advance(now);
        const Duration since = now - start_;
        const Instant tick = start_ + since / 1ms * 1ms;
        for (const auto& t : timers) {
          if (t->armed()) {
            ASSERT_GT(t->deadline(), tick) << "late, seed " << seed;
          }
        }
      }
    }
    for (const auto& t : timers) t->disarm();
  }
}

}  // namespace
}  // namespace sluice
