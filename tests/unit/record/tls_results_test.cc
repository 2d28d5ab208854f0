#include "engine/record/tls_results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/record/tls_report.h"

namespace sluice {
namespace {

using std::chrono::hours;
using testing::ElementsAre;
using testing::Pair;

constexpr TlsDay kDay = 20'779;  // 2026-11-22

TlsResult passed(const std::string& domain, const TlsApplied& applied = {}) {
  TlsResult result;
  result.domain = domain;
  result.applied = applied;
  return result;
}

TlsResult failed(const std::string& domain, const std::string& type,
                 const std::string& reason = "") {
  TlsResult result;
  result.domain = domain;
  result.failed = TlsFailed{type, "192.0.2.1", "mx.example.com", "192.0.2.9", reason};
  return result;
}

TlsApplied tlsa(const std::string& record) {
  TlsApplied applied;
  applied.type = TlsPolicyType::kTlsa;
  applied.strings = {record};
  applied.mx = {"mx.example.com"};
  return applied;
}

TEST(TlsResults, DaysAreThoseOfUtc) {
  EXPECT_EQ(tls_day_of(WallTime()), 0);
  EXPECT_EQ(tls_day_of(WallTime(hours(24) - Duration(1))), 0);
  EXPECT_EQ(tls_day_of(WallTime(hours(24))), 1);
  EXPECT_EQ(tls_day_of(begin_of(kDay)), kDay);
  EXPECT_EQ(to_string_of_day(kDay), "2026-11-22");
  EXPECT_EQ(parse_tls_day("2026-11-22"), kDay);
  EXPECT_EQ(parse_tls_day("2028-02-29").has_value(), true);
  for (const char* bad : {"", "2026-11-2", "2026-13-01", "2026-02-29", "2026/11/22", "2026-11-2x",
                          "1969-12-31", "2201-01-01", "2026-11-220"}) {
    EXPECT_EQ(parse_tls_day(bad), std::nullopt) << bad;
  }
}

TEST(TlsResults, WhatIsAlikeIsCountedTogether) {
  TlsResults results;
  for (int i = 0; i < 3; ++i) results.add(kDay, passed("example.com"));
  results.add(kDay, passed("example.com", tlsa("3 1 1 aa")));
  for (int i = 0; i < 2; ++i) results.add(kDay, failed("example.com", "certificate-expired"));
  results.add(kDay, failed("example.com", "validation-failure", "an alert"));
  const TlsDomainResults* const found = results.find(kDay, "example.com");
  ASSERT_NE(found, nullptr);
  ASSERT_EQ(found->policies.size(), 2U);
  EXPECT_EQ(found->policies[0].passed, 3U);
  EXPECT_EQ(found->policies[0].failed, 3U);
  EXPECT_THAT(found->policies[0].failures,
              ElementsAre(Pair(TlsFailed{"certificate-expired", "192.0.2.1", "mx.example.com",
                                         "192.0.2.9", ""},
                               2U),
                          Pair(TlsFailed{"validation-failure", "192.0.2.1", "mx.example.com",
                                         "192.0.2.9", "an alert"},
                               1U)));
  EXPECT_EQ(found->policies[1].applied, tlsa("3 1 1 aa"));
  EXPECT_EQ(found->policies[1].passed, 1U);
  EXPECT_EQ(results.find(kDay + 1, "example.com"), nullptr);
}

TEST(TlsResults, OnlyDaysBeforeTodayHaveEnded) {
  TlsResults results;
  results.add(kDay, passed("b.example"));
  results.add(kDay, passed("a.example"));
  results.add(kDay - 1, passed("z.example"));
  results.add(kDay + 1, passed("a.example"));
  EXPECT_THAT(
      results.ended(kDay + 1),
      ElementsAre(Pair(kDay - 1, "z.example"), Pair(kDay, "a.example"), Pair(kDay, "b.example")));
  const uint64_t before = results.version();
  results.remove(kDay, "a.example");
  results.remove(kDay, "unknown.example");
  EXPECT_EQ(results.version(), before + 1);
  EXPECT_THAT(results.ended(kDay + 1),
              ElementsAre(Pair(kDay - 1, "z.example"), Pair(kDay, "b.example")));
}

TEST(TlsResults, WhatIsNoPolicyDomainIsNotCounted) {
  TlsResults results;
  for (const char* name : {"", "[192.0.2.1]", "a b.example", "a\"b.example", "A.example",
                           "x\\032y.example", "{{email}}"}) {
    results.add(kDay, passed(name));
  }
  results.add(kDay, passed(std::string(254, 'a')));
  EXPECT_TRUE(results.empty());
  EXPECT_EQ(results.left_out(), 0U);
}

TEST(TlsResults, KeepsWithinItsBounds) {
  TlsResultLimits limits;
  limits.domains_max = 2;
  limits.policies_max = 2;
  limits.failures_max = 3;
  limits.strings_max = 2;
  limits.text_bytes_max = 8;
  TlsResults results(limits);
  results.add(kDay, passed("a.example"));
  results.add(kDay, passed("b.example"));
  results.add(kDay, passed("c.example"));
  EXPECT_EQ(results.find(kDay, "c.example"), nullptr);
  EXPECT_EQ(results.left_out(), 1U);
  // A policy beyond the bound is left out, those that are known go on counting.
  results.add(kDay, passed("a.example", tlsa("1")));
  results.add(kDay, passed("a.example", tlsa("2")));
  results.add(kDay, passed("a.example", tlsa("1")));
  ASSERT_EQ(results.find(kDay, "a.example")->policies.size(), 2U);
  EXPECT_EQ(results.find(kDay, "a.example")->policies[1].passed, 2U);
  EXPECT_EQ(results.left_out(), 2U);
  // Of failures the count is whole.
  for (const char* type : {"a", "b", "c", "d", "e", "a"}) {
    results.add(kDay, failed("b.example", type));
  }
  const TlsPolicyCounts& counts = results.find(kDay, "b.example")->policies[0];
  EXPECT_EQ(counts.failed, 6U);
  EXPECT_EQ(counts.failures.size(), 3U);
  EXPECT_EQ(counts.failures.begin()->second, 2U);
  // Texts are cut, and made printable.
  TlsApplied long_one = tlsa("0123456789");
  long_one.strings.insert(long_one.strings.end(), {"a\nb\xff", "third"});
  results.add(kDay, passed("b.example", long_one));
  EXPECT_THAT(results.find(kDay, "b.example")->policies[1].applied.strings,
              ElementsAre("01234567", "a?b?"));
}

TEST(TlsResults, OutliveTheProcess) {
  TlsResults results;
  for (int i = 0; i < 5; ++i) results.add(kDay, passed("example.com", tlsa("3 1 1 aa")));
  results.add(kDay, failed("example.com", "certificate-expired", "it \"ended\" \\ yesterday \xe9"));
  results.add(kDay + 1, passed("example.com"));
  results.add(kDay, passed("other.example"));
  const StatusOr<TlsResultsFile> file = parse_tls_results(results.file_text());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->left_out, 0U);
  TlsResults again;
  for (const TlsDomainResults& each : file->results) again.add(each);
  EXPECT_EQ(again.file_text(), results.file_text());
  EXPECT_EQ(*again.find(kDay, "example.com"), *results.find(kDay, "example.com"));
  // What came meanwhile and what was known add up.
  for (const TlsDomainResults& each : file->results) again.add(each);
  EXPECT_EQ(again.find(kDay, "example.com")->policies[0].passed, 10U);
  EXPECT_EQ(again.find(kDay, "example.com")->policies[1].failures.begin()->second, 2U);
}

TEST(TlsResults, AFileThatIsDamagedIsAnErrorOrLosesALine) {
  EXPECT_TRUE(parse_tls_results(TlsResults().file_text()).ok());
  for (const char* bad : {"", "[]", "{", R"({"version":2,"results":[]})", R"({"version":1})",
                          R"({"version":1,"results":{}})"}) {
    EXPECT_FALSE(parse_tls_results(bad).ok()) << bad;
  }
  const std::string good =
      R"({"day":"2026-11-22","domain":"a.example","policies":[{"policy":{"policy-type":"sts"},)"
      R"("summary":{"total-successful-session-count":1,"total-failure-session-count":0}}]})";
  for (const char* bad :
       {R"(7)", R"({})", R"({"day":"x","domain":"a.example","policies":[]})",
        R"({"day":"2026-11-22","domain":7,"policies":[]})",
        R"({"day":"2026-11-22","domain":"a.example","policies":[{}]})",
        R"({"day":"2026-11-22","domain":"a.example","policies":[{"policy":{"policy-type":"best"},)"
        R"("summary":{"total-successful-session-count":1,"total-failure-session-count":0}}]})",
        R"({"day":"2026-11-22","domain":"a.example","policies":[{"policy":{"policy-type":"sts"},)"
        R"("summary":{"total-successful-session-count":-1,"total-failure-session-count":0}}]})"}) {
    const StatusOr<TlsResultsFile> file =
        parse_tls_results(R"({"version":1,"results":[)" + good + "," + bad + "]}");
    ASSERT_TRUE(file.ok()) << bad;
    EXPECT_EQ(file->left_out, 1U) << bad;
    ASSERT_EQ(file->results.size(), 1U) << bad;
    EXPECT_EQ(file->results[0].policies[0].passed, 1U);
  }
}

}  // namespace
}  // namespace sluice
