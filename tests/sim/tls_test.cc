// STARTTLS with receivers of every character: what goes in clear, what never does, what is
// remembered, and what the record says of it.
#include <gtest/gtest.h>

#include "engine/spool/job_directory.h"
#include "tests/sim/limit_world.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kRows = 20;
constexpr Duration kAtOnce = std::chrono::seconds(10);
// One connection at a time, for so many messages.
constexpr const char* kFewAtATime =
    "[\"default\"]\nconnection_limit = 1\nmax_deliveries_per_connection = 5\n";

constexpr const char* kTrustAd = "[dns]\ntrust_ad = true\n";
constexpr const char* kTlsaName = "_25._tcp.mx0.sim";
const std::string kDigest(32, 'd');
const std::string kOtherDigest(32, 'o');

Certificate of_digest(const std::string& digest) { return {"anything.sim", false, digest}; }
Certificate good_for(uint32_t site) { return {"mx" + std::to_string(site) + ".sim", true, ""}; }
Certificate untrusted_for(uint32_t site) {
  return {"mx" + std::to_string(site) + ".sim", false, ""};
}

// One site whose receiver does as told, and a configuration with this policy.
struct Story {
  Story(uint64_t seed, TlsPolicy policy, const TlsRules& tls, const std::string& shaping = "",
        const std::string& config = "")
      : scene({.seed = seed,
               .config = std::string("[tls]\npolicy = \"") + name_of(policy) + "\"\n" + config,
               .shaping = shaping}) {
    ReceiverRules rules;
    rules.tls = tls;
    add_sites(scene, 1, rules);
    AllowedTls& allowed = scene.witness.allowed.tls;
    allowed.policy = policy;
    allowed.names[site_address(0)] = "mx0.sim";
  }

  void drop(const std::string& name, const std::string& send = "") {
    scene.drop_job(name, at_domain(name, "example0.test", kRows), send);
  }
  // With a policy of its own.
  void drop(const std::string& name, TlsPolicy policy) {
    scene.witness.allowed.tls.by_job[name] = policy;
    drop(name, std::string("[tls]\npolicy = \"") + name_of(policy) + "\"\n");
  }
  // DNSSEC proves that this is the exchanger's certificate.
  void publish(const std::string& digest) {
    scene.zones.secure = true;
    scene.zones.add(std::string(kTlsaName) + " TLSA 3 1 1 " + digest);
    scene.witness.allowed.tls.digests[site_address(0)] = digest;
  }
  Receiver& receiver() const { return *scene.receivers()[0]; }
  uint32_t taken(bool encrypted) const {
    uint32_t count = 0;
    for (const Receiver::Delivery& delivery : receiver().deliveries()) {
      count += delivery.encrypted == encrypted ? 1 : 0;
    }
    return count;
  }
  // The whole event record, once it is told.
  std::string events() {
    scene.run_for(std::chrono::minutes(1));
    std::string out;
    for (const auto& [name, file] :
         scene.disk->find(std::string(Scene::kSpool) + "/record")->names) {
      out += file->octets;
    }
    return out;
  }
  std::string last_words_of(const std::string& recipient) const {
    const std::vector<LedgerEntry> entries = scene.ledger().of(recipient);
    return entries.empty() ? "" : to_string(entries.back().enhanced) + " " + entries.back().text;
  }

  Scene scene;
};

size_t count_of(const std::string& what, const std::string& in) {
  size_t count = 0;
  for (size_t at = in.find(what); at != std::string::npos; at = in.find(what, at + 1)) ++count;
  return count;
}

TEST(Tls, MailIsEncryptedWhereItCanBe) {
  Story story(1, TlsPolicy::kOpportunistic,
              {.manner = TlsManner::kGood, .certificate = untrusted_for(0)});
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_jobs(kAtOnce));
  expect_all_once(story.scene, "news", kRows);
  EXPECT_EQ(story.taken(true), kRows);
  const std::string events = story.events();
  EXPECT_EQ(count_of("\"tls_protocol_version\":\"TLSv1.3\"", events), kRows);
  EXPECT_EQ(count_of("\"tls_cipher\":\"TLS_AES_128_GCM_SHA256\"", events), kRows);
  EXPECT_EQ(count_of("\"tls_policy\":\"opportunistic\"", events), kRows);
  EXPECT_EQ(count_of("tls_reason", events), 0U);
  EXPECT_EQ(count_of("tls_authenticated", events), 0U);
}

TEST(Tls, NobodyIsAskedForItUnderNone) {
  Story story(2, TlsPolicy::kNone, {.manner = TlsManner::kGood, .certificate = good_for(0)});
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_jobs(kAtOnce));
  EXPECT_EQ(story.taken(false), kRows);
  EXPECT_EQ(count_of("\"tls_", story.events()), 0U);
}

