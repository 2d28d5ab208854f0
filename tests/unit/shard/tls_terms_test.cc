#include "engine/shard/tls_terms.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace sluice {
namespace {

using std::chrono::hours;

constexpr Instant kNow{hours(1'000)};

Exchanger exchanger(DaneState dane = DaneState::kNotAsked) {
  Exchanger out;
  out.name = "mx.example.com";
  out.dane = dane;
  if (dane == DaneState::kRecords) {
    out.tlsa = {{3, 1, 1, std::string(32, 'x')}};
    out.tlsa_names = {"base.example.net", "example.com"};
  }
  if (dane == DaneState::kRecords || dane == DaneState::kUnusable) {
    out.tlsa_base = "base.example.net";
  }
  return out;
}

StsPolicyPtr sts(StsMode mode, const std::string& mx) {
  StsPolicy policy;
  policy.mode = mode;
  policy.mx = {mx};
  return std::make_shared<const StsPolicy>(policy);
}

LaneTerms terms(TlsPolicy job, bool dane = false, StsPolicyPtr policy = nullptr) {
  Route route;
  route.mx_secure = dane;
  route.sts = std::move(policy);
  return terms_of(job, "example.com", route, false);
}

// "if-offered none falls-back" and so on: what a plan says, in one line.
std::string words(const TlsPlan& plan) {
  if (plan.skip) return std::string("skip ") + plan.policy;
  static constexpr const char* kStart[] = {"clear", "if-offered", "where-offered", "must"};
  static constexpr const char* kCheck[] = {"any", "names", "dane"};
  return std::string(plan.policy) + " " + kStart[static_cast<size_t>(plan.starttls)] + " " +
         kCheck[static_cast<size_t>(plan.demand.check)] + (plan.falls_back ? " falls-back" : "");
}

std::string plan(TlsPolicy policy, const LaneTerms& lane, const Exchanger& to,
                 const TlsMemory::Note* memory = nullptr) {
  return words(plan_tls(policy, lane, to, memory, kNow));
}

TEST(TlsPlan, APolicyInTestingModeIsLookedAtForReportsAlone) {
  Route route;
  route.sts = sts(StsMode::kTesting, "mx.example.org");
  EXPECT_TRUE(terms_of(TlsPolicy::kNone, "example.com", route, false).is_plain());
  const LaneTerms tested = terms_of(TlsPolicy::kNone, "example.com", route, true);
  EXPECT_EQ(tested.domain, "example.com");
  // Also where it does not name the exchanger.
  const TlsPlan plan =
      plan_tls(TlsPolicy::kOpportunistic, tested, exchanger(DaneState::kNotAsked), nullptr, kNow);
  EXPECT_EQ(words(plan), "opportunistic if-offered any falls-back");
  EXPECT_NE(plan.demand.peer, nullptr);
  LaneTerms secure = tested;
  secure.dane = true;
  EXPECT_EQ(
      plan_tls(TlsPolicy::kOpportunistic, secure, exchanger(DaneState::kRecords), nullptr, kNow)
          .demand.peer,
      nullptr);
  route.sts = sts(StsMode::kNone, "mx.example.org");
  EXPECT_TRUE(terms_of(TlsPolicy::kNone, "example.com", route, true).is_plain());
}

TEST(TlsPlan, ThePolicyAlone) {
  using enum TlsPolicy;
  const LaneTerms plain = terms(kNone);
  EXPECT_TRUE(plain.is_plain());
  EXPECT_EQ(plan(kNone, plain, exchanger()), "none clear any");
  EXPECT_EQ(plan(kOpportunistic, plain, exchanger()), "opportunistic if-offered any falls-back");
  EXPECT_EQ(plan(kVerifiedIfOffered, plain, exchanger()),
            "verified-if-offered where-offered names");
  EXPECT_EQ(plan(kRequired, plain, exchanger()), "required must any");
  EXPECT_EQ(plan(kVerified, plain, exchanger()), "verified must names");
}

TEST(TlsPlan, TheStrictestOfJobAndPolicyHolds) {
  using enum TlsPolicy;
  EXPECT_EQ(plan(kNone, terms(kRequired), exchanger()), "required must any");
  EXPECT_EQ(plan(kVerified, terms(kOpportunistic), exchanger()), "verified must names");
  EXPECT_EQ(plan(kVerifiedIfOffered, terms(kRequired), exchanger()), "verified must names");
  EXPECT_FALSE(terms(kRequired).is_plain());
}

TEST(TlsPlan, DaneRowByRow) {
  using enum TlsPolicy;
  const LaneTerms lane = terms(kNone, true);
  EXPECT_EQ(plan(kOpportunistic, lane, exchanger(DaneState::kNotAsked)),
            "opportunistic if-offered any falls-back");
  EXPECT_EQ(plan(kOpportunistic, lane, exchanger(DaneState::kAbsent)),
            "opportunistic if-offered any falls-back");
  EXPECT_EQ(plan(kOpportunistic, lane, exchanger(DaneState::kFailed)), "skip dane");
  EXPECT_EQ(plan(kOpportunistic, lane, exchanger(DaneState::kRecords)), "dane must dane");
  EXPECT_EQ(plan(kNone, lane, exchanger(DaneState::kRecords)), "dane must dane");
  EXPECT_EQ(plan(kOpportunistic, lane, exchanger(DaneState::kUnusable)), "dane must any");
  EXPECT_EQ(plan(kVerified, lane, exchanger(DaneState::kUnusable)), "dane must names");
  EXPECT_EQ(plan(kVerified, lane, exchanger(DaneState::kRecords)), "dane must dane");
  // Where DNS does not vouch for the MX records, nothing of it counts (RFC 7672 section 2.2).
  EXPECT_EQ(plan(kOpportunistic, terms(kNone), exchanger(DaneState::kRecords)),
            "opportunistic if-offered any falls-back");
  EXPECT_EQ(plan(kOpportunistic, terms(kNone), exchanger(DaneState::kFailed)),
            "opportunistic if-offered any falls-back");
}

TEST(TlsPlan, WhatDaneAsksOfTheSession) {
  const TlsPlan records = plan_tls(TlsPolicy::kOpportunistic, terms(TlsPolicy::kNone, true),
                                   exchanger(DaneState::kRecords), nullptr, kNow);
  EXPECT_EQ(records.demand.server_name, "base.example.net");
  EXPECT_EQ(records.demand.names.size(), 2U);
  EXPECT_EQ(records.demand.tlsa.size(), 1U);
}

TEST(TlsPlan, MtaSts) {
  using enum TlsPolicy;
  const LaneTerms fits = terms(kNone, false, sts(StsMode::kEnforce, "*.example.com"));
  const LaneTerms other = terms(kNone, false, sts(StsMode::kEnforce, "mx.example.org"));
  EXPECT_EQ(fits.domain, "example.com");
  EXPECT_EQ(plan(kOpportunistic, fits, exchanger()), "mta-sts must names");
  EXPECT_EQ(plan(kNone, fits, exchanger()), "mta-sts must names");
  EXPECT_EQ(plan(kVerified, other, exchanger()), "skip mta-sts");
  EXPECT_TRUE(terms(kNone, false, sts(StsMode::kTesting, "mx.example.org")).is_plain());
  EXPECT_TRUE(terms(kNone, false, sts(StsMode::kNone, "mx.example.org")).is_plain());
}

TEST(TlsPlan, DaneGoesBeforeMtaSts) {
  using enum TlsPolicy;
  const LaneTerms lane = terms(kNone, true, sts(StsMode::kEnforce, "mx.example.org"));
  EXPECT_EQ(plan(kNone, lane, exchanger(DaneState::kRecords)), "dane must dane");
  EXPECT_EQ(plan(kNone, lane, exchanger(DaneState::kAbsent)), "skip mta-sts");
  // Records that nobody can use authenticate nothing: the policy does.
  EXPECT_EQ(plan(kNone, lane, exchanger(DaneState::kUnusable)), "skip mta-sts");
  const LaneTerms fits = terms(kNone, true, sts(StsMode::kEnforce, "mx.example.com"));
  EXPECT_EQ(plan(kNone, fits, exchanger(DaneState::kUnusable)), "mta-sts must names");
}

TEST(TlsPlan, BrokenTlsIsRememberedForOpportunisticMailAlone) {
  using enum TlsPolicy;
  TlsMemory memory;
  memory.broke("mx.example.com", "handshake failed", kNow, kNow + hours(1));
  const TlsMemory::Note* note = memory.find("mx.example.com", kNow);
  ASSERT_NE(note, nullptr);
  const LaneTerms plain = terms(kNone);
  const TlsPlan clear = plan_tls(kOpportunistic, plain, exchanger(), note, kNow);
  EXPECT_EQ(words(clear), "opportunistic clear any falls-back");
  EXPECT_EQ(clear.why, "handshake failed");
  EXPECT_EQ(plan(kVerifiedIfOffered, plain, exchanger(), note),
            "verified-if-offered where-offered names");
  EXPECT_EQ(plan(kRequired, plain, exchanger(), note), "required must any");
  EXPECT_EQ(plan(kVerified, plain, exchanger(), note), "verified must names");
  EXPECT_EQ(plan(kOpportunistic, terms(kRequired), exchanger(), note), "required must any");
  EXPECT_EQ(plan(kOpportunistic, terms(kNone, true), exchanger(DaneState::kRecords), note),
            "dane must dane");
  EXPECT_EQ(memory.find("mx.example.com", kNow + hours(1)), nullptr);
  EXPECT_EQ(memory.find("mx2.example.com", kNow), nullptr);
}

TEST(TlsPlan, WhoWantsTlsGetsItWhateverThePolicy) {
  using enum TlsPolicy;
  TlsMemory memory;
  memory.broke("mx.example.com", "handshake failed", kNow, kNow + hours(1));
  memory.wants("mx.example.com", kNow, kNow + hours(1));
  const TlsMemory::Note* note = memory.find("mx.example.com", kNow);
  EXPECT_EQ(plan(kNone, terms(kNone), exchanger(), note), "none if-offered any");
  EXPECT_EQ(plan(kOpportunistic, terms(kNone), exchanger(), note),
            "opportunistic if-offered any falls-back");
}

TEST(TlsPlan, AnAddressLiteralHasNoServerName) {
  Exchanger literal;
  literal.name = "[192.0.2.1]";
  const TlsPlan plan =
      plan_tls(TlsPolicy::kRequired, terms(TlsPolicy::kNone), literal, nullptr, kNow);
  EXPECT_EQ(plan.demand.server_name, "");
}

TEST(TlsMemory, ForgetsWhatMattersNoMoreSoonest) {
  TlsMemory memory;
  for (size_t i = 0; i <= TlsMemory::kExchangersMax; ++i) {
    memory.broke("mx" + std::to_string(i), "why", kNow, kNow + hours(1) + std::chrono::seconds(i));
  }
  EXPECT_EQ(memory.find("mx0", kNow), nullptr);
  EXPECT_NE(memory.find("mx1", kNow), nullptr);
  EXPECT_NE(memory.find("mx256", kNow), nullptr);
}

TEST(LaneTerms, AreTheSameWhateverThePolicysContent) {
  const LaneTerms a = terms(TlsPolicy::kNone, false, sts(StsMode::kEnforce, "a.example.com"));
  const LaneTerms b = terms(TlsPolicy::kNone, false, sts(StsMode::kEnforce, "b.example.com"));
  EXPECT_TRUE(a.is_same(b));
  EXPECT_FALSE(a.is_same(terms(TlsPolicy::kNone)));
  EXPECT_EQ(to_string(terms(TlsPolicy::kRequired, true, a.sts)),
            "required, dane, mta-sts example.com");
  EXPECT_EQ(to_string(terms(TlsPolicy::kNone)), "");
}

}  // namespace
}  // namespace sluice
