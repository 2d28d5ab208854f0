#include "engine/model/bottleneck.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice {
namespace {

TEST(Bottleneck, EveryNameIsItsOwnAndIsFoundAgain) {
  std::set<std::string> names;
  for (size_t i = 0; i < kBottlenecks; ++i) {
    const auto why = static_cast<Bottleneck>(i);
    names.insert(name_of(why));
    EXPECT_EQ(parse_bottleneck(name_of(why)), why);
    EXPECT_NE(words_of(why, "", ""), "");
  }
  EXPECT_EQ(names.size(), kBottlenecks);
  EXPECT_STREQ(name_of(Bottleneck::kRetry), "retry");
  EXPECT_FALSE(parse_bottleneck("").has_value());
  EXPECT_FALSE(parse_bottleneck("moon").has_value());
}

TEST(Bottleneck, LimitsAreToldWithTheirLine) {
  const Origin rule{"max_message_rate", "10/s", "shaping.toml", 14, "[\"default\"]"};
  EXPECT_EQ(limit_text(rule), "max_message_rate = 10/s");
  EXPECT_EQ(place_text(rule), "shaping.toml:14");
  EXPECT_EQ(words_of(Bottleneck::kMessageRate, limit_text(rule), place_text(rule)),
            "max_message_rate = 10/s (shaping.toml:14)");
  EXPECT_EQ(place_text({"rate", "5/s", "job.toml", 0, "[send]"}), "job.toml [send]");
  EXPECT_EQ(place_text({"max_connections", "20", "sluice.toml", 0, ""}), "sluice.toml");
  EXPECT_EQ(place_text({"connection_limit", "20", "", 0, ""}), "default");
}

TEST(Bottleneck, WhatIsNoLimitHasWordsOfItsOwn) {
  EXPECT_EQ(words_of(Bottleneck::kReplies, "max_message_rate = 1/s", "x:1"), "receivers' replies");
  EXPECT_EQ(words_of(Bottleneck::kMessageRate, limit_text({}), "default"),
            "the site's message rate");
  EXPECT_TRUE(is_limit(Bottleneck::kMessageRate));
  EXPECT_TRUE(is_limit(Bottleneck::kMaxConnections));
  EXPECT_FALSE(is_limit(Bottleneck::kNone));
  EXPECT_FALSE(is_limit(Bottleneck::kDisk));
  EXPECT_FALSE(is_limit(Bottleneck::kRetry));
}

}  // namespace
}  // namespace sluice
