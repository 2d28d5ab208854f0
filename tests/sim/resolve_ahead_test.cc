// Domains are resolved ahead of their rows, many at a time, and in turns: whoever comes with
// hundreds of them does not keep others waiting.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/scene.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kMany = 400;
constexpr uint32_t kFew = 5;
constexpr uint32_t kSlots = 1;  // fewer than the segments of a job that are walked at once
constexpr Duration kAnswer = std::chrono::milliseconds(100);
// Both of a domain's look-ups, kSlots domains at a time.
constexpr Duration kManyTake = 2 * kAnswer * kMany / kSlots;

// Every domain has an exchanger of its own; all are 10.0.0.1. Each look-up takes kAnswer.
struct Story {
  explicit Story(uint64_t seed, uint32_t slots = kSlots)
      : scene({.seed = seed, .limits = limits_with(slots)}), receiver(scene.receiver(1)) {
    scene.zones.delay_min = scene.zones.delay_max = kAnswer;
  }

  static Limits limits_with(uint32_t slots) {
    Limits limits;
    limits.resolutions_per_shard = slots;
    limits.segment_rows_max = 100;
    return limits;
  }

  std::vector<std::string> recipients(const std::string& name, uint32_t count) {
    std::vector<std::string> all;
    for (uint32_t i = 0; i < count; ++i) {
      const std::string domain = name + std::to_string(i) + ".test";
      scene.zones.add(domain + " MX 10 mx." + domain + "\nmx." + domain + " A 10.0.0.1");
      all.push_back("user" + std::to_string(i) + "@" + domain);
    }
    return all;
  }

  uint32_t taken(const std::string& name) const {
    uint32_t count = 0;
    for (const auto& [recipient, times] : scene.times_taken()) {
      if (recipient.find("@" + name) != std::string::npos) count += times;
    }
    return count;
  }

  Scene scene;
  Receiver& receiver;
};

TEST(ResolveAhead, ASmallJobIsNotBehindALargeOne) {
  Story story(1);
  story.scene.drop_job("large", story.recipients("many", kMany));
  story.scene.start();
  ASSERT_TRUE(
      story.scene.run_until([&] { return story.taken("many") > 0; }, std::chrono::seconds(10)));
  story.scene.drop_job("small", story.recipients("few", kFew));
  ASSERT_TRUE(story.scene.run_until([&] { return story.taken("few") == kFew; }, kManyTake / 4));
  EXPECT_LT(story.taken("many"), kMany / 2);
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::minutes(5)));
  EXPECT_EQ(story.taken("many"), kMany);
}

// All slots come free at one moment, again and again.
TEST(ResolveAhead, AllLookUpsEndAtOnce) {
  for (const uint32_t slots : {1U, 2U, 7U}) {
    SCOPED_TRACE(slots);
    Story story(2 + slots, slots);
    story.scene.drop_job("one", story.recipients("one", 40));
    story.scene.drop_job("two", story.recipients("two", 40));
    story.scene.start();
    ASSERT_TRUE(story.scene.run_jobs(std::chrono::minutes(5)));
    EXPECT_EQ(story.taken("one"), 40U);
    EXPECT_EQ(story.taken("two"), 40U);
  }
}

// Their name servers had no answer at first, and have one when the domains are due.
void servers_fail(Story& story, const std::string& name) {
  for (uint32_t i = 0; i < kFew; ++i) {
    const std::string domain = name + std::to_string(i) + ".test";
    story.scene.zones.remove(domain);
    story.scene.zones.add(domain + " SERVFAIL");
  }
}
void servers_recover(Story& story, const std::string& name) {
  for (uint32_t i = 0; i < kFew; ++i) {
    story.scene.zones.remove(name + std::to_string(i) + ".test");
  }
  const auto again = story.recipients(name, kFew);
  EXPECT_EQ(again.size(), kFew);
}

TEST(ResolveAhead, DomainsThatAreDueAreNotBehindANewSegment) {
  Story story(10);
  const auto late = story.recipients("late", kFew);
  servers_fail(story, "late");
  story.scene.drop_job("first", late);
  story.scene.start();
  ASSERT_TRUE(story.scene.run_for(std::chrono::seconds(2)));
  servers_recover(story, "late");
  story.scene.drop_job("large", story.recipients("many", kMany));
  ASSERT_TRUE(story.scene.run_until([&] { return story.taken("many") > 0; }, kManyTake / 4));
  EXPECT_EQ(story.taken("late"), 0U);
  ASSERT_TRUE(story.scene.run_until([&] { return story.taken("late") == kFew; }, kManyTake / 2));
  EXPECT_LT(story.taken("many"), kMany / 2);
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::minutes(5)));
}

TEST(ResolveAhead, DomainsThatAreDueAreNotBehindTheRestOfTheirJob) {
  Story story(11);
  std::vector<std::string> all = story.recipients("late", kFew);
  servers_fail(story, "late");
  const std::vector<std::string> many = story.recipients("many", kMany);
  all.insert(all.end(), many.begin(), many.end());
  story.scene.drop_job("news", all);
  story.scene.start();
  const auto are_deferred = [&story] {
    const std::vector<JobStatus> jobs = story.scene.process().jobs();
    return !jobs.empty() && jobs[0].counts[State::kDeferred] == kFew;
  };
  ASSERT_TRUE(story.scene.run_until(are_deferred, kManyTake / 4));
  servers_recover(story, "late");
  ASSERT_TRUE(story.scene.run_until([&] { return story.taken("late") == kFew; }, kManyTake / 2));
  EXPECT_LT(story.taken("many"), kMany / 2);
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::minutes(5)));
  EXPECT_EQ(story.scene.summary("news").counts[State::kDelivered], kMany + kFew);
}

}  // namespace
}  // namespace sluice::sim
