#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/config/kumo_keys.h"
#include "engine/config/shaping_file.h"

namespace sluice {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string mistakes(const std::string& text) {
  const auto parsed = parse_shaping(text, "s.toml", nullptr);
  return parsed.ok() ? "none" : message_of(parsed.status());
}

TEST(Shaping, ReadsEveryBuiltKey) {
  std::vector<std::string> warnings;
  const auto rules = parse_shaping(R"(
["Example.COM"]
mx_rollup = false
connection_limit = 3
max_connection_rate = "100/min"
max_message_rate = "1,000/hr,max_burst=5"
max_deliveries_per_connection = 100
consecutive_connection_failures_before_delay = 24
idle_timeout = "60s"
connect_timeout = "5 seconds"
banner_timeout = "1m"
ehlo_timeout = "1m 30s"
mail_from_timeout = 30
rcpt_to_timeout = "2 min"
data_timeout = "3m"
data_dot_timeout = "5 minutes"
rset_timeout = "1s"
smtp_port = 2525
enable_pipelining = false
max_in_flight = 1
["default"]
connection_limit = "local:1_0"
)",
                                   "s.toml", &warnings);
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_THAT(warnings, IsEmpty());
  ASSERT_EQ(rules->size(), 2U);
  EXPECT_EQ((*rules)[0].domain, "default");
  EXPECT_EQ((*rules)[0].connection_limit, 10U);
  EXPECT_EQ((*rules)[0].line, 21);
  EXPECT_TRUE((*rules)[0].mx_rollup);
  const ShapingRule& r = (*rules)[1];
  EXPECT_EQ(r.domain, "example.com");
  EXPECT_EQ(r.file, "s.toml");
  EXPECT_EQ(r.line, 2);
  EXPECT_FALSE(r.mx_rollup);
  EXPECT_EQ(r.connection_limit, 3U);
  EXPECT_EQ(r.max_connection_rate, (Rate{100, minutes(1), 1}));
  EXPECT_EQ(r.max_message_rate, (Rate{1'000, std::chrono::hours(1), 5}));
  EXPECT_EQ(r.max_deliveries_per_connection, 100U);
  EXPECT_EQ(r.consecutive_connection_failures_before_delay, 24U);
  EXPECT_EQ(r.idle_timeout, seconds(60));
  EXPECT_EQ(r.connect_timeout, seconds(5));
  EXPECT_EQ(r.banner_timeout, minutes(1));
  EXPECT_EQ(r.ehlo_timeout, seconds(90));
  EXPECT_EQ(r.mail_from_timeout, seconds(30));
  EXPECT_EQ(r.rcpt_to_timeout, minutes(2));
  EXPECT_EQ(r.data_timeout, minutes(3));
  EXPECT_EQ(r.data_dot_timeout, minutes(5));
  EXPECT_EQ(r.rset_timeout, seconds(1));
  EXPECT_EQ(r.smtp_port, 2525);
  EXPECT_EQ(r.enable_pipelining, false);
  EXPECT_EQ(r.max_in_flight, 1U);
}

TEST(Shaping, WhatIsNotBuiltIsNamedInOneWarning) {
  std::vector<std::string> warnings;
  const auto rules = parse_shaping(R"(
[["default".automation]]
regex = ['''deferred from \d+''', "x"]
action = [{SetConfig={name="connection_limit", value=1}}, "Suspend"]
trigger = {Threshold="2/hr"}
duration = "90m"
["default"]
connection_limit = 10
enable_tls = "Opportunistic"
[provider."google"]
match = [{MXSuffix=".google.com"}]
provider_connection_limit = 5
max_deliveries_per_connection = 50
[[provider."google".automation]]
regex = "x"
action = "Suspend"
duration = "1 hour"
["example.com"]
enable_tls = "Required"
["example.com".sources."my source"]
connection_limit = 5
)",
                                   "s.toml", &warnings);
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_EQ(rules->size(), 2U);
  EXPECT_EQ((*rules)[0].domain, "default");
  EXPECT_EQ((*rules)[0].connection_limit, 10U);
  EXPECT_EQ((*rules)[1].domain, "example.com");
  EXPECT_FALSE((*rules)[1].connection_limit);
  EXPECT_THAT(warnings,
              ElementsAre("s.toml: not built yet and without effect: automation (line 2), "
                          "enable_tls (line 9 and 1 more), provider (line 10), sources (line "
                          "20)"));
}

TEST(Shaping, EveryKeyOfKumosIsReadOver) {
  for (const std::string_view key : config::unbuilt_shaping_keys()) {
    if (key == "automation" || key == "sources") continue;
    std::vector<std::string> warnings;
    const std::string text = "[\"default\"]\n" + std::string(key) + " = true\n";
    EXPECT_TRUE(parse_shaping(text, "s.toml", &warnings).ok()) << key;
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_THAT(warnings[0], HasSubstr(std::string(key) + " (line 2)"));
  }
}

TEST(Shaping, UnknownKeysAreErrorsEverywhere) {
  EXPECT_EQ(mistakes("[\"gmail.com\"]\nmax_mesage_rate = \"1/s\"\n"),
            "s.toml:2:1: unknown key \"gmail.com\".max_mesage_rate; did you mean "
            "\"gmail.com\".max_message_rate?");
  EXPECT_THAT(mistakes("[provider.\"x\"]\nprovider_conection_limit = 1\n"),
              HasSubstr("did you mean provider.x.provider_connection_limit?"));
  EXPECT_THAT(mistakes("[\"default\".sources.\"s\"]\nconection_limit = 1\n"),
              HasSubstr("did you mean default.sources.s.connection_limit?"));
  EXPECT_THAT(mistakes("[[\"default\".automation]]\nregexp = \"x\"\n"),
              HasSubstr("did you mean default.automation.regex?"));
  EXPECT_THAT(mistakes("connection_limit = 1\n"), HasSubstr("outside of a table"));
}

TEST(Shaping, DomainsAreCheckedAndMustBeQuoted) {
  EXPECT_EQ(mistakes("[gmail.com]\nconnection_limit = 1\n"),
            "s.toml:1:8: a domain's name must stand in quotes; write [\"gmail.com\"]");
  EXPECT_THAT(mistakes("[\"m\xC3\xBCller.example\"]\n"), HasSubstr("A-label"));
  EXPECT_THAT(mistakes("[\"a.b\"]\n[\"A.B\"]\n"), HasSubstr("s.toml:2:2: \"A.B\" is there twice"));
}

TEST(Shaping, ValuesOutOfRangeAreTold) {
  EXPECT_THAT(mistakes("[\"default\"]\nconnection_limit = 0\n"), HasSubstr("between 1 and"));
  EXPECT_THAT(mistakes("[\"default\"]\nconnection_limit = \"x\"\n"), HasSubstr("is not a limit"));
  EXPECT_THAT(mistakes("[\"default\"]\nconnection_limit = \"local:0\"\n"),
              HasSubstr("is not a limit"));
  EXPECT_THAT(mistakes("[\"default\"]\nmax_message_rate = 5\n"), HasSubstr("must be a string"));
  EXPECT_THAT(mistakes("[\"default\"]\ndata_timeout = \"0s\"\n"), HasSubstr("must be between 1ms"));
  EXPECT_THAT(mistakes("[\"default\"]\ndata_timeout = 0\n"), HasSubstr("must be between 1 and"));
  EXPECT_EQ(mistakes("[\"default\"]\nidle_timeout = 0\n"), "none");
  EXPECT_THAT(mistakes("[\"default\"]\nsmtp_port = 65536\n"), HasSubstr("between 1 and 65535"));
  EXPECT_EQ(parse_shaping("[", "s.toml", nullptr).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace sluice
