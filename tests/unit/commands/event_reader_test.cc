#include "tools/cmd/event_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/unit/commands/temporary_spool.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

std::string line(int second) {
  return "{\"type\":\"Delivery\",\"event_time\":\"2026-11-22T10:00:" + std::to_string(second) +
         ".000000Z\"}";
}
std::string lines(std::vector<int> seconds) {
  std::string text;
  for (const int second : seconds) text += line(second) + "\n";
  return text;
}
std::string packed(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

class EventFiles : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return spool_.root + "/record/" + name; }
  // Seconds of what a look gives.
  static std::vector<std::string> read(EventReader& reader) {
    std::vector<std::string> out;
    EXPECT_TRUE(reader.look().ok());
    std::string_view got;
    while (true) {
      const StatusOr<bool> more = reader.next(got);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) break;
      out.emplace_back(got);
    }
    return out;
  }

  TemporarySpool spool_;
  const std::string first_ = "events.000-20261122T100015Z-0001.jsonl";
  const std::string second_ = "events.000-20261122T100025Z-0001.jsonl";
  const std::string current_ = "events.000.jsonl";
};

TEST_F(EventFiles, CompressedOnesAndPlainOnesInTheOrderOfTime) {
  write_file(path(first_ + ".zst"), packed(lines({10, 13})));
  write_file(path(second_), lines({20, 23}));
  write_file(path(current_), lines({30}));
  write_file(path("events.001.jsonl"), lines({12, 22}));
  EventReader reader(spool_.root + "/record");
  EXPECT_THAT(read(reader), ::testing::ElementsAre(line(10), line(12), line(13), line(20), line(22),
                                                   line(23), line(30)));
}

TEST_F(EventFiles, WhatUnpacksToMoreThanWasReadComesWhole) {
  const std::vector<int> seconds(50'000, 10);
  write_file(path(first_ + ".zst"), packed(lines(seconds)));
  EventReader reader(spool_.root + "/record");
  EXPECT_EQ(read(reader), std::vector<std::string>(seconds.size(), line(10)));
}

TEST_F(EventFiles, TwinsAreReadOnce) {
  write_file(path(first_ + ".zst"), packed(lines({10, 13})));
  write_file(path(first_), lines({10, 13}));
  EventReader reader(spool_.root + "/record");
  EXPECT_THAT(read(reader), ::testing::ElementsAre(line(10), line(13)));
}

TEST_F(EventFiles, WhoFollowsMissesNothingWhenAFileIsCompressed) {
  write_file(path(current_), lines({10}));
  EventReader reader(spool_.root + "/record");
  EXPECT_THAT(read(reader), ::testing::ElementsAre(line(10)));
  // Rotated, and seen so.
  fs::rename(path(current_), path(first_));
  write_file(path(current_), lines({20}));
  ASSERT_TRUE(reader.look().ok());
  // Compressed, and another one is rotated behind it.
  write_file(path(first_ + ".zst"), packed(lines({10})));
  fs::remove(path(first_));
  fs::rename(path(current_), path(second_));
  write_file(path(current_), lines({30}));
  EXPECT_THAT(read(reader), ::testing::ElementsAre(line(20), line(30)));
}

TEST_F(EventFiles, ACutFileIsAnError) {
  const std::string whole = packed(lines({10, 13, 15, 17}));
  write_file(path(first_ + ".zst"), whole.substr(0, whole.size() - 3));
  EventReader reader(spool_.root + "/record");
  Status status = reader.look();
  std::string_view got;
  while (status.ok()) {
    const StatusOr<bool> more = reader.next(got);
    status = more.status();
    ASSERT_TRUE(!more.ok() || *more) << "it must not end as if it were whole";
  }
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(first_ + ".zst"));
}

}  // namespace
}  // namespace sluice::tools
