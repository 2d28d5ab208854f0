// Sites that cannot be reached and names that cannot be resolved: their mail waits, others' goes.
#include <gtest/gtest.h>

#include "tests/sim/scene.h"

namespace sluice::sim {
namespace {

std::vector<std::string> at_domain(const std::string& domain, uint32_t count) {
  std::vector<std::string> out;
  for (uint32_t i = 0; i < count; ++i) out.push_back("user" + std::to_string(i) + "@" + domain);
  return out;
}

void append(std::vector<std::string>& to, const std::vector<std::string>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

void expire_at(Weather::Reach reach, uint64_t seed) {
  SCOPED_TRACE(seed);
  Scene scene({.seed = seed, .shards = 2});
  scene.zones.add(
      "good.test MX 10 mx.good.test\nmx.good.test A 10.0.0.1\n"
      "bad.test MX 10 mx.bad.test\nmx.bad.test A 10.0.0.2");
  Receiver& good = scene.receiver(1);
  Weather bad;
  bad.reach = reach;
  scene.network.set_weather(Scene::address(2), bad);
  std::vector<std::string> list = at_domain("bad.test", 100);
  append(list, at_domain("good.test", 100));
  scene.drop_job("news", list, "lifetime = \"12h\"\n");
  scene.start();
  // Invariant 5: one site's trouble costs no other site anything.
  EXPECT_TRUE(
      scene.run_until([&] { return good.deliveries().size() == 100; }, std::chrono::seconds(5)));
  const Instant began = scene.world.now();
  ASSERT_TRUE(scene.run_jobs(std::chrono::hours(40)));
  EXPECT_GE(scene.world.now() - began, std::chrono::minutes(12 * 60 - 1));
  // Back-off doubles up to four hours, plus a tenth: nobody waits longer past the lifetime.
  EXPECT_LE(scene.world.now() - began, std::chrono::minutes(12 * 60 + 4 * 60 + 30));
  const JobSummary summary = scene.summary("news");
  EXPECT_EQ(summary.counts[State::kDelivered], 100);
  EXPECT_EQ(summary.counts[State::kExpired], 100);
  EXPECT_EQ(summary.counts.total(), 200);
  EXPECT_EQ(scene.ledger().final_twice, 0U);
}

TEST(Trouble, MailForASiteThatRefusesExpires) { expire_at(Weather::Reach::kRefused, 1); }
TEST(Trouble, MailForASilentSiteExpires) { expire_at(Weather::Reach::kSilent, 2); }
TEST(Trouble, MailForAnUnreachableSiteExpires) { expire_at(Weather::Reach::kUnreachable, 3); }

// Rows that expire need no permit, and a lane that has none waits instead of asking again.
TEST(Trouble, MailUnderARateExpires) {
  Scene scene({.seed = 9, .shaping = "[\"default\"]\nmax_message_rate = \"10/h\"\n"});
  scene.zones.add("bad.test MX 10 mx.bad.test\nmx.bad.test A 10.0.0.2");
  scene.drop_job("news", at_domain("bad.test", 50), "lifetime = \"1h\"\n");
  scene.start();
  ASSERT_TRUE(scene.run_jobs(std::chrono::hours(8)));
  EXPECT_EQ(scene.summary("news").counts[State::kExpired], 50);
}

TEST(Trouble, ASiteThatComesBackGetsItsMail) {
  Scene scene({.seed = 4});
  scene.zones.add("bad.test MX 10 mx.bad.test\nmx.bad.test A 10.0.0.2");
  Receiver& receiver = scene.receiver(2);
  Weather bad;
  bad.reach = Weather::Reach::kSilent;
  scene.network.set_weather(Scene::address(2), bad);
  scene.drop_job("news", at_domain("bad.test", 50));
  scene.start();
  scene.run_for(std::chrono::hours(2));
  EXPECT_TRUE(receiver.deliveries().empty());
  scene.network.set_weather(Scene::address(2), Weather());
  ASSERT_TRUE(scene.run_jobs(std::chrono::hours(6)));
  EXPECT_EQ(scene.summary("news").counts[State::kDelivered], 50);
}

// Its route expired meanwhile: the first attempt behind a pause goes where DNS says now.
TEST(Trouble, ASiteThatMovesWhileNothingAnswersGetsItsMailAtTheNextAttempt) {
  Scene scene({.seed = 6});
  scene.zones.add("bad.test MX 10 mx.bad.test\nmx.bad.test A 10.0.0.2");
  Receiver& moved = scene.receiver(3);
  Weather bad;
  bad.reach = Weather::Reach::kSilent;
  scene.network.set_weather(Scene::address(2), bad);
  scene.drop_job("news", at_domain("bad.test", 50));
  scene.start();
  scene.run_for(std::chrono::hours(1));  // within a pause of half an hour; the next is an hour
  scene.zones.remove("mx.bad.test");
  scene.zones.add("mx.bad.test A 10.0.0.3");
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(45)));
  EXPECT_EQ(moved.deliveries().size(), 50U);
}

// It greets, takes the envelope and is gone, or says 421: that says nothing of any row, and the
// next connection fares no better.
TEST(Trouble, WhoBreaksOffBehindMailIsNotDialledWithoutEnd) {
  for (const bool torn : {true, false}) {
    SCOPED_TRACE(torn ? "torn at the dot" : "421 to MAIL");
    Scene scene({.seed = 7});
    scene.zones.add("bad.test MX 10 mx.bad.test\nmx.bad.test A 10.0.0.2");
    ReceiverRules rules;
    if (torn) rules.dot = [](const std::string&) { return ReceiverRules::Dot::kDrop; };
    if (!torn) rules.mail = [](uint32_t) { return std::string("421 4.7.0 slow down"); };
    Receiver& receiver = scene.receiver(2, rules);
    scene.drop_job("news", at_domain("bad.test", 3'000));
    scene.start();
    scene.run_for(std::chrono::minutes(30));
    EXPECT_TRUE(receiver.deliveries().empty());
    EXPECT_GT(receiver.lines(), 5U);
    EXPECT_LT(receiver.lines(), 200U);
    receiver.rules.dot = nullptr;
    receiver.rules.mail = nullptr;
    ASSERT_TRUE(scene.run_jobs(std::chrono::hours(12)));
    EXPECT_EQ(scene.summary("news").counts[State::kDelivered], 3'000);
  }
}

TEST(Trouble, DnsServerFailureThenAnswers) {
  Scene scene({.seed = 5, .shards = 3});
  scene.zones.add("example.test SERVFAIL\nslow.test TIMEOUT\nmx.sim A 10.0.0.1");
  scene.receiver(1);
  std::vector<std::string> list = at_domain("example.test", 20);
  append(list, at_domain("slow.test", 20));
  scene.drop_job("news", list);
  scene.start();
  scene.run_for(std::chrono::hours(1));
  ASSERT_EQ(scene.process().jobs().size(), 1U);
  EXPECT_EQ(scene.process().jobs()[0].counts[State::kDeferred], 40);
  scene.zones.remove("example.test");
  scene.zones.remove("slow.test");
  scene.zones.add("example.test MX 10 mx.sim\nslow.test MX 10 mx.sim");
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(40)));
  EXPECT_EQ(scene.summary("news").counts[State::kDelivered], 40);
  const std::vector<LedgerEntry> entries = scene.ledger().of("user0@example.test");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].state, State::kDeferred);
  EXPECT_EQ(entries[1].state, State::kDelivered);
}

