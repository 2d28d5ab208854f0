#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/config/regex_check.h"
#include "engine/config/shaping_file.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = AutomationAction::Kind;

std::string mistakes(const std::string& lines) {
  const auto parsed = parse_shaping("[[\"a.b\".automation]]\n" + lines, "s.toml", nullptr);
  return parsed.ok() ? "none" : message_of(parsed.status());
}

std::vector<Automation> read(const std::string& lines) {
  const auto parsed = parse_shaping("[[\"a.b\".automation]]\n" + lines, "s.toml", nullptr);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? parsed->at(0).automation : std::vector<Automation>(1);
}

const std::string kRegex = "regex = \"x\"\n";
const std::string kAction = "action = \"Suspend\"\n";
const std::string kDuration = "duration = \"1h\"\n";

TEST(Automation, ReadsEveryPart) {
  const std::vector<Automation> all = read(R"(
regex = ['''deferred from \d+''', "(?<!not )busy"]
action = [{SetConfig={name="connection_limit", value=1}},
          {SetDomainConfig={name="max_message_rate", value="1/minute"}},
          {SetConfig={name="enable_tls", value="Disabled"}},
          "Suspend", "SuspendTenant", "SuspendCampaign", "Bounce", "BounceTenant",
          "BounceCampaign"]
trigger = {Threshold="2/hr"}
duration = "90m"
match_internal = true
[["a.b".automation]]
regex = "one"
action = "Suspend"
trigger = "Immediate"
duration = 30
)");
  ASSERT_EQ(all.size(), 2U);
  const Automation& first = all[0];
  EXPECT_EQ(first.line, 1);
  EXPECT_THAT(first.regexes, ElementsAre(R"(deferred from \d+)", "(?<!not )busy"));
  std::vector<Kind> kinds;
  for (const AutomationAction& action : first.actions) kinds.push_back(action.kind);
  EXPECT_THAT(kinds, ElementsAre(Kind::kSetConfig, Kind::kSetDomainConfig, Kind::kSetConfig,
                                 Kind::kSuspend, Kind::kSuspendTenant, Kind::kSuspendCampaign,
                                 Kind::kBounce, Kind::kBounceTenant, Kind::kBounceCampaign));
  EXPECT_EQ(first.actions[0].name, "connection_limit");
  EXPECT_EQ(first.actions[0].value, "1");
  EXPECT_EQ(first.actions[0].keys.connection_limit, 1U);
  EXPECT_EQ(first.actions[1].keys.max_message_rate, (Rate{1, std::chrono::minutes(1), 1}));
  EXPECT_EQ(first.actions[2].value, "Disabled");
  EXPECT_EQ(first.threshold, (Rate{2, std::chrono::hours(1), 1}));
  EXPECT_EQ(first.duration, std::chrono::minutes(90));
  EXPECT_TRUE(first.match_internal);
  EXPECT_THAT(all[1].regexes, ElementsAre("one"));
  EXPECT_FALSE(all[1].threshold);
  EXPECT_EQ(all[1].duration, std::chrono::seconds(30));
  EXPECT_FALSE(all[1].match_internal);
}

TEST(Automation, WhatIsMissingIsTold) {
  EXPECT_EQ(mistakes(kAction + kDuration),
            "s.toml:1:1: \"a.b\".automation.regex is missing; write what a reply must match");
  EXPECT_EQ(mistakes(kRegex + kDuration),
            "s.toml:1:1: \"a.b\".automation.action is missing; write \"Suspend\", "
            "{SetConfig={name=\"connection_limit\", value=1}}, or several in [...]");
  EXPECT_THAT(mistakes(kRegex + kDuration + "action = []\n"),
              HasSubstr("s.toml:4:10: \"a.b\".automation.action is missing"));
  EXPECT_EQ(mistakes(kRegex + kAction),
            "s.toml:1:1: \"a.b\".automation.duration is missing; write how long the actions hold, "
            "such as \"90m\"");
}

