// Whole shaping files: those with every construct of KumoMTA's, and the one that ships.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "engine/config/configuration_file.h"
#include "engine/model/shaping.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

StatusOr<std::string> read_source_file(const std::string& path) {
  std::ifstream file(SLUICE_SOURCE_DIR "/" + path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return missing(path);
  return text.str();
}

StatusOr<Configuration> load(const std::string& files, std::vector<std::string>& warnings) {
  return parse_configuration("[shaping]\nfiles = [" + files + "]\n", "sluice.toml",
                             read_source_file, &warnings);
}

Shaped shaped(const Shaping& shaping, const std::string& exchanger) {
  return shaping.shape(exchanger, "customer.example", {{exchanger, 10, {}}}, "default");
}

TEST(ShapingFiles, WhatOccursInKumosFilesLoads) {
  std::vector<std::string> warnings;
  const auto config =
      load("\"tests/data/shaping/base.toml\", \"tests/data/shaping/community.toml\"", warnings);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(
      warnings,
      ElementsAre("tests/data/shaping/base.toml: not built yet and without effect: automation "
                  "(line 14 and 3 more)",
                  "tests/data/shaping/community.toml: not built yet and without effect: "
                  "automation (line 5 and 4 more)",
                  "shaping.files: limits without effect, since no [[source]] has that name: "
                  "[\"alone.example\".sources.\"my source name\"] "
                  "(tests/data/shaping/base.toml:73)"));

  Shaping shaping(config->shaping);
  EXPECT_THAT(shaping.domains(), ElementsAre("cable.example", "alone.example", "portal.example"));
  EXPECT_TRUE(shaping.is_own_site("alone.example"));
  const Shaped search = shaped(shaping, "mx1.search.example");
  EXPECT_EQ(search.provider, "search");
  EXPECT_EQ(search.provider_connection_limit, 6U);
  EXPECT_EQ(search.policy.max_deliveries_per_connection, 40U);
  EXPECT_EQ(search.policy.connection_limit, 12U);
  EXPECT_EQ(search.origins.find("connection_limit")->line, 4);
  EXPECT_EQ(search.origins.find("provider_connection_limit")->table, "provider.\"search\"");

  shaping.set_site("portal.example", "mx.portal.example");
  const Shaped portal = shaped(shaping, "mx.portal.example");
  EXPECT_EQ(portal.policy.connection_limit, 2U);
  EXPECT_EQ(portal.policy.max_deliveries_per_connection, 30U);
  EXPECT_EQ(portal.policy.max_message_rate, (Rate{10, std::chrono::seconds(1), 1}));
  EXPECT_EQ(shaped(shaping, "mx.wall.example").provider_connection_limit, 10U);
}

TEST(ShapingFiles, TheOneThatShipsKnowsTheLargeProviders) {
  std::vector<std::string> warnings;
  const auto config = load("\"deploy/shaping.toml\"", warnings);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(warnings, IsEmpty());
  const Shaping shaping(config->shaping);
  const Shaped others = shaped(shaping, "mx.example");
  const std::pair<const char*, const char*> known[] = {
      {"alt1.gmail-smtp-in.l.google.com", "google"},
      {"alt2.aspmx.l.google.com", "google"},
      {"aspmx2.googlemail.com", "google"},
      {"hotmail-com.olc.protection.outlook.com", "outlook"},
      {"customer-example.mail.protection.outlook.com", "microsoft365"},
      {"customer-example.a-v1.mx.microsoft", "microsoft365"},
      {"mta5.am0.yahoodns.net", "yahoo"},
      {"mx3.mail.yahoo.co.jp", "yahoo-japan"},
      {"mx01.mail.icloud.com", "apple"},
      {"mx1a1.comcast.net", "comcast"},
      {"mx00.gmx.net", "gmx"},
      {"mx-ha03.web.de", "gmx"},
      {"mx00.t-online.de", "t-online"},
      {"mxs.mail.ru", "mail.ru"},
      {"mx.yandex.ru", "yandex"},
      {"smtp-in.orange.fr", "orange"},
      {"mx1.free.fr", "france"},
      {"smtp-in.libero.it", "libero"},
      {"mx3.qq.com", "qq"},
      {"163mx01.mxmail.netease.com", "netease"},
      {"mxa-00000000.gslb.pphosted.com", "proofpoint"},
      {"eu-smtp-inbound-1.mimecast.com", "mimecast"},
      {"d000000a.ess.barracudanetworks.com", "barracuda"},
      {"mx1.customer.iphmx.com", "cisco"},
      {"cluster5.eu.messagelabs.com", "messagelabs"},
  };
  for (const auto& [exchanger, provider] : known) {
    const Shaped one = shaped(shaping, exchanger);
    EXPECT_EQ(one.provider, provider) << exchanger;
    EXPECT_LE(one.policy.max_deliveries_per_connection, 500U) << exchanger;
    EXPECT_TRUE(one.policy.max_message_rate) << exchanger;
    EXPECT_NE(one.origins.find("connection_limit")->table, "\"default\"") << exchanger;
  }
  EXPECT_EQ(others.provider, "");
  EXPECT_EQ(others.policy.connection_limit, 10U);
  // What the clean host's run relies on.
  EXPECT_EQ(others.policy.max_message_rate, (Rate{50, std::chrono::seconds(1), 1}));
}

TEST(ShapingFiles, LimitsThatHoldForNobodyAreTold) {
  std::vector<std::string> warnings;
  const auto config = parse_configuration(
      "[shaping]\nfiles = [\"a.toml\", \"b.toml\"]\n[[source]]\nname = \"s1\"\n"
      "[[pool]]\nname = \"default\"\nsources = [\"s1\"]\n",
      "sluice.toml",
      [](const std::string& path) -> StatusOr<std::string> {
        if (path == "a.toml") return std::string("[provider.\"p\"]\nmatch = [{MXSuffix=\".p\"}]\n");
        return std::string(
            "[provider.\"p\"]\nprovider_connection_limit = 1\n"
            "[provider.\"P\"]\nprovider_connection_limit = 1\n"
            "[\"x.y\".sources.\"s1\"]\nconnection_limit = 1\n"
            "[\"x.y\".sources.\"S1\"]\nconnection_limit = 1\n"
            "[\"x.y\".sources.\"s2\"]\n");
      },
      &warnings);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(warnings,
              ElementsAre("shaping.files: limits without effect, since no file says what the "
                          "provider matches: [provider.\"P\"] (b.toml:3)",
                          "shaping.files: limits without effect, since no [[source]] has that "
                          "name: [\"x.y\".sources.\"S1\"] (b.toml:7)"));
}

}  // namespace
}  // namespace sluice
