// Invariant 3 for a provider: what its sites share is exact over all shards, used, and shared
// fairly.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/limit_world.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kSites = 5;

AllowedScope provider_of(uint32_t sites) {
  AllowedScope provider;
  for (uint32_t site = 0; site < sites; ++site) provider.exchangers.insert(site_address(site));
  return provider;
}

std::string provider_rules(const std::string& limits) {
  return "[provider.\"large\"]\nmatch = [{MXSuffix = \".sim\"}]\n" + limits;
}

TEST(Provider, MessagesOfAllSitesTogether) {
  const Rate rate{50, std::chrono::seconds(1), 1};
  for (const uint32_t shards : {1U, 3U}) {
    SCOPED_TRACE(shards);
    Scene scene({.seed = 40 + shards,
                 .shards = shards,
                 .shaping = provider_rules("provider_connection_limit = 10\nconnection_limit = 3\n"
                                           "provider_max_message_rate = \"50/s\"\n")});
    add_sites(scene, kSites);
    AllowedScope provider = provider_of(kSites);
    provider.connections = 10;
    provider.rate = rate;
    scene.witness.allowed.limits.providers = {provider};
    scene.witness.allowed.limits.site.connections = 3;
    scene.drop_job("news", at_sites("user", kSites, 60));
    scene.start();
    ASSERT_TRUE(
        scene.run_until([&] { return count_taken(scene) >= 150; }, std::chrono::minutes(1)));
    // Half time: every site has its share.
    for (const auto& receiver : scene.receivers()) {
      EXPECT_GE(receiver->deliveries().size(), 24U);
      EXPECT_LE(receiver->deliveries().size(), 36U);
    }
    ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(5)));
    expect_all_once(scene, "news", 300);
    const std::vector<Instant> messages = all_messages(scene);
    expect_rate(messages, rate);
    expect_used(messages, rate);
  }
}

// A site may be slower than the provider: what it leaves is the others'.
TEST(Provider, ASitesOwnRateHoldsBesideTheProviders) {
  const Rate rate{50, std::chrono::seconds(1), 1};
  const Rate slow{5, std::chrono::seconds(1), 1};
  Scene scene({.seed = 50,
               .shards = 3,
               .shaping = provider_rules("provider_max_message_rate = \"50/s\"\n") +
                          "[\"example0.test\"]\nmax_message_rate = \"5/s\"\n"});
  add_sites(scene, kSites);
  AllowedScope provider = provider_of(kSites);
  provider.rate = rate;
  scene.witness.allowed.limits.providers = {provider};
  scene.drop_job("news", at_sites("user", kSites, 60));
  scene.start();
  const auto fast_ones_are_done = [&scene] {
    return std::all_of(scene.receivers().begin() + 1, scene.receivers().end(),
                       [](const auto& receiver) { return receiver->deliveries().size() == 60; });
  };
  ASSERT_TRUE(scene.run_until(fast_ones_are_done, std::chrono::minutes(1)));
  // 45 a second are left for 240 messages.
  const std::vector<Instant> until_then = all_messages(scene);
  EXPECT_LE(seconds(until_then.back() - until_then.front()), 240 / 45.0 * 1.05);
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(5)));
  expect_rate(scene.receivers()[0]->messages(), slow);
  expect_used(scene.receivers()[0]->messages(), slow);
  expect_all_once(scene, "news", 300);
}

// The longest time for which a site with mail waiting was sent nothing.
Duration longest_pause(const Scene& scene, Instant since) {
  Duration longest{};
  for (const auto& receiver : scene.receivers()) {
    Instant last = since;
    for (const Receiver::Delivery& delivery : receiver->deliveries()) {
      longest = std::max(longest, delivery.at - last);
      last = delivery.at;
    }
  }
  return longest;
}

void share_slots(uint64_t seed, uint32_t shards, uint32_t slots, uint32_t sites) {
  SCOPED_TRACE("seed " + std::to_string(seed) + ", shards " + std::to_string(shards));
  constexpr uint32_t kEach = 400;
  Scene scene(
      {.seed = seed,
       .shards = shards,
       .shaping = provider_rules("provider_connection_limit = " + std::to_string(slots) + "\n")});
  ReceiverRules rules;
  rules.reply_delay = std::chrono::milliseconds(1);
  add_sites(scene, sites, rules);
  AllowedScope provider = provider_of(sites);
  provider.connections = slots;
  scene.witness.allowed.limits.providers = {provider};
  scene.drop_job("news", at_sites("user", sites, kEach));
  scene.start();
  ASSERT_TRUE(scene.run_until([&] { return count_taken(scene) > 0; }, std::chrono::minutes(1)));
  const Instant began = scene.world.now();
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(30)));
  expect_all_once(scene, "news", uint64_t{sites} * kEach);
  // A turn is a hundred messages; a site waits for at most all the others' turns on its slot.
  const Duration all = scene.world.now() - began;
  const Duration turn = all * slots / (sites * kEach / 100);
  EXPECT_LE(longest_pause(scene, began),
            turn * (sites + slots - 1) / slots + std::chrono::seconds(2))
      << "a turn takes " << seconds(turn) << " s";
}

TEST(Provider, TwoSlotsForSixSitesWithMuchMail) {
  share_slots(61, 1, 2, 6);
  share_slots(62, 3, 2, 6);
}
TEST(Provider, OneSlotForFourSites) { share_slots(63, 2, 1, 4); }

// Idle connections end when another site has mail.
TEST(Provider, IdleConnectionsYieldTheirSlots) {
  for (const uint32_t shards : {1U, 3U}) {
    SCOPED_TRACE(shards);
    Scene scene(
        {.seed = 70 + shards,
         .shards = shards,
         .shaping = provider_rules("provider_connection_limit = 2\nidle_timeout = \"1h\"\n")});
    add_sites(scene, 4);
    AllowedScope provider = provider_of(4);
    provider.connections = 2;
    scene.witness.allowed.limits.providers = {provider};
    // Two sites first: their connections stay.
    std::vector<std::string> first = at_domain("first", "example0.test", 3);
    const std::vector<std::string> more = at_domain("first", "example1.test", 3);
    first.insert(first.end(), more.begin(), more.end());
    scene.drop_job("first", first);
    scene.start();
    ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(1)));
    scene.run_for(std::chrono::seconds(3));
    EXPECT_EQ(scene.network.lines_open(), 2U) << "the test needs idle connections";
    scene.drop_job("second", at_domain("second", "example2.test", 3));
    scene.drop_job("third", at_domain("third", "example3.test", 3));
    ASSERT_TRUE(scene.run_jobs(std::chrono::seconds(8))) << scene.world.log();
  }
}

}  // namespace
}  // namespace sluice::sim