// A new connection in clear, further ones in clear at once; an hour later TLS is tried again.
void fall_back(uint64_t seed, TlsManner manner, const std::string& why) {
  SCOPED_TRACE(why);
  Story story(seed, TlsPolicy::kOpportunistic, {.manner = manner, .certificate = good_for(0)},
              kFewAtATime);
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::minutes(2)));
  expect_all_once(story.scene, "news", kRows);
  EXPECT_EQ(story.taken(false), kRows);
  EXPECT_EQ(story.receiver().lines(), 1 + kRows / 5);
  const std::string events = story.events();
  EXPECT_EQ(count_of("\"tls_reason\":\"TLS: " + why, events), kRows) << events.substr(0, 1'000);
  EXPECT_EQ(count_of("tls_protocol_version", events), 0U);
  story.receiver().rules.tls.manner = TlsManner::kGood;
  story.scene.run_for(std::chrono::hours(1));
  story.drop("later");
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::minutes(2)));
  EXPECT_EQ(story.taken(true), kRows);
}

TEST(Tls, BrokenHandshakesAreFollowedByClearText) {
  fall_back(10, TlsManner::kAlert, "the peer sends an alert");
  fall_back(11, TlsManner::kGarbage, "what came is no record");
  fall_back(12, TlsManner::kCloses, "the connection ended");
  fall_back(13, TlsManner::kStalls, "the handshake took too long");
}

TEST(Tls, RefusedStartTlsGoesOnInClear) {
  Story story(20, TlsPolicy::kOpportunistic, {.manner = TlsManner::kRefuses});
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_jobs(kAtOnce));
  EXPECT_EQ(story.taken(false), kRows);
}

// No command of mail is said to the receiver, and what expires says why; once it is as in `good`,
// all goes.
void wait_and_go(Story& story, const std::string& why, const TlsRules& good) {
  SCOPED_TRACE(why);
  story.drop("news");
  story.drop("short", "lifetime = \"2h\"\n");
  story.scene.start();
  story.scene.run_for(std::chrono::hours(6));
  EXPECT_TRUE(story.receiver().messages().empty());
  EXPECT_GT(story.receiver().lines(), 3U);
  const std::string words = story.last_words_of("short0@example0.test");
  EXPECT_NE(words.find(why), std::string::npos) << words;
  story.receiver().rules.tls = good;
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::hours(6)));
  EXPECT_EQ(story.taken(true), kRows);
  EXPECT_EQ(story.scene.summary("short").counts[State::kExpired], kRows);
}

void never_in_clear(uint64_t seed, TlsPolicy policy, const TlsRules& tls, const std::string& why) {
  SCOPED_TRACE(name_of(policy));
  Story story(seed, policy, tls);
  wait_and_go(story, why, {.manner = TlsManner::kGood, .certificate = good_for(0)});
}

TEST(Tls, RequiredNeverGoesInClear) {
  const TlsPolicy required = TlsPolicy::kRequired;
  never_in_clear(30, required, {}, "does not offer STARTTLS");
  never_in_clear(31, required, {.manner = TlsManner::kRefuses}, "TLS is not there");
  never_in_clear(32, required, {.manner = TlsManner::kAlert}, "the peer sends an alert");
  never_in_clear(33, required, {.manner = TlsManner::kGarbage}, "what came is no record");
  never_in_clear(34, required, {.manner = TlsManner::kCloses}, "the connection ended");
  never_in_clear(35, required, {.manner = TlsManner::kStalls}, "the handshake took too long");
}

TEST(Tls, VerifiedNeverGoesToABadCertificate) {
  const TlsRules untrusted{.manner = TlsManner::kGood, .certificate = untrusted_for(0)};
  const TlsRules anothers{.manner = TlsManner::kGood, .certificate = good_for(7)};
  for (const TlsPolicy policy : {TlsPolicy::kVerified, TlsPolicy::kVerifiedIfOffered}) {
    never_in_clear(40, policy, untrusted, "is not trusted");
    never_in_clear(41, policy, anothers, "the certificate is for mx7.sim");
    never_in_clear(42, policy, {.manner = TlsManner::kAlert}, "the peer sends an alert");
  }
  never_in_clear(43, TlsPolicy::kVerified, {}, "does not offer STARTTLS");
  never_in_clear(45, TlsPolicy::kVerifiedIfOffered, {.manner = TlsManner::kRefuses},
                 "TLS is not there");
}

TEST(Tls, VerifiedIfOfferedGoesInClearWhereItIsNot) {
  Story story(44, TlsPolicy::kVerifiedIfOffered, {});
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_jobs(kAtOnce));
  EXPECT_EQ(story.taken(false), kRows);
}

