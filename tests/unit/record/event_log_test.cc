#include "engine/record/event_log.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/ring/gate.h"
#include "tests/unit/loop_directory.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

class EventLogTest : public LoopDirectory {
 protected:
  void SetUp() override {
    LoopDirectory::SetUp();
    log_ = std::make_unique<EventLog>(*loop_, directory(), 3);
  }
  void TearDown() override {
    log_.reset();
    LoopDirectory::TearDown();
  }

  Status append(std::string lines) {
    Status status = run(log_->append(lines));
    EXPECT_TRUE(lines.empty());
    return status;
  }
  std::string directory() const { return root_ + "/record"; }
  std::string current() const { return directory() + "/events.003.jsonl"; }
  static std::string text(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
  }
  void put(const std::string& octets) const {
    fs::create_directories(directory());
    std::ofstream(current(), std::ios::binary) << octets;
  }

  std::unique_ptr<EventLog> log_;
};

TEST_F(EventLogTest, AppendsAndGoesOn) {
  ASSERT_TRUE(run(log_->open(0, true)).ok());
  ASSERT_TRUE(append("{1}\n{2}\n").ok());
  ASSERT_TRUE(run(log_->sync()).ok());
  EXPECT_EQ(log_->bytes(), 8u);
  log_->close();
  ASSERT_TRUE(run(log_->open(8, true)).ok());
  ASSERT_TRUE(append("{3}\n").ok());
  EXPECT_EQ(text(current()), "{1}\n{2}\n{3}\n");
}

TEST_F(EventLogTest, ALineThatWasCutShortGoes) {
  put("{1}\n{2}\n{\"torn");
  ASSERT_TRUE(run(log_->open(4, true)).ok());
  EXPECT_EQ(log_->bytes(), 8u);
  ASSERT_TRUE(append("{3}\n").ok());
  EXPECT_EQ(text(current()), "{1}\n{2}\n{3}\n");
}

TEST_F(EventLogTest, WhatAPowerCutLeftBehindTheSyncedLinesGoes) {
  put("{1}\n{2}\n" + std::string(600, '\0') + "}\n{9}\n");
  ASSERT_TRUE(run(log_->open(4, true)).ok());
  EXPECT_EQ(text(current()), "{1}\n{2}\n");
}

TEST_F(EventLogTest, AfterAFailedSyncOnlySyncedLinesStay) {
  put("{1}\n{2}\n");
  ASSERT_TRUE(run(log_->open(4, false)).ok());
  EXPECT_EQ(text(current()), "{1}\n");
}

TEST_F(EventLogTest, AShorterFileIsAnotherOne) {
  put("{1}\n{to");
  ASSERT_TRUE(run(log_->open(1'000, false)).ok());
  EXPECT_EQ(text(current()), "{1}\n");
  EXPECT_EQ(log_->bytes(), 4u);
}

TEST_F(EventLogTest, RotatedFilesKeepTheirOrder) {
  ASSERT_TRUE(run(log_->open(0, true)).ok());
  for (const char* line : {"{1}\n", "{2}\n", "{3}\n"}) {
    ASSERT_TRUE(append(line).ok());
    ASSERT_TRUE(run(log_->rotate()).ok());
    EXPECT_EQ(log_->bytes(), 0u);
  }
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory())) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  ASSERT_EQ(names.size(), 4u);
  for (size_t i = 0; i < 3; ++i) {
    const auto parsed = parse_event_file_name(names[i]);
    ASSERT_TRUE(parsed) << names[i];
    EXPECT_EQ(parsed->series, 3u);
    EXPECT_FALSE(parsed->rotated.empty());
    EXPECT_EQ(text(directory() + "/" + names[i]), "{" + std::to_string(i + 1) + "}\n");
  }
  EXPECT_EQ(names[3], "events.003.jsonl");
}

TEST_F(EventLogTest, ADirectoryThatCannotBeMadeIsSaid) {
  EventLog log(*loop_, root_ + "/no/record", 0);
  const Status status = run(log.open(0, true));
  EXPECT_NE(message_of(status).find(root_ + "/no/record"), std::string::npos) << status;
}

TEST(EventFileName, OnlyOursAreKnown) {
  EXPECT_EQ(event_file_name(3), "events.003.jsonl");
  EXPECT_EQ(event_file_name(12'345), "events.12345.jsonl");
  EXPECT_EQ(parse_event_file_name("events.12345.jsonl")->series, 12'345u);
  EXPECT_FALSE(parse_event_file_name("events.0031.jsonl")) << "one name a series";
  for (const char* name : {"events.jsonl", "events.3.jsonl", "events.003.json", "events.003-.jsonl",
                           "events.003-20261122T101500Z-001.jsonl", "events.00a.jsonl",
                           "events.003.jsonl.tmp", "events.003-x0261122T101500Z-0001.jsonl", ""}) {
    EXPECT_FALSE(parse_event_file_name(name)) << name;
  }
}

}  // namespace
}  // namespace sluice
