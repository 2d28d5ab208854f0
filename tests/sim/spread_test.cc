// A site with more mail than one shard can carry: others help, nothing is lost or sent twice, and
// limits hold for all of them together.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/sim/limit_world.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kRows = 4'000;
constexpr const char* kSite = "mx0.sim";
constexpr Duration kLong = std::chrono::minutes(20);

// One site with so many connections, whose receiver takes its time, and shards that are busy with
// it: each turn is said to cost two milliseconds.
struct Story {
  Story(uint64_t seed, uint32_t shards, uint32_t connections, Limits limits = {})
      : scene({.seed = seed,
               .shards = shards,
               .shaping = "[\"example0.test\"]\nconnection_limit = " + std::to_string(connections) +
                          "\nmax_in_flight = 2\n",
               .limits = limits,
               .turn_cost = std::chrono::milliseconds(2)}) {
    ReceiverRules rules;
    rules.reply_delay = std::chrono::milliseconds(10);
    add_sites(scene, 1, rules);
    scene.witness.allowed.limits.site.connections = connections;
    scene.drop_job("news", at_domain("user", "example0.test", kRows));
    scene.start();
  }

  // How many shards have connections to the site.
  uint32_t shards_sending() {
    std::set<uint32_t> shards;
    for (const LaneStatus& lane : scene.process().lanes()) {
      if (lane.site == kSite && lane.connections > 0) shards.insert(lane.shard);
    }
    return static_cast<uint32_t>(shards.size());
  }
  bool run_until_spread(uint32_t shards = 2) {
    return scene.run_until([&] { return shards_sending() >= shards; }, std::chrono::minutes(1));
  }
  bool run_to(uint64_t taken) {
    return scene.run_until([&] { return count_taken(scene) >= taken; }, kLong);
  }
  // Verdicts by the shard that had them.
  std::map<uint32_t, uint32_t> by_shard() const {
    std::map<uint32_t, uint32_t> out;
    const Ledger ledger = scene.ledger();
    for (const auto& [row, entries] : ledger.rows) ++out[entries.back().shard];
    return out;
  }

  Scene scene;
};

TEST(Spread, OverThreeShards) {
  Story story(700, 3, 9);
  ASSERT_TRUE(story.run_until_spread(3));
  ASSERT_TRUE(story.scene.run_jobs(kLong));
  expect_all_once(story.scene, "news", kRows);
  const auto shares = story.by_shard();
  ASSERT_EQ(shares.size(), 3U);
  for (const auto& [shard, rows] : shares) EXPECT_GE(rows, kRows / 8) << "shard " << shard;
}

TEST(Spread, OverTwoShardsInHalves) {
  Story story(701, 2, 8);
  ASSERT_TRUE(story.scene.run_jobs(kLong));
  expect_all_once(story.scene, "news", kRows);
  const auto shares = story.by_shard();
  ASSERT_EQ(shares.size(), 2U);
  for (const auto& [shard, rows] : shares) EXPECT_GE(rows, kRows / 3) << "shard " << shard;
}

// The Witness counts the connections of all shards.
TEST(Spread, FewerConnectionsThanShards) {
  for (uint64_t seed = 705; seed < 709; ++seed) {
    SCOPED_TRACE(seed);
    Story story(seed, 3, 2);
    ASSERT_TRUE(story.scene.run_jobs(kLong));
    expect_all_once(story.scene, "news", kRows);
  }
}

TEST(Spread, ASingleConnectionStaysWhereItIs) {
  Story story(710, 3, 1);
  ASSERT_TRUE(story.run_to(500));
  EXPECT_EQ(story.shards_sending(), 1U);
  ASSERT_TRUE(story.scene.run_jobs(kLong));
  expect_all_once(story.scene, "news", kRows);
  EXPECT_EQ(story.by_shard().size(), 1U);
}

