#include "engine/record/tls_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::ElementsAre;

constexpr TlsDay kDay = 20'779;  // 2026-11-22

TlsReporter reporter() {
  TlsReporter who;
  who.organization = "Example \"Mail\" Inc.";
  who.contact = "tls@sender.example";
  who.submitter = "sender.example";
  return who;
}

// As in RFC 8460 appendix B: an MTA-STS policy, two kinds of failures.
TlsDomainResults example() {
  TlsDomainResults results;
  results.day = kDay;
  results.domain = "company-y.example";
  TlsPolicyCounts counts;
  counts.applied.type = TlsPolicyType::kSts;
  counts.applied.strings = {"version: STSv1", "mode: enforce", "mx: *.mail.company-y.example",
                            "max_age: 86400"};
  counts.applied.mx = {"*.mail.company-y.example"};
  counts.passed = 5'326;
  counts.failed = 303;
  counts.failures[{"certificate-expired", "2001:db8:abcd:12::1", "mx1.mail.company-y.example", "",
                   ""}] = 100;
  counts.failures[{"starttls-not-supported", "2001:db8:abcd:13::1", "mx2.mail.company-y.example",
                   "203.0.113.56", "it is not offered"}] = 203;
  results.policies.push_back(counts);
  return results;
}

TEST(TlsReport, HasTheFormOfTheStandard) {
  const auto report = nlohmann::json::parse(tls_report_json(example(), reporter()));
  EXPECT_EQ(report, nlohmann::json::parse(R"({
    "organization-name": "Example \"Mail\" Inc.",
    "date-range": {"start-datetime": "2026-11-22T00:00:00Z",
                   "end-datetime": "2026-11-22T23:59:59Z"},
    "contact-info": "tls@sender.example",
    "report-id": "2026-11-22.3780226e@sender.example",
    "policies": [{
      "policy": {
        "policy-type": "sts",
        "policy-string": ["version: STSv1", "mode: enforce", "mx: *.mail.company-y.example",
                          "max_age: 86400"],
        "policy-domain": "company-y.example",
        "mx-host": ["*.mail.company-y.example"]
      },
      "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
      "failure-details": [{
        "result-type": "certificate-expired",
        "sending-mta-ip": "2001:db8:abcd:12::1",
        "receiving-mx-hostname": "mx1.mail.company-y.example",
        "failed-session-count": 100
      }, {
        "result-type": "starttls-not-supported",
        "sending-mta-ip": "2001:db8:abcd:13::1",
        "receiving-mx-hostname": "mx2.mail.company-y.example",
        "receiving-ip": "203.0.113.56",
        "failed-session-count": 203,
        "failure-reason-code": "it is not offered"
      }]
    }]
  })"));
}

TEST(TlsReport, IsReadBack) {
  TlsDomainResults results = example();
  TlsPolicyCounts none;
  none.passed = 7;
  results.policies.push_back(none);
  const auto report = nlohmann::json::parse(tls_report_json(results, reporter()));
  EXPECT_EQ(parse_tls_policies(report["policies"].dump()), results.policies);
  EXPECT_EQ(parse_tls_policies(tls_policies_json(results)), results.policies);
  EXPECT_EQ(report["policies"][1], nlohmann::json::parse(R"({
    "policy": {"policy-type": "no-policy-found", "policy-domain": "company-y.example"},
    "summary": {"total-successful-session-count": 7, "total-failure-session-count": 0}
  })"));
}

TEST(TlsReport, SaysTheSameOfTheSameDayAndAnotherOfAnother) {
  TlsDomainResults other = example();
  other.domain = "company-z.example";
  TlsDomainResults later = example();
  later.day = kDay + 1;
  const std::string id = tls_report_id(example(), reporter());
  EXPECT_EQ(tls_report_id(example(), reporter()), id);
  EXPECT_NE(tls_report_id(other, reporter()), id);
  EXPECT_NE(tls_report_id(later, reporter()), id);
  EXPECT_EQ(tls_report_file_name(example(), reporter()),
            "sender.example!company-y.example!1795305600!1795391999!2026-11-22.3780226e.json.gz");
}

TEST(TlsReport, WhatIsNotUtf8IsNoTrouble) {
  TlsReporter who = reporter();
  who.organization = "\xff\xfe";
  EXPECT_TRUE(nlohmann::json::accept(tls_report_json(example(), who)));
}

using Texts = std::vector<std::string>;

TlsReportTargets to(const Texts& addresses, const Texts& urls = {}) { return {addresses, urls}; }