TEST(Trouble, NamesThatDoNotExist) {
  Scene scene({.seed = 6, .shards = 2});
  scene.zones.add("null.test MX 0 .\ngood.test MX 10 mx.sim\nmx.sim A 10.0.0.1");
  scene.witness.allowed.bounced_by_dns = {"missing.test", "null.test"};
  scene.receiver(1);
  std::vector<std::string> list = at_domain("missing.test", 10);
  append(list, at_domain("null.test", 10));
  append(list, at_domain("good.test", 10));
  scene.drop_job("news", list);
  scene.start();
  scene.run_for(std::chrono::minutes(14));
  ASSERT_EQ(scene.process().jobs().size(), 1U);
  const Counts early = scene.process().jobs()[0].counts;
  EXPECT_EQ(early[State::kDelivered], 10);
  EXPECT_EQ(early[State::kBounced], 10);
  EXPECT_EQ(early[State::kDeferred], 10);
  ASSERT_TRUE(scene.run_jobs(std::chrono::minutes(30)));
  const JobSummary summary = scene.summary("news");
  EXPECT_EQ(summary.counts[State::kBounced], 20);
  EXPECT_EQ(summary.counts[State::kDelivered], 10);
  const LedgerEntry missing = scene.ledger().of("user0@missing.test").back();
  EXPECT_EQ(missing.state, State::kBounced);
  EXPECT_EQ(missing.enhanced, (EnhancedCode{5, 1, 2})) << missing.text;
  const LedgerEntry null_mx = scene.ledger().of("user0@null.test").back();
  EXPECT_EQ(null_mx.state, State::kBounced);
  EXPECT_EQ(null_mx.enhanced, (EnhancedCode{5, 1, 10})) << null_mx.text;
}

}  // namespace
}  // namespace sluice::sim