TEST(Spread, PausedAndResumed) {
  Story story(720, 3, 6);
  for (const uint64_t taken : {500U, 1'500U}) {
    ASSERT_TRUE(story.run_to(taken));
    EXPECT_GE(story.shards_sending(), 2U);
    story.scene.process().command("news", JobEvent::kPaused);
    story.scene.run_for(std::chrono::seconds(1));
    const uint64_t at_rest = count_taken(story.scene);
    EXPECT_LT(at_rest, taken + 200);
    story.scene.run_for(std::chrono::minutes(1));
    EXPECT_EQ(count_taken(story.scene), at_rest);
    story.scene.process().command("news", JobEvent::kResumed);
  }
  ASSERT_TRUE(story.scene.run_jobs(kLong));
  expect_all_once(story.scene, "news", kRows);
}

TEST(Spread, Cancelled) {
  for (uint64_t seed = 725; seed < 729; ++seed) {
    SCOPED_TRACE(seed);
    Story story(seed, 3, 6);
    ASSERT_TRUE(story.run_until_spread());
    story.scene.run_for(story.scene.world.between(Duration{}, std::chrono::milliseconds(500)));
    story.scene.process().command("news", JobEvent::kCancelled);
    ASSERT_TRUE(story.scene.run_jobs(std::chrono::minutes(1)));
    const Counts counts = story.scene.summary("news").counts;
    EXPECT_EQ(counts[State::kDelivered], static_cast<int64_t>(count_taken(story.scene)));
    EXPECT_EQ(counts[State::kDelivered] + counts[State::kCancelled], kRows);
    EXPECT_GT(counts[State::kCancelled], 0);
    for (const auto& [who, times] : story.scene.times_taken()) EXPECT_EQ(times, 1U) << who;
  }
}

TEST(Spread, DrainedAndStartedAgain) {
  for (uint64_t seed = 730; seed < 734; ++seed) {
    SCOPED_TRACE(seed);
    Story story(seed, 3, 6);
    for (int round = 0; round < 2; ++round) {
      ASSERT_TRUE(story.run_until_spread());
      story.scene.run_for(story.scene.world.between(Duration{}, std::chrono::seconds(1)));
      ASSERT_TRUE(story.scene.drain(std::chrono::seconds(30)));
      story.scene.start();
    }
    ASSERT_TRUE(story.scene.run_jobs(kLong));
    expect_all_once(story.scene, "news", kRows);
  }
}

// Who may get mail again after a power cut, the Witness knows.
TEST(Spread, PowerCut) {
  for (uint64_t seed = 735; seed < 739; ++seed) {
    SCOPED_TRACE(seed);
    Story story(seed, 3, 6);
    for (int round = 0; round < 2; ++round) {
      ASSERT_TRUE(story.run_until_spread());
      story.scene.run_for(story.scene.world.between(Duration{}, std::chrono::seconds(1)));
      story.scene.crash();
      story.scene.start();
    }
    ASSERT_TRUE(story.scene.run_jobs(kLong));
    EXPECT_EQ(story.scene.summary("news").counts[State::kDelivered], kRows);
    EXPECT_EQ(story.scene.times_taken().size(), kRows);
    EXPECT_EQ(story.scene.ledger().final_twice, 0U);
  }
}

TEST(Spread, DeferredRowsAreTriedAgainWhereTheyAre) {
  Story story(740, 3, 6);
  story.scene.receivers()[0]->rules.rcpt = [](const std::string& recipient,
                                              uint32_t attempt) -> std::string {
    const bool now_and_then = recipient.find("7@") != std::string::npos;
    return now_and_then && attempt == 1 ? "451 4.7.1 come back later" : "";
  };
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::hours(2)));
  EXPECT_EQ(story.scene.summary("news").counts[State::kDelivered], kRows);
  std::map<uint32_t, uint32_t> retried;
  const Ledger ledger = story.scene.ledger();
  for (const auto& [row, entries] : ledger.rows) {
    if (entries.size() == 1) continue;
    ASSERT_EQ(entries.size(), 2U) << entries.front().recipient;
    EXPECT_EQ(entries[0].shard, entries[1].shard) << entries.front().recipient;
    ++retried[entries[0].shard];
  }
  EXPECT_GE(retried.size(), 2U);
}

// Mailboxes that are full now and then, small blocks and segments.
TEST(Spread, WithTightLimits) {
  Limits limits;
  limits.mailbox_entries = 8;
  limits.block_bytes_target = 512;
  limits.segment_rows_max = 600;
  for (uint64_t seed = 745; seed < 748; ++seed) {
    SCOPED_TRACE(seed);
    Story story(seed, 3, 6, limits);
    ASSERT_TRUE(story.run_until_spread());
    ASSERT_TRUE(story.scene.run_jobs(kLong));
    expect_all_once(story.scene, "news", kRows);
  }
}

// Connections break, and the site does not answer for a while.
TEST(Spread, ASiteThatFallsSilent) {
  Story story(750, 3, 6);
  ASSERT_TRUE(story.run_to(1'000));
  Weather silent;
  silent.reach = Weather::Reach::kSilent;
  story.scene.network.set_weather(site_address(0), silent);
  bool drop = true;
  story.scene.receivers()[0]->rules.trick = [&drop] { return drop ? Trick::kReset : Trick::kNone; };
  story.scene.run_for(std::chrono::minutes(5));
  drop = false;
  Weather even;
  even.delay_min = even.delay_max = kTrip;
  story.scene.network.set_weather(site_address(0), even);
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::hours(6)));
  EXPECT_EQ(story.scene.summary("news").counts[State::kDelivered], kRows);
}

}  // namespace
}  // namespace sluice::sim
