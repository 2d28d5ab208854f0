#include "engine/config/quantity.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(ParseDuration, ReadsOurNotationAndHumantimes) {
  const std::pair<const char*, Duration> kGood[] = {
      {"30s", seconds(30)},        {"5m", minutes(5)},
      {"3d", hours(72)},           {"250ms", milliseconds(250)},
      {"0s", Duration(0)},         {"5 min", minutes(5)},
      {"5 minutes", minutes(5)},   {"1h 30m", minutes(90)},
      {"1h30m", minutes(90)},      {"2 hour", hours(2)},
      {"2weeks", hours(336)},      {"1 day 1 second", hours(24) + seconds(1)},
      {"7us", Duration(7'000)},    {"9ns", Duration(9)},
      {" 60s ", seconds(60)},      {"1month", seconds(2'630'016)},
      {"100y", hours(24) * 36525},
  };
  for (const auto& [text, value] : kGood) {
    const auto parsed = parse_duration(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, value) << text;
  }
}

TEST(ParseDuration, RefusesWhatIsNoDuration) {
  for (const char* text : {"", " ", "30", "s", "-5s", "1.5h", "5M", "5 fortnights", "101y",
                           "99999999999999999999s", "9223372036854775807d", "5m 3", "ss", "1hs"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
  EXPECT_EQ(message_of(parse_duration("30").status()),
            "\"30\" lacks a unit; write a number with its unit, such as \"30s\", \"5m\" or "
            "\"3d\"");
}

TEST(ParseRate, ReadsOurNotationAndKumos) {
  const std::pair<const char*, Rate> kGood[] = {
      {"100/s", {100, seconds(1), 1}},        {"20/min", {20, minutes(1), 1}},
      {"500000/h", {500'000, hours(1), 2}},   {"1,000/hr", {1'000, hours(1), 1}},
      {"10_000/d", {10'000, hours(24), 1}},   {"100/s,max_burst=5", {100, seconds(1), 5}},
      {"local:3/minute", {3, minutes(1), 1}}, {"1,000/day, max_burst=1_0", {1'000, hours(24), 10}},
  };
  for (const auto& [text, value] : kGood) {
    const auto parsed = parse_rate(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, value) << text;
  }
}

TEST(ParseRate, ABurstThatIsNotNamedIsWhatFallsIntoTenMilliseconds) {
  const std::pair<const char*, uint64_t> kBursts[] = {{"1/d", 1},
                                                      {"100/s", 1},
                                                      {"101/s", 2},
                                                      {"6000/min", 1},
                                                      {"1000/s", 10},
                                                      {"3600000/h", 10},
                                                      {"1000000000/s", 10'000'000},
                                                      {"86400000000000/d", 10'000'000},
                                                      {"1000/s,max_burst=1", 1},
                                                      {"10/s,max_burst=3", 3}};
  for (const auto& [text, burst] : kBursts) {
    const auto parsed = parse_rate(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(parsed->burst, burst) << text;
  }
}

TEST(ParseRate, RefusesWhatIsNoRate) {
  for (const char* text : {"", "100", "/s", "0/s", "x/s", "100/", "100/fortnight", "-1/s",
                           "2000000000/s", "1/s,max_burst=0", "1/s,max_burst=", "1/s,burst=5",
                           "1/d,max_burst=999999999999", "99999999999999999999/s", ",_/s"}) {
    EXPECT_FALSE(parse_rate(text).ok()) << text;
  }
}

TEST(ParseSize, ReadsPowersOfBothKinds) {
  const std::pair<const char*, uint64_t> kGood[] = {
      {"64KiB", 65'536},
      {"1GiB", 1ULL << 30},
      {"10MB", 10'000'000},
      {"4096", 4'096},
      {"512 B", 512},
      {"2TiB", 2ULL << 40},
      {"0", 0},
      {"3kB", 3'000},
      {"9223372036854775807", 9'223'372'036'854'775'807ULL}};
  for (const auto& [text, value] : kGood) {
    const auto parsed = parse_size(text);
    ASSERT_TRUE(parsed.ok()) << text << ": " << parsed.status();
    EXPECT_EQ(*parsed, value) << text;
  }
  for (const char* text :
       {"", "KiB", "64K", "1.5GiB", "-1", "9223372036854775808", "9999999999TiB", "1 GiB x"}) {
    EXPECT_FALSE(parse_size(text).ok()) << text;
  }
}

TEST(Printing, IsReadBackAsTheSame) {
  for (const Duration d : {Duration(0), Duration(7), Duration(1'500), Duration(milliseconds(5)),
                           Duration(seconds(90)), Duration(hours(24 * 30))}) {
    EXPECT_EQ(*parse_duration(duration_to_string(d)), d);
  }
  for (const uint64_t octets : {0ULL, 1ULL, 1'500ULL, 65'536ULL, 1ULL << 30, 10'000'000ULL}) {
    EXPECT_EQ(*parse_size(size_to_string(octets)), octets);
  }
  EXPECT_EQ(duration_to_string(hours(24 * 30)), "30d");
  EXPECT_EQ(duration_to_string(seconds(90)), "90s");
  EXPECT_EQ(size_to_string(1ULL << 30), "1GiB");
}

}  // namespace
}  // namespace sluice
