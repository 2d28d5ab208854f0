#include "engine/shard/housekeeping.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine/record/format.h"
#include "engine/ring/uring_io.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

// 2026-11-22T10:00:00Z and what counts from it.
constexpr int64_t kNow = 1'795'341'600;

class HousekeepingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/sluice-house-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    root_ = name;
    spool_ = std::make_unique<SpoolPaths>(root_);
    options_.keep_done = 24h;
    options_.keep_events = 48h;
    options_.record_directory = root_ + "/record";
    journal_.followed = {{0, 100}, {1, 100}};
    for (const std::string& path : {spool_->active, spool_->done, spool_->journal}) {
      fs::create_directories(path);
    }
    auto io = UringIo::create({.operations_max = 64, .seed = 1});
    ASSERT_TRUE(io.ok()) << io.status();
    io_ = std::move(*io);
  }
  void TearDown() override { fs::remove_all(root_); }

  static void write(const std::string& path, int64_t modified) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << "x";
    const timespec times[2] = {{modified, 0}, {modified, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  static std::string id_at(int64_t created) {
    return make_job_id("job", from_unix_seconds(created), 7);
  }
  std::string journal(uint32_t shard, uint32_t number) const {
    return spool_->journal + "/" + journal_file_name(shard, number);
  }
  Swept sweep() { return sweep_spool(*io_, *spool_, options_, from_unix_seconds(kNow)); }
  JournalSwept sweep_files() { return sweep_journal(*io_, *spool_, journal_, jobs_); }
  // A file of the journal with so many octets, and the jobs that occur in it.
  void add_file(uint32_t shard, uint32_t number, std::set<std::string> jobs) {
    std::ofstream(journal(shard, number)) << std::string(100, 'x');
    jobs_.set({shard, number}, std::move(jobs));
  }

  std::string root_;
  std::unique_ptr<SpoolPaths> spool_;
  SweepOptions options_;
  JournalSweep journal_;
  JournalJobs jobs_;
  std::unique_ptr<UringIo> io_;
};

TEST_F(HousekeepingTest, FinishedJobsGoWhenTheyAreOldEnough) {
  const std::string old_job = spool_->done_job(id_at(kNow - 200'000));
  const std::string new_job = spool_->done_job(id_at(kNow - 100'000));
  write(old_job + "/summary.json", kNow - 86'401);
  write(old_job + "/segments/00000000.seg", kNow - 86'401);
  write(new_job + "/summary.json", kNow - 86'000);
  write(spool_->done + "/somebody's own/summary.json", kNow - 900'000);
  EXPECT_EQ(sweep().jobs, 1U);
  EXPECT_FALSE(fs::exists(old_job));
  EXPECT_TRUE(fs::exists(new_job));
  EXPECT_TRUE(fs::exists(spool_->done + "/somebody's own"));
}

TEST_F(HousekeepingTest, JournalFilesGoWhenNoJobNeedsThem) {
  fs::create_directories(spool_->active_job("b"));
  journal_.without_outcomes = {"c"};
  add_file(0, 1, {"a", "gone"});
  add_file(0, 2, {"a"});
  add_file(0, 3, {"a", "b"});
  add_file(0, 4, {"a"});
  add_file(0, 5, {"a"});
  add_file(1, 1, {"c"});
  add_file(1, 2, {"a"});
  add_file(1, 3, {"a"});
  const JournalSwept swept = sweep_files();
  EXPECT_EQ(swept.removed, 2U);
  EXPECT_EQ(swept.emptied, 2U);
  EXPECT_TRUE(swept.unknown.empty());
  EXPECT_FALSE(fs::exists(journal(0, 1)));
  EXPECT_FALSE(fs::exists(journal(0, 2)));
  EXPECT_EQ(fs::file_size(journal(0, 3)), 100U) << "an active job needs it";
  EXPECT_EQ(fs::file_size(journal(0, 4)), kFileHeaderBytes) << "the series has no gap";
  EXPECT_EQ(fs::file_size(journal(0, 5)), 100U) << "the newest of its shard: it may be open";
  EXPECT_EQ(fs::file_size(journal(1, 1)), 100U) << "a finished job without outcomes needs it";
  EXPECT_EQ(fs::file_size(journal(1, 2)), kFileHeaderBytes);

  EXPECT_EQ(sweep_files().emptied, 0U) << "once is enough";
  fs::remove_all(spool_->active_job("b"));
  EXPECT_EQ(sweep_files().removed, 2U);
  EXPECT_FALSE(fs::exists(journal(0, 4)));
  EXPECT_TRUE(fs::exists(journal(0, 5)));
}

TEST_F(HousekeepingTest, UnknownJournalFilesStayAndAreNamed) {
  fs::create_directories(spool_->active_job("b"));
  add_file(0, 1, {"a"});
  add_file(0, 2, {"a"});
  add_file(0, 3, {"a"});
  jobs_.forget({0, 1});
  const JournalSwept swept = sweep_files();
  EXPECT_EQ(swept.unknown, (std::vector<JournalPlace>{{0, 1}}));
  EXPECT_EQ(swept.needed, (std::set<std::string>{"b"}));
  EXPECT_EQ(fs::file_size(journal(0, 1)), 100U);
  jobs_.add({0, 1}, "b");
  EXPECT_TRUE(sweep_files().unknown.empty()) << "it is needed, whatever else is in it";
}

TEST_F(HousekeepingTest, JournalFilesStayUntilTheirEventsAreTold) {
  for (const uint32_t shard : {0U, 1U, 2U}) {
    for (const uint32_t number : {1U, 2U, 3U, 4U}) add_file(shard, number, {"a"});
  }
  write(spool_->journal + "/README", kNow - 9'000);
  journal_.followed = {{0, 3}, {1, 1}};
  EXPECT_EQ(sweep_files().removed, 2U);
  EXPECT_FALSE(fs::exists(journal(0, 2)));
  EXPECT_TRUE(fs::exists(journal(0, 3)));
  EXPECT_TRUE(fs::exists(journal(1, 1)));
  EXPECT_TRUE(fs::exists(journal(2, 1))) << "nobody has said how far this series is told";
  EXPECT_TRUE(fs::exists(spool_->journal + "/README"));
}

TEST_F(HousekeepingTest, FinishedJobsWithoutOutcomesAreNamed) {
  const std::string with = id_at(kNow - 300);
  const std::string without = id_at(kNow - 200);
  write(spool_->done_job(with) + "/outcomes", kNow);
  write(spool_->done_job(without) + "/summary.json", kNow);
  write(spool_->done + "/somebody's own/summary.json", kNow);
  EXPECT_EQ(jobs_without_outcomes(*io_, *spool_), (std::set<std::string>{without}));
}

TEST_F(HousekeepingTest, RotatedEventFilesGoAfterTheirTime) {
  const std::string directory = options_.record_directory + "/";
  const std::string old_file = directory + "events.000-20261101T000000Z-0001.jsonl";
  const std::string new_file = directory + "events.000-20261121T000000Z-0001.jsonl";
  write(old_file, kNow - 48 * 3'600 - 1);
  write(new_file, kNow - 47 * 3'600);
  write(directory + "events.000.jsonl", kNow - 900'000);
  write(directory + "events.jsonl", kNow - 900'000);
  EXPECT_EQ(sweep().event_files, 1U);
  EXPECT_FALSE(fs::exists(old_file));
  EXPECT_TRUE(fs::exists(new_file));
  EXPECT_TRUE(fs::exists(directory + "events.000.jsonl")) << "it may be open";
  EXPECT_TRUE(fs::exists(directory + "events.jsonl")) << "not ours";
}

}  // namespace
}  // namespace sluice
