// Invariant 3: no limit is exceeded, as the receiver counts.
#include <gtest/gtest.h>

#include "tests/sim/limit_world.h"

namespace sluice::sim {
namespace {

void add_site(Scene& scene) {
  scene.zones.add("example0.test MX 10 mx.sim\nexample1.test MX 10 mx.sim\nmx.sim A 10.0.0.1");
  add_even_weather(scene);
}

TEST(Limits, MessageRateAndConnections) {
  for (const uint32_t shards : {1U, 3U}) {
    SCOPED_TRACE(shards);
    Scene scene({.seed = shards,
                 .shards = shards,
                 .shaping = "[\"example0.test\"]\nconnection_limit = 2\n"
                            "max_message_rate = \"10/s\"\n"});
    add_site(scene);
    Receiver& receiver = scene.receiver(1);
    scene.drop_job("news", recipients_over(200, 2));
    scene.start();
    ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(5)));
    EXPECT_EQ(receiver.deliveries().size(), 200U);
    EXPECT_LE(receiver.lines_open_max(), 2U);
    const Rate rate{10, std::chrono::seconds(1), 1};
    expect_rate(receiver.messages(), rate);
    expect_used(receiver.messages(), rate);
  }
}

TEST(Limits, ConnectionsWithoutARate) {
  Scene scene({.seed = 7,
               .shards = 2,
               .shaping = "[\"example0.test\"]\nconnection_limit = 3\n"
                          "max_deliveries_per_connection = 7\n"});
  add_site(scene);
  Receiver& receiver = scene.receiver(1);
  scene.drop_job("news", recipients_over(300, 2));
  scene.start();
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(5)));
  EXPECT_EQ(receiver.deliveries().size(), 300U);
  EXPECT_LE(receiver.lines_open_max(), 3U);
  std::map<uint64_t, uint32_t> by_line;
  for (const Receiver::Delivery& delivery : receiver.deliveries()) ++by_line[delivery.line];
  for (const auto& [line, count] : by_line) EXPECT_LE(count, 7U) << line;
}

TEST(Limits, AReceiverThatEndsSessionsGetsAllItsMail) {
  for (uint64_t seed = 20; seed < 25; ++seed) {
    SCOPED_TRACE(seed);
    Scene scene({.seed = seed, .shards = 2});
    add_site(scene);
    Weather odd;
    odd.piece_max = 40;
    odd.window = 2'000;
    scene.network.set_default_weather(odd);
    ReceiverRules rules;
    rules.messages_per_line = 5;
    rules.lines_max = 3;
    rules.reply_delay = std::chrono::milliseconds(3);
    Receiver& receiver = scene.receiver(1, rules);
    scene.drop_job("news", recipients_over(150, 2));
    scene.start();
    ASSERT_TRUE(scene.run_jobs(std::chrono::hours(20)));
    EXPECT_EQ(scene.summary("news").counts[State::kDelivered], 150);
    EXPECT_EQ(receiver.deliveries().size(), 150U);
    EXPECT_EQ(scene.misdirected(), 0U);
  }
}

// Everything that can be full or wrap is, in each run.
TEST(Limits, TinyLimitsDeliverAll) {
  for (uint64_t seed = 30; seed < 35; ++seed) {
    SCOPED_TRACE(seed);
    Scene scene({.seed = seed, .shards = 2, .limits = Limits::tiny()});
    add_site(scene);
    Receiver& receiver = scene.receiver(1);
    scene.drop_job("news", recipients_over(200, 2));
    scene.start();
    ASSERT_TRUE(scene.run_jobs(std::chrono::hours(1)));
    EXPECT_EQ(receiver.deliveries().size(), 200U);
    EXPECT_EQ(scene.summary("news").counts[State::kDelivered], 200);
  }
}

}  // namespace
}  // namespace sluice::sim