TEST(Tls, AnInjectedReplyIsNeverBelieved) {
  for (const TlsPolicy policy : {TlsPolicy::kOpportunistic, TlsPolicy::kRequired}) {
    never_in_clear(50, policy, {.manner = TlsManner::kInjects, .certificate = good_for(0)},
                   "more came than the reply to STARTTLS");
  }
}

TEST(Tls, VerifiedGoesToTheNextExchanger) {
  Story story(60, TlsPolicy::kVerified,
              {.manner = TlsManner::kGood, .certificate = untrusted_for(0)});
  Scene& scene = story.scene;
  scene.zones.add("two.test MX 10 mx0.sim\ntwo.test MX 20 mx1.sim\nmx1.sim A 10.0.0.2");
  ReceiverRules rules;
  rules.tls = {.manner = TlsManner::kGood, .certificate = good_for(1)};
  const Receiver& second = scene.receiver(2, rules);
  scene.witness.allowed.tls.names[site_address(1)] = "mx1.sim";
  scene.drop_job("news", at_domain("user", "two.test", kRows));
  scene.start();
  ASSERT_TRUE(scene.run_jobs(kAtOnce));
  expect_all_once(scene, "news", kRows);
  EXPECT_EQ(second.deliveries().size(), kRows);
  EXPECT_TRUE(story.receiver().messages().empty());
  EXPECT_GT(story.receiver().lines(), 0U);
  EXPECT_EQ(count_of("\"tls_authenticated\":\"names\"", story.events()), kRows);
}

TEST(Tls, WhoTakesNoMailInClearGetsItEncryptedAtOnce) {
  Story story(70, TlsPolicy::kNone,
              {.manner = TlsManner::kGood, .certificate = untrusted_for(0), .is_wanted = true});
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_jobs(kAtOnce));
  expect_all_once(story.scene, "news", kRows);
  EXPECT_EQ(story.taken(true), kRows);
}

// It takes mail neither way: its mail waits with pauses that grow, as for any trouble.
TEST(Tls, WhoTakesNoMailInClearAndCannotEncryptIsNotAskedWithoutEnd) {
  for (const TlsPolicy policy : {TlsPolicy::kNone, TlsPolicy::kOpportunistic}) {
    for (const TlsManner manner : {TlsManner::kAlert, TlsManner::kRefuses}) {
      SCOPED_TRACE(std::string(name_of(policy)) + (manner == TlsManner::kAlert ? ", alert" : ""));
      Story story(71, policy, {.manner = manner, .certificate = {}, .is_wanted = true});
      story.drop("news");
      story.scene.start();
      story.scene.run_until([&] { return story.receiver().lines() > 1'000; },
                            std::chrono::hours(2));
      EXPECT_LT(story.receiver().lines(), 200U);
      EXPECT_TRUE(story.receiver().deliveries().empty());
    }
  }
}

TEST(Tls, DaneTakesTheCertificateThatDnsNames) {
  Story story(100, TlsPolicy::kOpportunistic,
              {.manner = TlsManner::kGood, .certificate = of_digest(kDigest)}, kFewAtATime,
              kTrustAd);
  story.publish(kDigest);
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_jobs(kAtOnce));
  expect_all_once(story.scene, "news", kRows);
  EXPECT_EQ(story.taken(true), kRows);
  EXPECT_GT(story.receiver().resumed(), 0U);
  const std::string events = story.events();
  EXPECT_EQ(count_of("\"tls_policy\":\"dane\"", events), kRows);
  EXPECT_EQ(count_of("\"tls_authenticated\":\"dane\"", events), kRows);
}

// Whatever the policy is and whatever else speaks for the certificate.
TEST(Tls, DaneNeverTakesAnotherNorGoesInClear) {
  struct Wrong {
    TlsRules tls;
    const char* why;
  };
  Certificate otherwise_good = good_for(0);
  otherwise_good.digest = kOtherDigest;
  const Wrong wrongs[] = {
      {{.manner = TlsManner::kGood, .certificate = otherwise_good}, "no TLSA record fits"},
      {{.manner = TlsManner::kAlert, .certificate = of_digest(kDigest)}, "the peer sends an alert"},
      {{.manner = TlsManner::kCloses, .certificate = of_digest(kDigest)}, "the connection ended"},
      {{.manner = TlsManner::kRefuses}, "TLS is not there"},
      {{}, "does not offer STARTTLS"},
  };
  const auto try_one = [](uint64_t seed, TlsPolicy policy, const Wrong& wrong) {
    SCOPED_TRACE(name_of(policy));
    Story story(seed, policy, wrong.tls, "", kTrustAd);
    story.publish(kDigest);
    wait_and_go(story, wrong.why, {.manner = TlsManner::kGood, .certificate = of_digest(kDigest)});
  };
  uint64_t seed = 110;
  for (const Wrong& wrong : wrongs) try_one(seed++, TlsPolicy::kOpportunistic, wrong);
  for (const TlsPolicy policy : {TlsPolicy::kNone, TlsPolicy::kVerified}) {
    try_one(seed++, policy, wrongs[0]);
  }
}

