#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tools/cmd/tls_probe_report.h"

namespace sluice::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ProbeTarget target_of(TlsPolicy policy) {
  ProbeTarget target;
  target.exchanger.name = "mx.example.com";
  target.policy = policy;
  return target;
}

// As mail under `policy`, to an exchanger without DANE or MTA-STS.
TlsPlan plan_under(TlsPolicy policy) { return plan_of(target_of(policy)); }

ProbedSession encrypted(TlsCheck passed) {
  ProbedSession session;
  session.connected = session.offered = session.ready = true;
  session.facts = TlsFacts{.protocol = "TLSv1.3", .cipher = "TLS_X", .passed = passed};
  return session;
}

ProbedSession in_clear() {
  ProbedSession session;
  session.connected = session.ready = true;
  return session;
}

ProbeReport report_of(const TlsPlan& plan, const ProbedSession& session) {
  auto route = std::make_shared<Route>();
  route->site = "mx.example.com";
  ProbedExchanger probed;
  probed.exchanger.name = "mx.example.com";
  probed.exchanger.preference = 10;
  probed.plan = plan;
  probed.from = "[tls] policy";
  ProbedAddress address;
  address.to = {*parse_ip("192.0.2.1"), 25};
  address.session = session;
  probed.addresses.push_back(address);
  ProbeReport report;
  report.asked = report.domain = "example.com";
  report.source = "s1";
  report.route = route;
  report.exchangers.push_back(probed);
  return report;
}

TEST(TlsProbe, SaysHowThePeerIsAuthenticated) {
  const TlsPlan verified = plan_under(TlsPolicy::kVerified);
  EXPECT_EQ(verdict_of(verified, encrypted(TlsCheck::kNames)).words,
            "encrypted and authenticated (a certificate for mx.example.com)");
  TlsPlan sts = verified;
  sts.policy = "mta-sts";
  EXPECT_EQ(verdict_of(sts, encrypted(TlsCheck::kNames)).words,
            "encrypted and authenticated (MTA-STS)");
  EXPECT_EQ(verdict_of(verified, encrypted(TlsCheck::kDane)).words,
            "encrypted and authenticated (DANE)");
  EXPECT_EQ(verdict_of(verified, encrypted(TlsCheck::kNone)).words, "encrypted, not authenticated");
  EXPECT_TRUE(verdict_of(verified, encrypted(TlsCheck::kNames)).delivers);
}

TEST(TlsProbe, SaysWhyMailWouldGoInClear) {
  const TlsPlan opportunistic = plan_under(TlsPolicy::kOpportunistic);
  EXPECT_EQ(verdict_of(opportunistic, in_clear()).words, "in clear: STARTTLS is not offered");
  ProbedSession session = in_clear();
  session.offered = session.refused = true;
  EXPECT_EQ(verdict_of(opportunistic, session).words, "in clear: STARTTLS was refused");
  session.refused = false;
  session.broken = TlsFailure{TlsFailureKind::kHandshake, "no shared cipher"};
  EXPECT_EQ(verdict_of(opportunistic, session).words, "in clear: TLS: no shared cipher");
  // Offered and not used: it is the policy that does not want it.
  session = in_clear();
  session.offered = true;
  EXPECT_EQ(verdict_of(plan_under(TlsPolicy::kNone), session).words,
            "in clear: the policy is none");
  EXPECT_TRUE(verdict_of(opportunistic, session).delivers);
}

TEST(TlsProbe, ASessionThatWasNotGreetedDeliversNothing) {
  ProbedSession session;
  session.failure = "after EHLO: 554 go\x01 away";
  const ProbeVerdict verdict = verdict_of(plan_under(TlsPolicy::kRequired), session);
  EXPECT_FALSE(verdict.delivers);
  EXPECT_EQ(verdict.words, "would be deferred: after EHLO: 554 go\\x01 away");
  // Encrypted, and then refused.
  ProbedSession late = encrypted(TlsCheck::kNone);
  late.ready = false;
  EXPECT_FALSE(verdict_of(plan_under(TlsPolicy::kRequired), late).delivers);
}

TEST(TlsProbe, AllDeliverNeedsASessionAndNoneThatFails) {
  const TlsPlan plan = plan_under(TlsPolicy::kOpportunistic);
  ProbeReport report = report_of(plan, in_clear());
  EXPECT_TRUE(all_deliver(report));
  // What the source cannot dial is no failure, but no session either.
  report.exchangers[0].addresses.push_back(report.exchangers[0].addresses[0]);
  report.exchangers[0].addresses[1].not_tried = "source s1 has no IPv6 address to send from";
  EXPECT_TRUE(all_deliver(report));
  report.exchangers[0].addresses[0].not_tried = "the same";
  EXPECT_FALSE(all_deliver(report));

  report = report_of(plan, in_clear());
  report.exchangers[0].addresses.push_back(report.exchangers[0].addresses[0]);
  report.exchangers[0].addresses[1].session.ready = false;
  EXPECT_FALSE(all_deliver(report));

  report = report_of(plan, in_clear());
  report.exchangers.push_back(report.exchangers[0]);
  report.exchangers[1].addresses.clear();
  report.exchangers[1].plan.skip = true;
  EXPECT_FALSE(all_deliver(report));
}

