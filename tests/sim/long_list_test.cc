// Lists that are longer than what is kept in memory: indexes of segments, lanes, cursors; and rows
// that are kept until their lifetime is over.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/limit_world.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kSites = 40;
constexpr uint32_t kEach = 30;

Limits small() {
  Limits limits;
  limits.segment_rows_max = 100;
  limits.index_bytes_max = 4'096;
  limits.cursors_per_shard = 256;
  limits.resting_sites_per_shard = 5;
  return limits;
}

class LongList : public ::testing::TestWithParam<uint32_t> {};

TEST_P(LongList, IsSentWholeAndLanesThatRestAreForgotten) {
  Scene scene({.seed = 3, .shards = GetParam(), .limits = small()});
  add_sites(scene, kSites);
  scene.drop_job("news", at_sites("user", kSites, kEach));
  scene.start();
  size_t most = 0;
  ASSERT_TRUE(scene.run_until(
      [&] {
        most = std::max(most, scene.process().lanes().size());
        return count_taken(scene) == kSites * kEach;
      },
      std::chrono::hours(1)));
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(10)));
  expect_all_once(scene, "news", kSites * kEach);
  scene.run_for(std::chrono::minutes(30));
  EXPECT_GT(most, small().resting_sites_per_shard * GetParam());
  EXPECT_LE(scene.process().lanes().size(), small().resting_sites_per_shard * GetParam());
}

TEST_P(LongList, DeferredRowsFindTheirSegmentsAgain) {
  Scene scene({.seed = 4, .shards = GetParam(), .limits = small()});
  ReceiverRules rules;
  rules.rcpt = [](const std::string&, uint32_t attempt) {
    return std::string(attempt < 3 ? "450 4.2.0 later" : "");
  };
  add_sites(scene, kSites, rules);
  scene.drop_job("news", at_sites("user", kSites, kEach));
  scene.start();
  ASSERT_TRUE(scene.run_jobs(std::chrono::hours(5)));
  expect_all_once(scene, "news", kSites * kEach);
}

TEST(LaneSurvey, SitesBeyondTheLargestAreToldAsOne) {
  Limits limits = small();
  limits.lanes_told = 3;
  Scene scene({.seed = 5, .shards = 1, .limits = limits});
  ReceiverRules rules;
  rules.rcpt = [](const std::string&, uint32_t) { return std::string("450 4.2.0 later"); };
  add_sites(scene, 10, rules);
  std::vector<std::string> rows = at_sites("user", 10, 5);
  for (const std::string& row : at_sites("more", 3, 5)) rows.push_back(row);
  scene.drop_job("news", rows);
  scene.start();
  ASSERT_TRUE(scene.run_until(
      [&] {
        const std::vector<JobStatus> jobs = scene.process().jobs();
        return !jobs.empty() && jobs[0].counts[State::kDeferred] == 65;
      },
      std::chrono::minutes(10)));
  const std::vector<LaneStatus> lanes = scene.process().lanes();
  ASSERT_EQ(lanes.size(), 4U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(lanes[i].rows_waiting, 10U);
    EXPECT_EQ(lanes[i].lanes, 1U);
  }
  const LaneStatus& others = lanes[3];
  EXPECT_EQ(others.site, kOtherSites);
  EXPECT_EQ(others.lanes, 7U);
  EXPECT_EQ(others.rows_waiting, 35U);
  ASSERT_EQ(others.wait.jobs.size(), 1U);
  EXPECT_EQ(others.wait.jobs[0].rows_deferred, 35U);
  EXPECT_GT(others.wait.jobs[0].last_due, Duration(0));
}

INSTANTIATE_TEST_SUITE_P(Shards, LongList, ::testing::Values(1U, 2U));

TEST(Lifetime, RowsThatAreKeptByOthersExpireInsteadOfBeingSent) {
  Scene scene({.seed = 9, .shaping = "[\"default\"]\nmax_message_rate = \"20/h\"\n"});
  ReceiverRules rules;
  rules.rcpt = [](const std::string& recipient, uint32_t attempt) {
    return std::string(recipient.starts_with("late") && attempt < 2 ? "450 4.2.0 later" : "");
  };
  add_sites(scene, 1, rules);
  scene.drop_job("news", at_sites("late", 1, 5), "priority = 9\nlifetime = \"1h\"\n");
  scene.start();
  const auto& tries = scene.receivers().front()->tries();
  ASSERT_TRUE(scene.run_until([&] { return tries.size() >= 5; }, std::chrono::hours(1)));
  scene.drop_job("large", at_sites("user", 1, 60), "priority = 0\n");
  ASSERT_TRUE(scene.run_jobs(std::chrono::hours(10)));
  const Counts counts = scene.summary("news").counts;
  EXPECT_GE(counts[State::kExpired], 4);
  EXPECT_EQ(counts[State::kExpired] + counts[State::kDelivered], 5);
  EXPECT_EQ(scene.summary("large").counts[State::kDelivered], 60);
}

}  // namespace
}  // namespace sluice::sim