TEST(Automation, RegexesMustCompile) {
  EXPECT_EQ(mistakes("regex = [\"fine\", \"(\"]\n" + kAction + kDuration),
            "s.toml:2:18: \"a.b\".automation.regex = \"(\" is no regular expression: missing "
            "closing parenthesis at offset 1; mend it (in '''...''' a backslash is itself)");
  EXPECT_THAT(mistakes("regex = 5\n" + kAction + kDuration),
              HasSubstr("must be a string or an array of strings"));
  EXPECT_EQ(config::regex_mistake(std::string(8'193, 'x')), "it is longer than 8 KiB");
  EXPECT_FALSE(config::regex_mistake("(?=.*a)(?P<name>b)\\d\xC3\xA9"));
  EXPECT_TRUE(config::regex_mistake("\xFF"));
}

TEST(Automation, ActionsAreChecked) {
  const auto told = [](const std::string& action) {
    return mistakes(kRegex + kDuration + "action = " + action + "\n");
  };
  EXPECT_EQ(told("\"Suspnd\""),
            "s.toml:4:10: \"a.b\".automation.action = \"Suspnd\" is no action; did you mean "
            "\"Suspend\"?");
  EXPECT_THAT(told("\"Nonsense\""), HasSubstr("is no action; write \"Suspend\", {SetConfig="));
  EXPECT_THAT(told("5"), HasSubstr("is no action; write"));
  EXPECT_THAT(told("{}"), HasSubstr("is no action; write"));
  EXPECT_THAT(told("{SetConfg={name=\"x\", value=1}}"),
              HasSubstr("did you mean \"a.b\".automation.action.SetConfig?"));
  EXPECT_THAT(told("{SetConfig={name=\"conection_limit\", value=1}}"),
              HasSubstr("is no key of shaping rules; did you mean \"connection_limit\"?"));
  EXPECT_THAT(told("{SetConfig={name=\"mx_rollup\", value=true}}"),
              HasSubstr("is no key of shaping rules"));
  EXPECT_THAT(told("{SetConfig={name=\"connection_limit\", value=0}}"),
              HasSubstr("action.SetConfig.value must be between 1 and"));
  EXPECT_THAT(told("{SetConfig={value=1}}"), HasSubstr("SetConfig.name is missing"));
  EXPECT_THAT(told("{SetConfig={name=\"connection_limit\"}}"),
              HasSubstr("SetConfig.value is missing"));
  EXPECT_THAT(told("{SetConfig={name=\"connection_limit\", value=1, for=2}}"),
              HasSubstr("unknown key"));
  EXPECT_THAT(told("{SetConfig=5}"), HasSubstr("must be a table"));
}

TEST(Automation, TriggersAndDurationsAreChecked) {
  EXPECT_EQ(mistakes(kRegex + kAction + kDuration + "trigger = \"Often\"\n"),
            "s.toml:5:11: \"a.b\".automation.trigger is no trigger; write \"Immediate\" or "
            "{Threshold=\"2/hr\"}");
  EXPECT_THAT(mistakes(kRegex + kAction + kDuration + "trigger = {Threshold=2}\n"),
              HasSubstr("must be a string"));
  EXPECT_THAT(mistakes(kRegex + kAction + kDuration + "trigger = {Treshold=\"2/hr\"}\n"),
              HasSubstr("Threshold is missing; write trigger = {Threshold=\"2/hr\"}"));
  EXPECT_THAT(mistakes(kRegex + kAction + "duration = \"0s\"\n"), HasSubstr("must be between 1s"));
  EXPECT_THAT(mistakes(kRegex + kAction + "duration = \"soon\"\n"), HasSubstr("not a duration"));
  EXPECT_THAT(mistakes(kRegex + kAction + kDuration + "match_internal = 1\n"),
              HasSubstr("must be true or false"));
}

}  // namespace
}  // namespace sluice
