#include "tools/cmd/route_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "engine/config/configuration_file.h"
#include "engine/control/route_document.h"

namespace sluice::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kRules = R"(["default"]
connection_limit = 7
["big.example"]
max_message_rate = "5/s,max_burst=3"
ehlo_domain = "Required"
["big.example".sources."s2"]
connection_limit = 3
[provider."big"]
match = [{MXSuffix=".big.example"}]
provider_connection_limit = 20
)";

// Mail from s1, s2 and s3 for a domain whose one exchanger is mx.big.example.
RouteReport report() {
  const auto config = parse_configuration(
      "[smtp]\nport = 2525\n[shaping]\nfiles = [\"rules.toml\"]\n"
      "[[source]]\nname = \"s1\"\n[[source]]\nname = \"s2\"\n[[source]]\nname = \"s3\"\n"
      "[[pool]]\nname = \"default\"\nsources = [\"s1\", \"s2\", \"s3\"]\n",
      "sluice.toml", [](const std::string&) -> StatusOr<std::string> { return kRules; });
  EXPECT_TRUE(config.ok()) << config.status();
  auto route = std::make_shared<Route>();
  route->site = "mx.big.example";
  route->exchangers.push_back({"mx.big.example", 10, {*parse_ip("192.0.2.1")}});
  Shaping shaping(config->shaping);
  shaping.set_site("big.example", "mx.big.example");
  RouteReport report;
  report.asked = report.domain = "x.example";
  report.explained.sources = limits_of_sources(shaping, "x.example", *route, *config);
  report.explained.route = std::move(route);
  return report;
}

TEST(RouteReport, TellsBySourceWhichLineSaysSo) {
  const auto json = nlohmann::json::parse(route_json(report()));
  ASSERT_EQ(json["sources"].size(), 3U);
  const auto& first = json["sources"][0];
  EXPECT_EQ(first["source"], "s1");
  EXPECT_EQ(first["provider"], "big");
  const auto& limit = first["limits"]["connection_limit"];
  EXPECT_EQ(limit["value"], "7");
  EXPECT_EQ(limit["from"], "rules.toml:2");
  EXPECT_EQ(limit["line"], 2);
  EXPECT_EQ(limit["table"], "\"default\"");
  EXPECT_EQ(limit["built"], true);
  EXPECT_EQ(first["limits"]["max_message_rate"]["value"], "5/s, max_burst 3");
  EXPECT_EQ(first["limits"]["max_message_rate"]["from"], "rules.toml:4");
  EXPECT_EQ(first["limits"]["provider_connection_limit"]["value"], "20");
  EXPECT_EQ(first["limits"]["provider_connection_limit"]["table"], "provider.\"big\"");
  EXPECT_EQ(first["limits"]["provider_max_message_rate"]["value"], "none");
  EXPECT_EQ(first["limits"]["ehlo_domain"]["built"], false);
  EXPECT_EQ(first["limits"]["ehlo_domain"]["value"], "Required");
  EXPECT_EQ(first["limits"]["smtp_port"]["value"], "2525");
  EXPECT_EQ(first["limits"]["smtp_port"]["from"], "default");
  EXPECT_TRUE(first["limits"]["smtp_port"]["line"].is_null());
  const auto& second = json["sources"][1]["limits"]["connection_limit"];
  EXPECT_EQ(second["value"], "3");
  EXPECT_EQ(second["from"], "rules.toml:7");
  EXPECT_EQ(second["table"], "\"big.example\".sources.\"s2\"");
  EXPECT_EQ(json["limits"]["connection_limit"],
            nlohmann::json({{"value", "7"}, {"from", "rules.toml:2"}}));
}

TEST(RouteReport, JoinsSourcesWithTheSameLimits) {
  const std::string text = route_words(report(), false);
  EXPECT_THAT(text, HasSubstr("limits of each of the sources s1, s3, provider big\n"));
  EXPECT_THAT(text, HasSubstr("limits of source s2, provider big\n"));
  EXPECT_THAT(text, HasSubstr("rules.toml:7"));
  EXPECT_THAT(text, HasSubstr("[\"big.example\".sources.\"s2\"]"));
  EXPECT_THAT(text, HasSubstr("Required (not built yet)"));
}

TEST(RouteReport, LimitsCrossTheSocketWhole) {
  const RouteReport before = report();
  const auto after = parse_route_document(route_document(before.explained));
  ASSERT_TRUE(after.ok()) << after.status();
  ASSERT_EQ(after->sources.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(after->sources[i].source, before.explained.sources[i].source);
    EXPECT_EQ(after->sources[i].provider, "big");
    EXPECT_EQ(after->sources[i].limits, before.explained.sources[i].limits);
  }
}

TEST(RouteReport, ShowsWhatItRestsOn) {
  auto route = std::make_shared<Route>();
  route->site = "(a|b).mx.example";
  route->exchangers.push_back({"a.mx.example", 10, {*parse_ip("192.0.2.1")}});
  RouteReport report;
  report.asked = report.domain = "x.example";
  report.explained.route = route;
  report.explained.servers = "127.0.0.1:53";
  report.from_sender = true;
  report.explained.trace.unusable.push_back({"b.mx.example", 20, "10.0.0.1", "private"});
  DnsFact fact;
  fact.name = "x.example";
  fact.type = "MX";
  fact.kind = "records";
  fact.source = "stale";
  fact.age = std::chrono::seconds(61);
  fact.records = {"10 a.mx.example", "20 b.mx.example"};
  report.explained.trace.facts.push_back(fact);
  const std::string brief = route_words(report, false);
  EXPECT_THAT(brief, HasSubstr("not used: b.mx.example 10.0.0.1: private\n"));
  EXPECT_THAT(brief, HasSubstr("as the running sluice goes by, which asks 127.0.0.1:53"));
  EXPECT_THAT(brief, Not(HasSubstr("stale")));
  const std::string whole = route_words(report, true);
  EXPECT_THAT(whole, HasSubstr("10 a.mx.example, 20 b.mx.example"));
  EXPECT_THAT(whole, HasSubstr("stale"));
  EXPECT_THAT(whole, HasSubstr("1m01s"));
  EXPECT_THAT(route_json(report), HasSubstr("\"source\":\"stale\""));
}

TEST(RouteReport, SaysWhyMailCannotGo) {
  Route route;
  route.failure.state = State::kBounced;
  route.failure.reply = {550, {5, 1, 2}, "no such domain\n\x01"};
  RouteReport report;
  report.asked = report.domain = "gone.example";
  report.explained.route = std::make_shared<Route>(route);
  report.explained.servers = "127.0.0.1:53";
  EXPECT_THAT(route_words(report, false),
              HasSubstr("gone.example: mail for it bounces: 550 5.1.2 no such domain\\x0a\\x01\n"));
  EXPECT_THAT(route_json(report), HasSubstr("\"usable\":false"));
  EXPECT_THAT(route_json(report), HasSubstr("\"enhanced\":\"5.1.2\""));
}

}  // namespace
}  // namespace sluice::tools
