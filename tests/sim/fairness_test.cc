// Among jobs, and among domains of a job, that want the same site: by priority, then in turns, row
// by row, however much mail each has.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/limit_world.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kMany = 20'000;
constexpr uint32_t kFew = 100;
constexpr Duration kSecond = std::chrono::seconds(1);

bool is_sending(Scene& scene, const std::string& name) {
  const std::vector<JobStatus> jobs = scene.process().jobs();
  return std::any_of(jobs.begin(), jobs.end(), [&](const JobStatus& job) {
    return job.name == name && job.phase == "sending";
  });
}

// The large job is under way at a steady pace; gives how many a second.
double run_in(Scene& scene, Duration time) {
  EXPECT_TRUE(scene.run_until([&] { return count_taken(scene) >= 20; }, std::chrono::minutes(1)));
  scene.run_for(time);
  const uint64_t before = count_taken(scene);
  scene.run_for(2 * kSecond);
  return static_cast<double>(count_taken(scene) - before) / 2;
}

// The small job's last message is out within a second of what half of the permits allow.
void expect_fair_beside(Scene& scene, double rate) {
  scene.drop_job("small", at_domain("small", "example0.test", kFew));
  ASSERT_TRUE(scene.run_until([&] { return is_sending(scene, "small"); }, std::chrono::minutes(1)));
  const Instant began = scene.world.now();
  const size_t large_before = taken_of(scene, "large").size();
  ASSERT_TRUE(scene.run_until([&] { return taken_of(scene, "small").size() == kFew; },
                              std::chrono::minutes(5)));
  EXPECT_LE(seconds(scene.world.now() - began), kFew / (rate / 2) + 1) << rate << " messages/s";
  // And the large one does not stand still for it.
  EXPECT_GE(taken_of(scene, "large").size() - large_before, kFew / 2);
}

TEST(Fairness, ASmallJobBesideALargeOneUnderARate) {
  for (const uint32_t shards : {1U, 2U}) {
    SCOPED_TRACE(shards);
    Scene scene({.seed = 600 + shards,
                 .shards = shards,
                 .shaping = "[\"example0.test\"]\nmax_message_rate = \"50/s\"\n"});
    scene.witness.allowed.limits.site.rate = Rate{50, kSecond, 1};
    add_sites(scene, 1);
    scene.drop_job("large", at_domain("large", "example0.test", kMany));
    scene.start();
    EXPECT_NEAR(run_in(scene, kSecond), 50, 1.5);
    expect_fair_beside(scene, 50);
  }
}

TEST(Fairness, ASmallJobBesideALargeOneWithFewConnections) {
  Scene scene({.seed = 610,
               .shards = 2,
               .shaping = "[\"example0.test\"]\nconnection_limit = 3\nmax_in_flight = 2\n"});
  scene.witness.allowed.limits.site.connections = 3;
  ReceiverRules rules;
  rules.reply_delay = std::chrono::milliseconds(30);
  add_sites(scene, 1, rules);
  scene.drop_job("large", at_domain("large", "example0.test", kMany));
  scene.start();
  const double rate = run_in(scene, kSecond);
  EXPECT_GE(rate, 20);
  expect_fair_beside(scene, rate);
}

TEST(Fairness, ASmallJobBesideALargeOneThatIsSpread) {
  Scene scene({.seed = 620,
               .shards = 2,
               .shaping = "[\"example0.test\"]\nconnection_limit = 6\nmax_in_flight = 2\n",
               .turn_cost = std::chrono::milliseconds(2)});
  scene.witness.allowed.limits.site.connections = 6;
  ReceiverRules rules;
  rules.reply_delay = std::chrono::milliseconds(10);
  add_sites(scene, 1, rules);
  scene.drop_job("large", at_domain("large", "example0.test", kMany));
  scene.start();
  const double rate = run_in(scene, kSecond);
  expect_fair_beside(scene, rate);
}

