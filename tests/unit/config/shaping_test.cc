#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/config/kumo_keys.h"
#include "engine/config/shaping_file.h"
#include "engine/config/shaping_keys.h"

namespace sluice {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string mistakes(const std::string& text) {
  const auto parsed = parse_shaping(text, "s.toml", nullptr);
  return parsed.ok() ? "none" : message_of(parsed.status());
}

TEST(Shaping, TlsInKumosWords) {
  const auto of = [](const std::string& word) {
    const auto rules =
        parse_shaping("[\"x.example\"]\nenable_tls = \"" + word + "\"\n", "s.toml", nullptr);
    return rules.ok() ? rules->at(0).tls : std::nullopt;
  };
  EXPECT_EQ(of("Opportunistic"), TlsPolicy::kVerifiedIfOffered);
  EXPECT_EQ(of("OpportunisticInsecure"), TlsPolicy::kOpportunistic);
  EXPECT_EQ(of("Required"), TlsPolicy::kVerified);
  EXPECT_EQ(of("RequiredInsecure"), TlsPolicy::kRequired);
  EXPECT_EQ(of("Disabled"), TlsPolicy::kNone);
  EXPECT_THAT(mistakes("[\"x.example\"]\nenable_tls = \"required\"\n"), HasSubstr("enable_tls"));
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
enable_chunking = false
blind_chunking = "trusted"
max_recipients_per_batch = 7
on_unknown = "delivered"
data_block_timeout = "9s"
enable_tls = "Required"
enable_dane = false
enable_mta_sts = false
remember_broken_tls = "3 days"
starttls_timeout = "7s"
tls_handshake_timeout = "8s"
replace_base = true
["default"]
connection_limit = "local:1_0"
)",
                                   "s.toml", &warnings);
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_THAT(warnings, IsEmpty());
  ASSERT_EQ(rules->size(), 2U);
  EXPECT_EQ((*rules)[1].domain, "default");
  EXPECT_EQ((*rules)[1].scope, ShapingRule::Scope::kDefault);
  EXPECT_EQ((*rules)[1].connection_limit, 10U);
  EXPECT_EQ((*rules)[1].line, 33);
  EXPECT_TRUE((*rules)[1].mx_rollup);
  EXPECT_FALSE((*rules)[1].replace_base);
  const ShapingRule& r = (*rules)[0];
  EXPECT_EQ(r.scope, ShapingRule::Scope::kDomain);
  EXPECT_TRUE(r.replace_base);
  EXPECT_EQ(r.data_block_timeout, seconds(9));
  EXPECT_EQ(r.table, "\"Example.COM\"");
  ASSERT_EQ(r.set.size(), config::built_shaping_keys().size());
  const auto rate = std::find_if(r.set.begin(), r.set.end(),
                                 [](const SetKey& set) { return set.key == "max_message_rate"; });
  EXPECT_EQ(rate->value, "1,000/hr,max_burst=5");
  EXPECT_EQ(rate->line, 6);
  EXPECT_TRUE(rate->built);
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
  EXPECT_EQ(r.enable_chunking, false);
  EXPECT_EQ(r.tls, TlsPolicy::kVerified);
  EXPECT_EQ(r.enable_dane, false);
  EXPECT_EQ(r.enable_mta_sts, false);
  EXPECT_EQ(r.remember_broken_tls, std::chrono::hours(72));
  EXPECT_EQ(r.starttls_timeout, seconds(7));
  EXPECT_EQ(r.tls_handshake_timeout, seconds(8));
  EXPECT_EQ(r.blind_chunking, BlindChunking::kTrusted);
  EXPECT_EQ(r.max_recipients_per_batch, 7U);
  EXPECT_EQ(r.on_unknown, OnUnknown::kDelivered);
}

TEST(Shaping, WhatIsNotBuiltIsNamedInOneWarning) {
  std::vector<std::string> warnings;
  const auto rules = parse_shaping(R"(
[["default".automation]]
regex = "x"
action = "Suspend"
duration = "90m"
["default"]
enable_tls = "Opportunistic"
[provider."google"]
match = [{MXSuffix=".google.com"}]
provider_source_selection_rate = "1/s"
[[provider."google".automation]]
regex = "x"
action = "Suspend"
duration = "1 hour"
["example.com"]
enable_tls = "Required"
additional_connection_limits = {all = 10}
)",
                                   "s.toml", &warnings);
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_THAT(warnings, ElementsAre("s.toml: not built yet and without effect: automation (line 2 "
                                    "and 1 more), provider_source_selection_rate "
                                    "(line 10), additional_connection_limits (line 17)"));
  ASSERT_EQ(rules->size(), 3U);
  EXPECT_THAT(
      (*rules)[2].set,
      ElementsAre(
          ::testing::AllOf(Field(&SetKey::key, "enable_tls"), Field(&SetKey::value, "Required"),
                           Field(&SetKey::line, 16), Field(&SetKey::built, true)),
          ::testing::AllOf(Field(&SetKey::key, "additional_connection_limits"),
                           Field(&SetKey::value, "{ all = 10 }"), Field(&SetKey::line, 17),
                           Field(&SetKey::built, false))));
}

