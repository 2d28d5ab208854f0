#include "engine/record/limits_file.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

const WallTime kWall = from_unix_seconds(1'800'000'000);

LimitsFile example() {
  LimitsFile file;
  file.clean = true;
  file.saved.drained = kWall - 1h;
  file.saved.limits = {
      {"job july-20261122T100000Z-abcdef", LimitKind::kMessages, kWall + 1ns},
      {"site (mx1|mx2).b\xC3\xBC.example source \"a\\b\"", LimitKind::kMessages, kWall + 24h},
      {"site mx.example.com source s1", LimitKind::kConnections, kWall + 100ms}};
  return file;
}

TEST(LimitsFile, IsReadAsItWasWritten) {
  const LimitsFile file = example();
  const auto again = parse_limits(limits_text(file));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, file);

  const auto empty = parse_limits(limits_text({}));
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_EQ(*empty, LimitsFile());
}

TEST(LimitsFile, HoldsALimitALine) {
  LimitsFile file;
  file.clean = true;
  file.saved.limits = {{"site a source s", LimitKind::kMessages, kWall},
                       {"site a source s", LimitKind::kConnections, kWall}};
  const std::string text = limits_text(file);
  const std::string expected =
      "{\"version\":1,\"clean\":true,\"drained\":null,\"limits\":[\n"
      "{\"key\":\"site a source s\",\"rate\":\"messages\",\"arrival\":1800000000000000000},\n"
      "{\"key\":\"site a source s\",\"rate\":\"connections\",\"arrival\":1800000000000000000}\n"
      "],\"crc32c\":";
  EXPECT_EQ(text.substr(0, expected.size()), expected);
}

TEST(LimitsFile, NoDamageGoesUnseen) {
  const LimitsFile file = example();
  const std::string text = limits_text(file);
  for (size_t at = 0; at < text.size(); ++at) {
    const auto cut = parse_limits(std::string_view(text).substr(0, at));
    EXPECT_TRUE(!cut.ok() || *cut == file) << "cut at " << at;
    for (const char mask : {'\x01', '\x10', '\x80'}) {
      std::string changed = text;
      changed[at] = static_cast<char>(changed[at] ^ mask);
      const auto parsed = parse_limits(changed);
      EXPECT_TRUE(!parsed.ok() || *parsed == file) << "octet " << at;
    }
  }
}

TEST(LimitsFile, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "{}", "[]", "7", "{\"version\":2,\"clean\":true}",
                           "{\"version\":\"1\"}", "{\"version\":1,\"clean\":true}"}) {
    EXPECT_FALSE(parse_limits(text).ok()) << text;
  }
}

TEST(LimitsFound, BeginsFullOnlyWhereNothingRanOrAllEndedWell) {
  const LimitsFound fresh = judge_limits(missing("limits.json: no such file"), false);
  EXPECT_EQ(fresh.start, LimitsStart::kFresh);
  EXPECT_EQ(fresh.warning, "");

  const LimitsFound clean = judge_limits(limits_text(example()), true);
  EXPECT_EQ(clean.start, LimitsStart::kClean);
  EXPECT_EQ(clean.saved, example().saved);
  EXPECT_EQ(clean.warning, "");
}

TEST(LimitsFound, CountsAsACrashOtherwise) {
  LimitsFile open = example();
  open.clean = false;
  const LimitsFound killed = judge_limits(limits_text(open), true);
  EXPECT_EQ(killed.start, LimitsStart::kCrashed);
  EXPECT_EQ(killed.saved, SavedLimits());
  EXPECT_EQ(killed.warning, "");

  const StatusOr<std::string> kBad[] = {missing("limits.json: no such file"),
                                        io_error("cannot read limits.json: EIO"),
                                        std::string("{\"version\":1,"), std::string()};
  for (const auto& text : kBad) {
    const LimitsFound found = judge_limits(text, true);
    EXPECT_EQ(found.start, LimitsStart::kCrashed);
    EXPECT_NE(found.warning.find("begin drained"), std::string::npos) << found.warning;
  }
}

}  // namespace
}  // namespace sluice