TEST(TlsReportRecord, IsTakenAsItMayBeWritten) {
  const struct {
    Texts texts;
    TlsReportTargets wanted;
  } cases[] = {
      {{"v=TLSRPTv1;rua=mailto:a@b.example"}, to({"a@b.example"})},
      {{"v=TLSRPTv1; rua=mailto:a@b.example;"}, to({"a@b.example"})},
      {{"v=TLSRPTv1 \t;\t rua=mailto:a@b.example \t; "}, to({"a@b.example"})},
      {{"v=TLSRPTv1; rua=https://b.example/v1/tlsrpt"}, to({}, {"https://b.example/v1/tlsrpt"})},
      {{"v=TLSRPTv1; rua=mailto:a@b.example , https://b.example/ ,mailto:c@d.example"},
       to({"a@b.example", "c@d.example"}, {"https://b.example/"})},
      {{"v=TLSRPTv1; rua=MAILTO:a@b.example,HTTPS://b.example/"},
       to({"a@b.example"}, {"HTTPS://b.example/"})},
      {{"v=TLSRPTv1; rua=mailto:a%2cb%2Dc@b.example"}, to({})},  // a comma would need quotes
      {{"v=TLSRPTv1; rua=mailto:a%2bb%21@b.example?subject=x"}, to({"a+b!@b.example"})},
      {{"v=TLSRPTv1; rua=mailto:a@b.example,mailto:a@b.example"}, to({"a@b.example"})},
      {{"v=TLSRPTv1; x.y-z_1=some:value; rua=mailto:a@b.example"}, to({"a@b.example"})},
      // Of what cannot be used the rest remains.
      {{"v=TLSRPTv1; rua=ftp://b.example,mailto:a@b.example,mailto:,http://b.example"},
       to({"a@b.example"})},
      // Others' records beside it.
      {{"v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b.example", "v=TLSRPTv2; rua=mailto:c@b.example"},
       to({"a@b.example"})},
  };
  for (const auto& each : cases) {
    const auto found = parse_tls_report_record(each.texts);
    if (each.wanted == TlsReportTargets()) {
      EXPECT_EQ(found, std::nullopt) << each.texts[0];
    } else {
      EXPECT_EQ(found, each.wanted) << each.texts[0];
    }
  }
}

TEST(TlsReportRecord, IsNoneWhereItIsNotWellFormed) {
  const std::string good = "v=TLSRPTv1; rua=mailto:a@b.example";
  const Texts cases[] = {
      {},
      {""},
      {"v=TLSRPTv1"},
      {"v=TLSRPTv1;"},
      {"v=TLSRPTv1; ;"},
      {"v=TLSRPTv1 rua=mailto:a@b.example"},
      {"v=tlsrptv1; rua=mailto:a@b.example"},
      {"V=TLSRPTv1; rua=mailto:a@b.example"},
      {" v=TLSRPTv1; rua=mailto:a@b.example"},
      {"v=TLSRPTv10; rua=mailto:a@b.example"},
      {"rua=mailto:a@b.example; v=TLSRPTv1"},
      {"v=TLSRPTv1; RUA=mailto:a@b.example"},
      {"v=TLSRPTv1; rua="},
      {"v=TLSRPTv1; rua=mailto:"},
      {"v=TLSRPTv1; rua=a@b.example"},
      {"v=TLSRPTv1; rua=https://"},
      {"v=TLSRPTv1; rua=mailto:a@b.example; rua=mailto:c@b.example"},
      {"v=TLSRPTv1; rua=mailto:a@b.example; junk"},
      {"v=TLSRPTv1; rua=mailto:a@b.example; =x"},
      {"v=TLSRPTv1; ; rua=mailto:a@b.example"},
      {good, good},
      // An address that would become another list, header or command.
      {"v=TLSRPTv1; rua=mailto:a%0d%0ab@b.example"},
      {"v=TLSRPTv1; rua=mailto:a%20b@b.example"},
      {"v=TLSRPTv1; rua=mailto:%22a%22@b.example"},
      {"v=TLSRPTv1; rua=mailto:<a@b.example>"},
      {"v=TLSRPTv1; rua=mailto:a@b@c.example"},
      {"v=TLSRPTv1; rua=mailto:@b.example"},
      {"v=TLSRPTv1; rua=mailto:a@"},
      {"v=TLSRPTv1; rua=mailto:a%@b.example"},
      {"v=TLSRPTv1; rua=mailto:a%4"},
      {"v=TLSRPTv1; rua=mailto:a%zz@b.example"},
      {"v=TLSRPTv1; rua=mailto:\xc3\xa9@b.example"},
      {"v=TLSRPTv1; rua=mailto:" + std::string(250, 'a') + "@b.example"},
      {"v=TLSRPTv1; rua=https://b.example/a b"},
      {std::string("v=TLSRPTv1; rua=mailto:a\0b@b.example", 36)},
  };
  for (const Texts& texts : cases) {
    EXPECT_EQ(parse_tls_report_record(texts), std::nullopt) << (texts.empty() ? "" : texts[0]);
  }
}

TEST(TlsReportRecord, TakesSoManyAddresses) {
  std::string text = "v=TLSRPTv1; rua=mailto:a0@b.example";
  for (int i = 1; i < 100; ++i) text += ",mailto:a" + std::to_string(i) + "@b.example";
  const auto found = parse_tls_report_record({text});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->addresses.size(), kTlsReportTargetsMax);
}

}  // namespace
}  // namespace sluice
