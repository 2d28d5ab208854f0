#include "engine/schedule/concurrency.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

// A window and what befalls it.
struct Site {
  Random random{1};
  Concurrency window;
  Instant now = Instant(1h);
  uint32_t policy = 20;

  uint32_t limit() const { return window.limit(policy, now); }
  // Greeted one after the other until so many are.
  void greet(uint32_t from, uint32_t to) {
    for (uint32_t open = from + 1; open <= to; ++open) {
      window.greeted({now, open - 1}, open, policy, now);
    }
  }
  // A whole window of messages; true when the last of them opened the window for a try.
  bool accept_all() {
    bool risen = false;
    for (uint32_t i = 0; i < window.window(); ++i) risen = window.accepted(now);
    return risen;
  }
  // Begun beside `others`, which are greeted still when it fails.
  void refuse(uint32_t others) { window.failed({now, others}, others, 0, now, random); }
  void wait_for_try() {
    accept_all();
    ASSERT_GT(window.probe_at(now), now);
    now = window.probe_at(now);
  }
};

// The receiver serves so many; one more was refused.
Site limited_to(uint32_t served, uint32_t policy = 20) {
  Site site;
  site.policy = policy;
  site.greet(0, served);
  site.refuse(served);
  return site;
}

TEST(Concurrency, IsTwiceWhatIsGreetedUntilThePolicysLimit) {
  Site site;
  EXPECT_EQ(site.limit(), 5U);
  EXPECT_EQ(site.window.limit(3, site.now), 3U);
  site.greet(0, 2);
  EXPECT_EQ(site.limit(), 5U) << "five are begun with";
  site.greet(2, 5);
  EXPECT_EQ(site.limit(), 10U);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(site.window.accepted(site.now));
  EXPECT_EQ(site.limit(), 10U) << "messages say nothing of further connections";
  site.greet(5, 20);
  EXPECT_EQ(site.limit(), 20U);
  EXPECT_FALSE(site.window.is_held_back());
  // A limit that rises later is reached by further doubling.
  site.policy = 1'000;
  site.greet(20, 1'000);
  EXPECT_EQ(site.limit(), 1'000U);
}

TEST(Concurrency, ARefusalOfMoreThanEverIsBelievedAtOnce) {
  Site site;
  site.greet(0, 8);
  EXPECT_EQ(site.limit(), 16U);
  // Eight more were begun together: each that is refused leaves one fewer.
  for (uint32_t beside = 8; beside < 16; ++beside) {
    site.window.failed({site.now, beside}, 8, 15 - beside, site.now + 10ms, site.random);
  }
  site.now += 20ms;
  EXPECT_EQ(site.limit(), 8U);
  EXPECT_TRUE(site.window.is_held_back());
}

TEST(Concurrency, AHiddenLimitIsTriedEverMoreRarely) {
  Site site = limited_to(2);
  EXPECT_EQ(site.limit(), 2U);
  int refused = 0;
  for (const Instant end = site.now + 1h; site.now < end; ++refused) {
    site.wait_for_try();
    ASSERT_EQ(site.limit(), 3U) << "one more is tried";
    site.refuse(2);
    ASSERT_EQ(site.limit(), 2U);
  }
  EXPECT_LE(refused, 25) << "twelve of five minutes, after ten that doubled";
  EXPECT_GE(refused, 15) << "it is tried now and then";
}

TEST(Concurrency, NoMoreIsTriedBeforeAWindowOfMessagesIsAccepted) {
  Site site = limited_to(4);
  site.now += 1min;
  EXPECT_EQ(site.limit(), 4U);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(site.window.accepted(site.now));
  EXPECT_EQ(site.limit(), 4U);
  EXPECT_TRUE(site.window.accepted(site.now)) << "the fourth: limit() has risen";
  EXPECT_EQ(site.limit(), 5U);
}

TEST(Concurrency, WidensByOneForEachWindowOfMessages) {
  Site site = limited_to(3, 8);
  site.wait_for_try();
  for (uint32_t open = 4; open <= 8; ++open) {
    ASSERT_EQ(site.limit(), open);
    site.greet(open - 1, open);
    ASSERT_EQ(site.limit(), open);
    if (open < 8) {
      ASSERT_TRUE(site.accept_all()) << "no pause is left after a try that was greeted";
    }
  }
  EXPECT_FALSE(site.window.is_held_back()) << "at the policy's limit all is forgotten";
}

TEST(Concurrency, AWideningThatCannotStayIsTakenBackAndItsPauseGoesOn) {
  Site site = limited_to(8);
  for (int i = 0; i < 5; ++i) {
    site.wait_for_try();
    site.refuse(8);
  }
  const Duration pause = 16s;
  site.wait_for_try();
  site.greet(8, 9);
  EXPECT_EQ(site.limit(), 9U);
  site.refuse(8);
  EXPECT_EQ(site.limit(), 8U);
  site.accept_all();
  EXPECT_GE(site.window.probe_at(site.now) - site.now, 2 * pause * 9 / 10);
}

TEST(Concurrency, OfFailuresWithinTheWindowTheFirstOfAWindowsWorthCounts) {
  Site site = limited_to(10);
  const auto fail_and_greet = [&] {
    site.refuse(8);
    site.greet(8, 9);
  };
  fail_and_greet();
  EXPECT_EQ(site.window.window(), 9U) << "the first at once";
  for (int i = 0; i < 10; ++i) {
    fail_and_greet();
    ASSERT_EQ(site.window.window(), 9U) << i;
  }
  site.refuse(8);
  EXPECT_EQ(site.window.window(), 8U);
}

TEST(Concurrency, AWindowOfGreetingsWithoutAFailureForgetsThem) {
  Site site = limited_to(10);
  site.refuse(8);
  EXPECT_EQ(site.window.window(), 9U);
  for (int i = 0; i < 10; ++i) site.greet(7, 8);
  site.refuse(7);
  EXPECT_EQ(site.window.window(), 8U) << "the first again";
}

TEST(Concurrency, OthersThatAreTriedTellFirst) {
  Site site = limited_to(10);
  for (uint32_t dialling = 3; dialling > 0; --dialling) {
    site.window.failed({site.now, 5}, 5, dialling, site.now, site.random);
    EXPECT_EQ(site.limit(), 9U);
  }
  site.window.failed({site.now, 5}, 5, 0, site.now, site.random);
  EXPECT_EQ(site.limit(), 0U);
  site.window.greeted({site.now, 6}, 7, site.policy, site.now);
  EXPECT_GE(site.limit(), 7U) << "one that was begun before is greeted after all";
}

TEST(Concurrency, AfterAllThatWereTriedHaveFailedOneAtATimeIsTried) {
  Site site = limited_to(10);
  for (int i = 0; i < 2; ++i) {
    site.refuse(5);
    EXPECT_EQ(site.limit(), 9U) << "a single failure says little";
  }
  site.refuse(5);
  EXPECT_EQ(site.limit(), 0U);
  const Duration held = site.window.probe_at(site.now) - site.now;
  EXPECT_GE(held, Concurrency::kHold * 9 / 10);
  EXPECT_LE(held, Concurrency::kHold * 11 / 10);
  site.now += held;
  const auto limit = [&](uint32_t greeted) {
    return site.window.limit(site.policy, site.now, greeted);
  };
  EXPECT_EQ(limit(5), 6U) << "one is tried beside those that are greeted";
  EXPECT_EQ(limit(2), 3U) << "however few of them are left";
  site.refuse(5);
  EXPECT_EQ(limit(5), 0U);
  const Duration again = site.window.probe_at(site.now) - site.now;
  EXPECT_GE(again, 2 * Concurrency::kHold * 9 / 10) << "and the next time takes longer";
  site.now += again;
  site.greet(2, 3);
  EXPECT_EQ(limit(3), 5U) << "two at a time";
  site.greet(3, 5);
  EXPECT_EQ(limit(5), 9U);
}

TEST(Concurrency, AFailedCohortLeavesWhatIsServed) {
  Site site;
  site.policy = 100;
  site.greet(0, 50);
  // The receiver serves fewer from now on: as sessions end, others are refused.
  for (uint32_t others = 49; others > 39; --others) site.refuse(others);
  EXPECT_EQ(site.limit(), 0U) << "for a moment nothing is dialled";
  EXPECT_EQ(site.window.window(), 40U);
  EXPECT_GE(site.window.probe_at(site.now) - site.now, Concurrency::kHold * 9 / 10);
  EXPECT_LE(site.window.probe_at(site.now) - site.now, Concurrency::kHold * 11 / 10);
  site.now = site.window.probe_at(site.now);
  EXPECT_EQ(site.limit(), 40U);
  site.refuse(30);
  EXPECT_EQ(site.window.window(), 30U) << "nobody was greeted in between";
}

TEST(Concurrency, OneOfACohortThatIsGreetedSavesTheWindow) {
  Site site;
  site.policy = 40;
  site.greet(0, 40);
  // Again and again some fail, but never a cohort of them without one that is greeted.
  for (uint32_t i = 0; i < 36; ++i) {
    if (i % 9 == 8) site.window.greeted({site.now, 35}, 36, site.policy, site.now);
    site.window.failed({site.now, 30}, 30, 4, site.now, site.random);
  }
  EXPECT_EQ(site.window.window(), 39U);
}

TEST(Concurrency, ASiteThatIsDownGetsOneUntilItGreets) {
  Site site;
  for (uint32_t others = 4; others > 0; --others) {
    site.window.failed({site.now, others}, 0, others, site.now, site.random);
    EXPECT_EQ(site.window.window(), 5U) << "the others may be greeted yet";
    EXPECT_EQ(site.limit(), 0U);
  }
  site.window.failed({site.now, 0}, 0, 0, site.now, site.random);
  site.now = site.window.probe_at(site.now);
  EXPECT_EQ(site.limit(), 1U);
  site.refuse(0);
  site.now = site.window.probe_at(site.now);
  EXPECT_EQ(site.limit(), 1U);
  site.greet(0, 1);
  EXPECT_EQ(site.limit(), 5U);
}

TEST(Concurrency, AnOutageEndsACarefulTime) {
  Site site = limited_to(2);
  EXPECT_TRUE(site.window.is_held_back());
  site.now += 2min;
  site.refuse(0);
  EXPECT_FALSE(site.window.is_held_back());
  site.now += 1s;
  site.greet(0, 20);
  EXPECT_EQ(site.limit(), 20U);
}

// Whatever happens in whatever order, the bounds hold.
TEST(Concurrency, StaysWithinItsBounds) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    Concurrency window;
    Instant now(1h);
    const auto policy = static_cast<uint32_t>(1 + random.below(100));
    for (int i = 0; i < 5'000; ++i) {
      now += Duration(random.below(1'000'000'000));
      const auto greeted = static_cast<uint32_t>(random.below(policy + 1));
      const auto dialling = static_cast<uint32_t>(random.below(policy + 1));
      const Concurrency::Attempt attempt{now - Duration(random.below(500'000'000)),
                                         static_cast<uint32_t>(random.below(policy))};
      switch (random.below(3)) {
        case 0:
          window.greeted(attempt, greeted + dialling + 1, policy, now);
          break;
        case 1:
          window.failed(attempt, greeted, dialling, now, random);
          break;
        default:
          window.accepted(now);
      }
      ASSERT_GE(window.window(), 1U);
      ASSERT_LE(window.window(), std::max(policy, Concurrency::kStart));
      ASSERT_LE(window.limit(policy, now), policy);
      const Instant later = window.probe_at(now);
      if (window.limit(policy, now) == 0) {
        ASSERT_GT(later, now) << "somebody must wake it";
        ASSERT_GE(window.limit(policy, later), 1U);
      }
      if (later != Instant::min()) {
        ASSERT_LE(later - now, Concurrency::kPauseMax * 11 / 10);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
