// Invariant 3 for a job: its rate is exact over its sites and shards, used, and costs few dials.
#include <gtest/gtest.h>

#include "tests/sim/limit_world.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kSites = 40;

void run_job(uint32_t shards, const std::string& rate_text, const Rate& rate, uint32_t each) {
  SCOPED_TRACE(rate_text + ", shards " + std::to_string(shards));
  Scene scene({.seed = 80 + shards, .shards = shards});
  add_sites(scene, kSites);
  scene.witness.allowed.limits.jobs["news"] = {rate};
  scene.drop_job("news", at_sites("user", kSites, each), "rate = \"" + rate_text + "\"\n");
  scene.start();
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(10)));
  expect_all_once(scene, "news", uint64_t{kSites} * each);
  const std::vector<Instant> messages = all_messages(scene);
  expect_rate(messages, rate);
  expect_used(messages, rate);
  // A connection is dialled for a message that may go, and stays for its idle time.
  EXPECT_LE(scene.network.lines_made(), messages.size() * 11 / 10);
}

TEST(JobRate, HoldsForAllItsSites) {
  run_job(1, "40/s", {40, std::chrono::seconds(1), 1}, 10);
  run_job(2, "40/s", {40, std::chrono::seconds(1), 1}, 10);
}
TEST(JobRate, HoldsWithABurst) {
  run_job(2, "100/s,max_burst=10", {100, std::chrono::seconds(1), 10}, 20);
}
TEST(JobRate, HoldsWhenASiteIsRarelyServed) {
  run_job(2, "2/s", {2, std::chrono::seconds(1), 1}, 3);
}

// Of two jobs the one with a rate goes at its own, and costs the other nothing.
TEST(JobRate, AnotherJobGoesOn) {
  const Rate slow{10, std::chrono::seconds(1), 1};
  const Rate site{50, std::chrono::seconds(1), 1};
  Scene scene(
      {.seed = 90, .shards = 2, .shaping = "[\"example0.test\"]\nmax_message_rate = \"50/s\"\n"});
  add_sites(scene, 1);
  scene.witness.allowed.limits.jobs["slow"] = {slow};
  scene.witness.allowed.limits.site.rate = site;
  scene.drop_job("slow", at_domain("slow", "example0.test", 60), "rate = \"10/s\"\n");
  scene.drop_job("fast", at_domain("fast", "example0.test", 240));
  scene.start();
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(5)));
  expect_all_once(scene, "slow", 60);
  const std::vector<Instant> slow_ones = taken_of(scene, "slow");
  const std::vector<Instant> fast_ones = taken_of(scene, "fast");
  // All connections may be busy when its turn comes: each permit is taken up to a round trip late.
  // Both together use the site's rate: 50 of the slow ones go beside the 240.
  EXPECT_LE(seconds(slow_ones.back() - slow_ones.front()), 59 / 10.0 * 1.2);
  EXPECT_LE(seconds(fast_ones.back() - fast_ones.front()), 240 / 40.0 * 1.03 + 0.1);
}

// A site that waits for its own permits, or cannot be reached, holds up no turn of the job's.
TEST(JobRate, ASiteThatCannotTakeItsTurnLosesIt) {
  const Rate rate{40, std::chrono::seconds(1), 1};
  Scene scene(
      {.seed = 91, .shards = 2, .shaping = "[\"example0.test\"]\nmax_message_rate = \"1/s\"\n"});
  add_sites(scene, 8);
  Weather silent;
  silent.reach = Weather::Reach::kSilent;
  scene.network.set_weather(site_address(1), silent);
  scene.witness.allowed.limits.jobs["news"] = {rate};
  scene.drop_job("news", at_sites("user", 8, 40), "rate = \"40/s\"\n");
  scene.start();
  const auto others_are_done = [&scene] {
    for (size_t site = 2; site < 8; ++site) {
      if (scene.receivers()[site]->deliveries().size() < 40) return false;
    }
    return true;
  };
  ASSERT_TRUE(scene.run_until(others_are_done, std::chrono::minutes(2)));
  const std::vector<Instant> times = taken_of(scene, "user");
  // 240 and what the slow one took in the meantime.
  EXPECT_LE(seconds(times.back() - times.front()),
            static_cast<double>(times.size()) / 40.0 * 1.1 + 1);
}

}  // namespace
}  // namespace sluice::sim