TEST(TlsProbe, AnExchangerThatIsNotUsedSaysWhy) {
  ProbeReport report = report_of(plan_under(TlsPolicy::kOpportunistic), in_clear());
  ProbeTarget target = target_of(TlsPolicy::kOpportunistic);
  target.exchanger.dane = DaneState::kFailed;
  target.exchanger.dane_detail = "SERVFAIL";
  target.terms.dane = true;
  report.exchangers[0].plan = plan_of(target);
  report.exchangers[0].addresses.clear();
  EXPECT_THAT(probe_words(report),
              HasSubstr("verdict      not used: its TLSA records cannot be looked up (RFC 7672): "
                        "SERVFAIL\n"));
  const auto json = nlohmann::json::parse(probe_json(report));
  EXPECT_EQ(json["exchangers"][0]["used"], false);
  EXPECT_EQ(json["all_deliver"], false);
}

TEST(TlsProbe, DaneSaysWhyItDoesNotCount) {
  ProbeReport report = report_of(plan_under(TlsPolicy::kOpportunistic), in_clear());
  EXPECT_THAT(probe_words(report), HasSubstr("not looked for: [dns] trust_ad is not set\n"));
  report.trusts_dns = true;
  EXPECT_THAT(probe_words(report), HasSubstr("does not count: DNS does not vouch"));
  auto route = std::make_shared<Route>(*report.route);
  route->mx_secure = true;
  report.route = route;
  report.exchangers[0].exchanger.dane = DaneState::kRecords;
  report.exchangers[0].exchanger.tlsa = {{3, 1, 1, "\x01\xab"}};
  report.exchangers[0].exchanger.tlsa_base = "mx.example.com";
  std::string text = probe_words(report);
  EXPECT_THAT(text, HasSubstr("1 TLSA records of mx.example.com (does not count: DANE is off)\n"));
  EXPECT_THAT(text, HasSubstr(" 3 1 1 01ab\n"));
  report.exchangers[0].plan.policy = "dane";
  report.exchangers[0].addresses[0].session = encrypted(TlsCheck::kDane);
  text = probe_words(report);
  EXPECT_THAT(text, Not(HasSubstr("does not count")));
  EXPECT_THAT(text, HasSubstr("a record matches\n"));
  EXPECT_EQ(nlohmann::json::parse(probe_json(report))["exchangers"][0]["dane"]["counts"], true);
}

TEST(TlsProbe, StsSaysWhetherThePolicyNamesTheExchanger) {
  ProbeReport report = report_of(plan_under(TlsPolicy::kOpportunistic), in_clear());
  EXPECT_THAT(probe_words(report), HasSubstr("no policy that asks for anything\n"));
  auto sts = std::make_shared<StsPolicy>();
  sts->mode = StsMode::kTesting;
  sts->mx = {"*.example.net"};
  auto route = std::make_shared<Route>(*report.route);
  route->sts = sts;
  report.route = route;
  EXPECT_THAT(probe_words(report),
              HasSubstr("the policy does not name it (testing: mail goes all the same)\n"));
  sts->mode = StsMode::kEnforce;
  sts->mx = {"*.example.com"};
  EXPECT_THAT(probe_words(report), HasSubstr("the policy names it\n"));
}

TEST(TlsProbe, WhatAPeerSaysIsEscaped) {
  ProbedSession session = in_clear();
  session.greeting = "220 mx \x1b[31m\xff";
  const ProbeReport report = report_of(plan_under(TlsPolicy::kOpportunistic), session);
  EXPECT_THAT(probe_words(report), Not(HasSubstr("\x1b")));
  const std::string line = probe_json(report);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["exchangers"][0]["addresses"][0]["greeting"], "220 mx \\x1b[31m\\xff");
}

TEST(TlsProbe, ADomainWithoutARouteSaysWhy) {
  ProbeReport report;
  report.asked = report.domain = "nowhere.example";
  auto route = std::make_shared<Route>();
  route->failure.state = State::kBounced;
  route->failure.reply = {550, {5, 1, 2}, "no such domain"};
  report.route = route;
  EXPECT_EQ(probe_words(report), "nowhere.example: mail for it bounces: 5.1.2 no such domain\n");
  EXPECT_FALSE(all_deliver(report));
  const auto json = nlohmann::json::parse(probe_json(report));
  EXPECT_EQ(json["failure"]["bounces"], true);
  EXPECT_EQ(json["usable"], false);
}

}  // namespace
}  // namespace sluice::tools