TEST(Tls, DaneRecordsThatCannotBeLookedUpHoldTheMail) {
  Story story(130, TlsPolicy::kOpportunistic,
              {.manner = TlsManner::kGood, .certificate = of_digest(kDigest)}, "", kTrustAd);
  story.publish(kDigest);
  story.scene.zones.add(std::string(kTlsaName) + " TLSA SERVFAIL");
  story.drop("news");
  story.scene.start();
  story.scene.run_for(std::chrono::hours(3));
  EXPECT_EQ(story.receiver().lines(), 0U);
  story.scene.zones.remove(kTlsaName);
  story.publish(kDigest);
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::hours(3)));
  expect_all_once(story.scene, "news", kRows);
  EXPECT_EQ(story.taken(true), kRows);
}

// Without somebody who validates, DANE would be what any forwarder says.
TEST(Tls, DaneCountsOnlyWhereTheResolverIsTrusted) {
  Story story(131, TlsPolicy::kOpportunistic,
              {.manner = TlsManner::kGood, .certificate = of_digest(kOtherDigest)});
  story.publish(kDigest);
  story.scene.witness.allowed.tls.digests.clear();
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_jobs(kAtOnce));
  EXPECT_EQ(story.taken(true), kRows);
}

TEST(Tls, SessionsAreResumed) {
  Story story(80, TlsPolicy::kVerified, {.manner = TlsManner::kGood, .certificate = good_for(0)},
              kFewAtATime);
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_jobs(kAtOnce));
  expect_all_once(story.scene, "news", kRows);
  EXPECT_EQ(story.receiver().encrypted(), kRows / 5);
  EXPECT_EQ(story.receiver().resumed(), kRows / 5 - 1);
  EXPECT_EQ(count_of("\"tls_resumed\":true", story.events()), kRows - 5);
}

// One exchanger, two lanes: tickets of who looks at no certificate serve nobody who does.
TEST(Tls, TicketsOfTheLaxDoNotServeTheStrict) {
  Story story(81, TlsPolicy::kOpportunistic,
              {.manner = TlsManner::kGood, .certificate = untrusted_for(0)}, kFewAtATime);
  story.drop("lax", TlsPolicy::kOpportunistic);
  story.drop("strict", TlsPolicy::kVerified);
  story.scene.start();
  story.scene.run_for(std::chrono::hours(1));
  EXPECT_EQ(story.taken(true), kRows);
  EXPECT_EQ(taken_of(story.scene, "lax").size(), kRows);
  EXPECT_GT(story.receiver().resumed(), 0U);
  story.receiver().rules.tls.certificate = good_for(0);
  ASSERT_TRUE(story.scene.run_jobs(std::chrono::hours(6)));
  EXPECT_EQ(taken_of(story.scene, "strict").size(), kRows);
}

// What was proved once holds for the sessions that go on from it.
TEST(Tls, AResumedSessionIsAsGoodAsTheFirst) {
  Story story(82, TlsPolicy::kVerified, {.manner = TlsManner::kGood, .certificate = good_for(0)},
              kFewAtATime);
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(
      story.scene.run_until([&] { return story.receiver().deliveries().size() == 5; }, kAtOnce));
  story.receiver().rules.tls.certificate = untrusted_for(0);
  ASSERT_TRUE(story.scene.run_jobs(kAtOnce));
  EXPECT_EQ(story.receiver().resumed(), kRows / 5 - 1);
}

TEST(Tls, ADrainEndsWithinAHandshake) {
  Story story(90, TlsPolicy::kRequired, {.manner = TlsManner::kStalls});
  story.drop("news");
  story.scene.start();
  ASSERT_TRUE(story.scene.run_until([&] { return story.receiver().lines_open() > 0; }, kAtOnce));
  story.scene.run_for(std::chrono::seconds(1));
  ASSERT_GT(story.receiver().lines_open(), 0U);
  const Instant began = story.scene.world.now();
  EXPECT_TRUE(story.scene.drain(std::chrono::seconds(30)));
  EXPECT_LT(story.scene.world.now() - began, std::chrono::seconds(3));
  EXPECT_TRUE(story.receiver().messages().empty());
}

}  // namespace
}  // namespace sluice::sim
