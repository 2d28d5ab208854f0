#include "engine/converse/depth.h"

#include <gtest/gtest.h>

#include "engine/converse/server_identity.h"

namespace sluice {
namespace {

constexpr uint32_t kProof = 10;
const Instant kNow = Instant(std::chrono::hours(1));

TEST(Depth, IsEarnedByProofAndProbe) {
  const SitePolicy policy;
  Depth depth(kProof);
  EXPECT_EQ(depth.plan(policy, kNow).blind, 0U);
  EXPECT_FALSE(depth.plan(policy, kNow).probe);
  EXPECT_TRUE(depth.plan(policy, kNow).chunking);
  depth.on_fitted(kProof - 1, policy);
  EXPECT_FALSE(depth.plan(policy, kNow).probe);
  EXPECT_EQ(depth.words(policy, kNow),
            "one round trip a message: 9 answered in step of 10 for a probe");
  depth.on_fitted(1, policy);
  EXPECT_TRUE(depth.plan(policy, kNow).probe);
  depth.on_probe(Probe::kUnderWay);  // one connection probes, the others go on
  EXPECT_FALSE(depth.plan(policy, kNow).probe);
  EXPECT_EQ(depth.plan(policy, kNow).blind, 0U);
  depth.on_probe(Probe::kPassed);
  EXPECT_EQ(depth.plan(policy, kNow).blind, Depth::kFirstWindow);
  EXPECT_FALSE(depth.plan(policy, kNow).probe);
}

TEST(Depth, AProbeThatFailedIsNotMadeAgain) {
  const SitePolicy policy;
  Depth depth(kProof);
  depth.on_fitted(kProof, policy);
  depth.on_probe(Probe::kUnderWay);
  depth.on_probe(Probe::kFailed);
  depth.on_fitted(1'000, policy);
  EXPECT_FALSE(depth.plan(policy, kNow).probe);
  EXPECT_EQ(depth.plan(policy, kNow).blind, 0U);
  EXPECT_EQ(depth.words(policy, kNow),
            "one round trip a message: 1010 answered in step, failed the probe");
}

TEST(Depth, TheWindowDoublesAndIsHalvedByABreak) {
  SitePolicy policy;
  policy.max_in_flight = 12;
  Depth depth(0);
  depth.on_probe(Probe::kPassed);
  std::vector<uint32_t> windows;
  for (int i = 0; i < 20; ++i) {
    depth.on_fitted(1, policy);
    windows.push_back(depth.plan(policy, kNow).blind);
  }
  EXPECT_EQ(windows, (std::vector<uint32_t>{2, 4, 4, 4,  4,  8,  8,  8,  8,  8,
                                            8, 8, 8, 12, 12, 12, 12, 12, 12, 12}));
  depth.on_broken(policy);
  EXPECT_EQ(depth.plan(policy, kNow).blind, 6U);
  depth.on_fitted(6 * Depth::kSlowly - 1, policy);
  EXPECT_EQ(depth.plan(policy, kNow).blind, 6U);
  depth.on_fitted(1, policy);
  EXPECT_EQ(depth.plan(policy, kNow).blind, 12U);
  for (int i = 0; i < 10; ++i) depth.on_broken(policy);
  EXPECT_EQ(depth.plan(policy, kNow).blind, 1U);
  EXPECT_EQ(depth.words(policy, kNow),
            "1 of 12 in flight, blind: passed the probe, 116 answered in step, 11 connections "
            "broke in flight");
}

TEST(Depth, RulesSayNoOrSkipTheWait) {
  SitePolicy policy;
  Depth depth(0);
  depth.on_probe(Probe::kPassed);
  policy.blind_chunking = BlindChunking::kOff;
  EXPECT_EQ(depth.plan(policy, kNow).blind, 0U);
  EXPECT_TRUE(depth.plan(policy, kNow).chunking);
  policy.enable_chunking = false;
  EXPECT_FALSE(depth.plan(policy, kNow).chunking);
  policy = SitePolicy();
  policy.max_in_flight = 1;
  EXPECT_EQ(depth.plan(policy, kNow).blind, 0U);
  policy = SitePolicy();
  policy.blind_chunking = BlindChunking::kTrusted;
  Depth fresh(kProof);
  EXPECT_EQ(fresh.plan(policy, kNow).blind, policy.max_in_flight);
  EXPECT_FALSE(fresh.plan(policy, kNow).probe);
  fresh.on_broken(policy);
  EXPECT_EQ(fresh.plan(policy, kNow).blind, policy.max_in_flight / 2);
}

TEST(Depth, OutOfStepIsRememberedForADay) {
  const SitePolicy policy;
  Depth depth(kProof);
  depth.on_fitted(kProof, policy);
  depth.on_probe(Probe::kPassed);
  depth.on_desynchronised(kNow, "replies slipped");
  const Instant last = kNow + Depth::kOutOfStepFor - std::chrono::nanoseconds(1);
  EXPECT_TRUE(depth.plan(policy, last).one_at_a_time);
  EXPECT_FALSE(depth.plan(policy, last).chunking);
  EXPECT_EQ(depth.words(policy, last), "one message at a time, by DATA: replies slipped");
  const DialogDepth after = depth.plan(policy, kNow + Depth::kOutOfStepFor);
  EXPECT_FALSE(after.one_at_a_time);
  EXPECT_EQ(after.blind, 0U) << "it must be earned again";
}

TEST(Depth, TheSameWordsForAllMeanData) {
  const SitePolicy policy;
  Depth depth(0);
  depth.on_probe(Probe::kPassed);
  depth.on_terse();
  const DialogDepth plan = depth.plan(policy, kNow);
  EXPECT_FALSE(plan.chunking);
  EXPECT_FALSE(plan.one_at_a_time);
  EXPECT_EQ(plan.blind, 0U);
  EXPECT_EQ(depth.words(policy, kNow),
            "one round trip a message: 0 answered in step, by DATA: it says the same to every "
            "command");
}

TEST(DepthTable, EximCountsWhatIsRefused) {
  DepthTable table(kProof);
  const SitePolicy policy;
  EXPECT_TRUE(table.find("mx", "mx: mx ESMTP Exim 4.96")->plan(policy, kNow).few_refusals);
  const std::shared_ptr<Depth> other = table.find("mx", "mx: mx ESMTP Postfix");
  EXPECT_FALSE(other->plan(policy, kNow).few_refusals);
  other->on_worn_out();
  EXPECT_TRUE(other->plan(policy, kNow).few_refusals);
}

TEST(DepthTable, ForgetsTheServerThatWasAskedForLongestAgo) {
  DepthTable table(kProof);
  const std::shared_ptr<Depth> first = table.find("mx", "0");
  EXPECT_EQ(table.find("mx", "0"), first);
  EXPECT_NE(table.find("other", "0"), first);
  for (size_t i = 1; i < DepthTable::kServersMax; ++i) table.find("mx", std::to_string(i));
  EXPECT_EQ(table.notes(SitePolicy(), kNow).size(), DepthTable::kServersMax);
  EXPECT_NE(table.find("mx", "0"), first);
}

TEST(ServerIdentity, IsTheSameOnEachConnection) {
  const auto identity = [](const char* banner, const char* hello) {
    return whole_identity(hello, banner_identity(banner));
  };
  EXPECT_EQ(identity("mx.example ESMTP Exim 4.96 Sun, 22 Nov 2026 17:18:00 +0000",
                     "mx.example Hello me [192.0.2.1]\nSIZE 1\nCHUNKING"),
            "mx.example: mx.example ESMTP Exim 4.96");
  EXPECT_EQ(identity("mx.google.com ESMTP d9443c01a7336-20340a5 - gsmtp", "mx.google.com at"),
            "mx.google.com: mx.google.com ESMTP - gsmtp");
  EXPECT_EQ(identity("", ""), "");
  EXPECT_LE(banner_identity(std::string(5'000, 'x')).size(), 200U);
  EXPECT_EQ(banner_identity("one two\nthree"), "one two");
}

}  // namespace
}  // namespace sluice