// The small domain stands last in the list.
TEST(Fairness, ASmallDomainBesideALargeOneOfTheSameJob) {
  const Rate rate{50, kSecond, 1};
  Scene scene(
      {.seed = 630, .shards = 2, .shaping = "[\"example0.test\"]\nmax_message_rate = \"50/s\"\n"});
  add_sites(scene, 1);
  scene.zones.add("small.test MX 10 mx0.sim");
  scene.witness.allowed.limits.site.rate = rate;
  std::vector<std::string> list = at_domain("large", "example0.test", kMany / 2);
  const std::vector<std::string> small = at_domain("small", "small.test", 5);
  list.insert(list.end(), small.begin(), small.end());
  scene.drop_job("news", list);
  scene.start();
  ASSERT_TRUE(scene.run_until([&] { return is_sending(scene, "news"); }, std::chrono::minutes(1)));
  const Instant began = scene.world.now();
  ASSERT_TRUE(scene.run_until([&] { return taken_of(scene, "small").size() == 5; },
                              std::chrono::minutes(5)));
  EXPECT_LE(seconds(scene.world.now() - began), 5 / 25.0 + 1);
}

// What is in flight when the urgent mail comes may still go.
void expect_priority(Scene& scene, uint64_t in_flight) {
  scene.drop_job("low", at_domain("low", "example0.test", kMany / 10), "priority = 9\n");
  scene.start();
  ASSERT_TRUE(scene.run_until([&] { return count_taken(scene) >= 50; }, std::chrono::minutes(1)));
  scene.drop_job("high", at_domain("high", "example0.test", 200), "priority = 0\n");
  ASSERT_TRUE(scene.run_until([&] { return taken_of(scene, "high").size() == 200; },
                              std::chrono::minutes(5)));
  const Instant first = taken_of(scene, "high").front();
  const std::vector<Instant> low = taken_of(scene, "low");
  const auto between =
      std::count_if(low.begin(), low.end(), [&](Instant at) { return at > first; });
  EXPECT_LE(static_cast<uint64_t>(between), in_flight);
}

TEST(Fairness, ThePriorityGoesFirstUnderARate) {
  Scene scene(
      {.seed = 640, .shards = 2, .shaping = "[\"example0.test\"]\nmax_message_rate = \"50/s\"\n"});
  scene.witness.allowed.limits.site.rate = Rate{50, kSecond, 1};
  add_sites(scene, 1);
  expect_priority(scene, 1);
}

TEST(Fairness, ThePriorityGoesFirstOnFewConnections) {
  Scene scene({.seed = 641,
               .shards = 2,
               .shaping = "[\"example0.test\"]\nconnection_limit = 3\nmax_in_flight = 2\n"});
  scene.witness.allowed.limits.site.connections = 3;
  ReceiverRules rules;
  rules.reply_delay = std::chrono::milliseconds(10);
  add_sites(scene, 1, rules);
  expect_priority(scene, 6);
}

// Three jobs that begin at different times have a third each from then on.
TEST(Fairness, EachJobHasTheSameShareWhateverItHadBefore) {
  Scene scene(
      {.seed = 650, .shards = 2, .shaping = "[\"example0.test\"]\nmax_message_rate = \"60/s\"\n"});
  add_sites(scene, 1);
  scene.drop_job("a", at_domain("a", "example0.test", 3'000));
  scene.start();
  ASSERT_TRUE(
      scene.run_until([&] { return taken_of(scene, "a").size() >= 300; }, std::chrono::minutes(1)));
  scene.drop_job("b", at_domain("b", "example0.test", 3'000));
  scene.drop_job("c", at_domain("c", "example0.test", 3'000));
  ASSERT_TRUE(scene.run_until([&] { return is_sending(scene, "b") && is_sending(scene, "c"); },
                              std::chrono::minutes(1)));
  scene.run_for(kSecond);
  const std::string names[] = {"a", "b", "c"};
  std::map<std::string, size_t> before;
  for (const std::string& name : names) before[name] = taken_of(scene, name).size();
  scene.run_for(10 * kSecond);
  for (const std::string& name : names) {
    EXPECT_NEAR(static_cast<double>(taken_of(scene, name).size() - before[name]), 200, 4) << name;
  }
}

}  // namespace
}  // namespace sluice::sim