TEST(Shaping, ReadsProviders) {
  const auto rules = parse_shaping(R"(
[provider."163.com"]
match = [{MXSuffix=".NetEase.com."}, {HostName="mx.163.com"}, {DomainSuffix=".163.example"}]
provider_connection_limit = "local:1,000"
provider_max_message_rate = "5/min"
connection_limit = 4
[provider."163.com".sources."s 1"]
provider_connection_limit = 3
max_message_rate = "1/s"
[provider.plain]
)",
                                   "s.toml", nullptr);
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_EQ(rules->size(), 3U);
  const ShapingRule& p = (*rules)[0];
  EXPECT_EQ(p.scope, ShapingRule::Scope::kProvider);
  EXPECT_EQ(p.domain, "163.com");
  EXPECT_EQ(p.table, "provider.\"163.com\"");
  ASSERT_EQ(p.matches.size(), 3U);
  EXPECT_EQ(p.matches[0].kind, ProviderMatch::Kind::kMxSuffix);
  EXPECT_EQ(p.matches[0].text, ".netease.com");
  EXPECT_EQ(p.matches[1].kind, ProviderMatch::Kind::kHostName);
  EXPECT_EQ(p.matches[1].text, "mx.163.com");
  EXPECT_EQ(p.matches[2].kind, ProviderMatch::Kind::kDomainSuffix);
  EXPECT_EQ(p.provider_connection_limit, 1'000U);
  EXPECT_EQ(p.provider_max_message_rate, (Rate{5, minutes(1), 1}));
  EXPECT_EQ(p.connection_limit, 4U);
  const ShapingRule& s = (*rules)[1];
  EXPECT_EQ(s.domain, "163.com");
  EXPECT_EQ(s.source, "s 1");
  EXPECT_EQ(s.table, "provider.\"163.com\".sources.\"s 1\"");
  EXPECT_EQ(s.line, 7);
  EXPECT_TRUE(s.matches.empty());
  EXPECT_EQ(s.provider_connection_limit, 3U);
  EXPECT_FALSE(s.connection_limit);
  EXPECT_EQ((*rules)[2].domain, "plain");
}

TEST(Shaping, ASourcesTableBelongsToItsDomain) {
  const auto rules = parse_shaping(R"(
["a.example".sources."s1"]
connection_limit = 5
["a.example"]
mx_rollup = false
replace_base = true
["default".sources."s1"]
connection_limit = 2
)",
                                   "s.toml", nullptr);
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_EQ(rules->size(), 4U);
  EXPECT_EQ((*rules)[0].source, "");
  EXPECT_EQ((*rules)[1].source, "s1");
  EXPECT_FALSE((*rules)[1].mx_rollup);
  EXPECT_FALSE((*rules)[1].replace_base);
  EXPECT_EQ((*rules)[1].connection_limit, 5U);
  EXPECT_EQ((*rules)[1].set.at(0).line, 3);
  EXPECT_EQ((*rules)[3].scope, ShapingRule::Scope::kDefault);
  EXPECT_EQ((*rules)[3].source, "s1");
}

TEST(Shaping, MistakesOfProvidersAndSources) {
  EXPECT_EQ(mistakes("[provider.\"x\"]\nmatch = [{MXSufix=\".x\"}]\n"),
            "s.toml:2:11: unknown key provider.x.match.MXSufix; did you mean "
            "provider.x.match.MXSuffix?");
  EXPECT_EQ(mistakes("[provider.\"x\"]\nmatch = {MXSuffix=\".x\"}\n"),
            "s.toml:2:9: provider.x.match must be a list; write match = "
            "[{MXSuffix=\".google.com\"}, ...]");
  EXPECT_EQ(mistakes("[provider.\"x\"]\nmatch = [{MXSuffix=\"*.x\"}]\n"),
            "s.toml:2:20: provider.x.match.MXSuffix = \"*.x\" is no part of a name; write "
            "letters, digits, hyphens and dots, such as \".google.com\"");
  EXPECT_THAT(mistakes("[provider.\"x\"]\nmatch = [{MXSuffix=\".a\", HostName=\"b\"}]\n"),
              HasSubstr("must be a list"));
  EXPECT_THAT(mistakes("[provider.\"x\"]\nmx_rollup = true\n"), HasSubstr("unknown key"));
  EXPECT_THAT(mistakes("[provider.\"x\".sources.\"s\"]\nmatch = []\n"), HasSubstr("unknown key"));
  EXPECT_THAT(mistakes("[\"a.b\".sources.\"s\"]\nprovider_connection_limit = 1\n"),
              HasSubstr("unknown key"));
  EXPECT_THAT(mistakes("[\"a.b\".sources.\"s\"]\nreplace_base = true\n"), HasSubstr("unknown key"));
  EXPECT_EQ(mistakes("[provider]\nx = 1\n"),
            "s.toml:2:1: provider.x must be a table; write [provider.\"x\"]");
  EXPECT_EQ(mistakes("[\"a.b\".sources]\ns = 1\n"),
            "s.toml:2:1: \"a.b\".sources.s must be a table; write [\"a.b\".sources.\"s\"]");
  EXPECT_THAT(mistakes("provider = 1\n"), HasSubstr("must be a table"));
  EXPECT_THAT(mistakes("[provider.\"x\"]\nprovider_connection_limit = 0\n"),
              HasSubstr("must be between 1 and"));
  EXPECT_THAT(mistakes("[provider.\"x\"]\nprovider_max_message_rate = \"x\"\n"),
              HasSubstr("is not a rate"));
}

TEST(Shaping, EveryKeyOfKumosIsReadOver) {
  for (const std::string_view key : config::unbuilt_shaping_keys()) {
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
