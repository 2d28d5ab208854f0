// A job's straight way, and what receivers say to it.
#include <gtest/gtest.h>

#include "tests/sim/scene.h"

namespace sluice::sim {
namespace {

// Twenty domains behind five exchangers, 10.0.0.1 to 10.0.0.5.
void add_twenty_domains(Scene& scene) {
  for (int i = 0; i < 20; ++i) {
    scene.zones.add("example" + std::to_string(i) + ".test MX 10 mx" + std::to_string(i % 5) +
                    ".sim");
  }
  for (int i = 0; i < 5; ++i) {
    scene.zones.add("mx" + std::to_string(i) + ".sim A 10.0.0." + std::to_string(i + 1));
  }
}

void add_receivers(Scene& scene, const ReceiverRules& rules) {
  for (uint8_t host = 1; host <= 5; ++host) scene.receiver(host, rules);
}

uint32_t number_of(const std::string& recipient) {
  return static_cast<uint32_t>(std::stoul(recipient.substr(4)));
}

std::string run_straight(uint64_t seed, uint32_t shards) {
  Scene scene({.seed = seed, .shards = shards});
  add_twenty_domains(scene);
  add_receivers(scene, {});
  Weather weather;
  weather.piece_max = 1 + scene.world.random().below(100);
  scene.network.set_default_weather(weather);
  scene.drop_job("news", recipients_over(300, 20));
  scene.start();
  EXPECT_TRUE(scene.run_jobs(std::chrono::minutes(5)));
  const auto taken = scene.times_taken();
  EXPECT_EQ(taken.size(), 300U);
  for (const auto& [recipient, times] : taken) EXPECT_EQ(times, 1U) << recipient;
  EXPECT_EQ(scene.misdirected(), 0U);
  const JobSummary summary = scene.summary("news");
  EXPECT_EQ(summary.counts.total(), 300);
  EXPECT_EQ(summary.counts[State::kDelivered], 300);
  EXPECT_EQ(scene.ledger().final_twice, 0U);
  return scene.world.log();
}

TEST(Job, DeliversEachRecipientOnce) { run_straight(1, 1); }
TEST(Job, DeliversEachRecipientOnceWithThreeShards) { run_straight(2, 3); }

TEST(Job, SameSeedSameEvents) {
  const std::string log = run_straight(3, 3);
  EXPECT_GT(log.size(), 10'000U);
  EXPECT_EQ(log, run_straight(3, 3));
  EXPECT_NE(log, run_straight(4, 3));
}

TEST(Job, RefusedAndDeferred) {
  Scene scene({.seed = 5, .shards = 2});
  add_twenty_domains(scene);
  ReceiverRules rules;
  rules.rcpt = [](const std::string& recipient, uint32_t attempt) -> std::string {
    if (number_of(recipient) % 10 == 3) return "550 5.1.1 no such user";
    if (number_of(recipient) % 10 == 7 && attempt == 1) return "451 4.7.1 come back later";
    return "";
  };
  add_receivers(scene, rules);
  scene.drop_job("news", recipients_over(300, 20));
  scene.start();
  ASSERT_TRUE(scene.run_jobs(std::chrono::hours(2)));
  const JobSummary summary = scene.summary("news");
  EXPECT_EQ(summary.counts[State::kDelivered], 270);
  EXPECT_EQ(summary.counts[State::kBounced], 30);
  EXPECT_EQ(summary.counts.total(), 300);
  std::map<std::string, std::vector<Instant>> tries;
  for (const auto& receiver : scene.receivers()) {
    for (const auto& attempt : receiver->tries()) tries[attempt.recipient].push_back(attempt.at);
  }
  for (const auto& [recipient, times] : tries) {
    if (number_of(recipient) % 10 != 7) {
      EXPECT_EQ(times.size(), 1U) << recipient;
      continue;
    }
    ASSERT_EQ(times.size(), 2U) << recipient;
    // retry_interval is 20 minutes, give or take a tenth.
    EXPECT_GE(times[1] - times[0], std::chrono::minutes(18)) << recipient;
    EXPECT_LE(times[1] - times[0], std::chrono::minutes(23)) << recipient;
    const std::vector<LedgerEntry> entries = scene.ledger().of(recipient);
    ASSERT_EQ(entries.size(), 2U);
    EXPECT_EQ(entries[0].state, State::kDeferred);
    EXPECT_EQ(entries[1].state, State::kDelivered);
    EXPECT_EQ(entries[1].attempts, 2U);
  }
}

TEST(Job, DroppedAfterTheDot) {
  for (uint64_t seed = 10; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    Scene scene({.seed = seed, .shards = 2});
    add_twenty_domains(scene);
    ReceiverRules rules;
    rules.dot = [&scene](const std::string&) {
      if (scene.world.happens(20)) return ReceiverRules::Dot::kTakeDrop;
      if (scene.world.happens(20)) return ReceiverRules::Dot::kDrop;
      return ReceiverRules::Dot::kAnswer;
    };
    add_receivers(scene, rules);
    scene.drop_job("news", recipients_over(200, 20));
    scene.start();
    ASSERT_TRUE(scene.run_jobs(std::chrono::hours(12)));
    const JobSummary summary = scene.summary("news");
    EXPECT_EQ(summary.counts[State::kDelivered], 200);
    EXPECT_EQ(summary.counts.total(), 200);
    EXPECT_GT(summary.counts.maybe_delivered, 0);
    const Ledger ledger = scene.ledger();
    EXPECT_EQ(ledger.final_twice, 0U);
    const auto taken = scene.times_taken();
    EXPECT_EQ(taken.size(), 200U);
    int64_t maybe = 0;
    for (const auto& [key, entries] : ledger.rows) {
      uint32_t maybe_of_row = 0;
      for (const LedgerEntry& entry : entries) maybe_of_row += entry.maybe_delivered ? 1U : 0U;
      maybe += maybe_of_row;
      // Invariant 2: taken more than once only where the record says that it may have been.
      EXPECT_LE(taken.at(entries.front().recipient), 1 + maybe_of_row);
    }
    EXPECT_EQ(summary.counts.maybe_delivered, maybe);
  }
}

}  // namespace
}  // namespace sluice::sim
