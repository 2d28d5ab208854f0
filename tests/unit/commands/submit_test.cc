#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>

#include "engine/config/configuration_file.h"
#include "engine/ring/uring_io.h"
#include "engine/spool/job_files.h"
#include "tests/unit/commands/temporary_spool.h"
#include "tools/cmd/common.h"
#include "tools/cmd/follow.h"
#include "tools/cmd/submission.h"

namespace sluice::tools {
namespace {

using ::testing::HasSubstr;

constexpr const char* kJobToml =
    "name = \"july\"\nfrom = \"News <news@example.org>\"\nsubject = \"Hello {{first}}\"\n"
    "[message]\ntext = \"parts/body.txt\"\n[list]\nfile = \"list.csv\"\n";

class Submit : public ::testing::Test {
 protected:
  Submit() : directory_(spool_.root + "/my-job") {
    write_file(directory_ + "/job.toml", kJobToml);
    write_file(directory_ + "/parts/body.txt", "Dear {{first}}\n");
    write_file(directory_ + "/list.csv", "email,first\na@b.example,Ann\n");
    write_file(directory_ + "/secret.txt", "not part of the job");
    auto config = parse_configuration("[smtp]\nhello = \"mta.example.org\"\n", "sluice.toml",
                                      [](const std::string&) { return missing("none"); });
    EXPECT_TRUE(config.ok()) << config.status();
    if (config.ok()) config_ = std::move(*config);
    auto io = UringIo::create({.operations_max = 64});
    if (!io.ok()) return;
    io_ = std::move(*io);
    loop_ = std::make_unique<Loop>(
        *io_, LoopOptions{.frame_bytes_max = 1UL << 20, .mailbox_entries = 16});
  }
  void SetUp() override {
    if (!io_) GTEST_SKIP() << "no io_uring here";
  }
  StatusOr<Submission> check(const std::string& path, const std::string& name = "") {
    return check_submission(*loop_, config_, path, name);
  }

  TemporarySpool spool_;
  const std::string directory_;
  Configuration config_;
  std::unique_ptr<UringIo> io_;
  std::unique_ptr<Loop> loop_;
};

TEST_F(Submit, CopiesWhatTheJobNamesAndNoMore) {
  const auto submission = check(directory_ + "/");
  ASSERT_TRUE(submission.ok()) << submission.status();
  const auto id = parse_job_id(submission->id);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->name, "july");
  const Status published = publish_submission(*submission, spool_.paths.root);
  ASSERT_TRUE(published.ok()) << published;
  const std::string made = spool_.paths.incoming_job(submission->id);
  EXPECT_EQ(text_in(made + "/job.toml"), kJobToml);
  EXPECT_EQ(text_in(made + "/parts/body.txt"), "Dear {{first}}\n");
  EXPECT_EQ(text_in(made + "/list.csv"), "email,first\na@b.example,Ann\n");
  EXPECT_FALSE(std::filesystem::exists(made + "/secret.txt"));
  size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(spool_.paths.incoming)) {
    (void)entry;
    ++entries;
  }
  EXPECT_EQ(entries, 1U);
  struct stat there {};
  ASSERT_EQ(::stat(made.c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 0770, 0770U);
}

TEST_F(Submit, TakesTheJobFileAndAName) {
  const auto submission = check(directory_ + "/job.toml", "august");
  ASSERT_TRUE(submission.ok()) << submission.status();
  EXPECT_EQ(submission->directory, directory_);
  EXPECT_EQ(parse_job_id(submission->id)->name, "august");
}

TEST_F(Submit, RefusesWhatTheSenderWouldRefuse) {
  write_file(directory_ + "/parts/body.txt", "Dear {{nobody}}\n");
  auto submission = check(directory_);
  EXPECT_EQ(submission.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(message_of(submission.status()), HasSubstr("nobody"));
  std::filesystem::remove(directory_ + "/list.csv");
  EXPECT_EQ(check(directory_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(check(directory_ + "/secret.txt").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(check(spool_.root + "/nowhere").status().code(), absl::StatusCode::kNotFound);
  write_file(directory_ + "/job.toml", "name = 3\n");
  EXPECT_EQ(check(directory_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(Submit, LeavesNothingBehindWhenItFails) {
  const auto submission = check(directory_);
  ASSERT_TRUE(submission.ok()) << submission.status();
  std::filesystem::remove(directory_ + "/list.csv");
  EXPECT_FALSE(publish_submission(*submission, spool_.paths.root).ok());
  EXPECT_TRUE(std::filesystem::is_empty(spool_.paths.incoming));
}

TEST_F(Submit, NeedsTheIncomingDirectory) {
  const auto submission = check(directory_);
  ASSERT_TRUE(submission.ok()) << submission.status();
  std::filesystem::remove(spool_.paths.incoming);
  const Status status = publish_submission(*submission, spool_.paths.root);
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(message_of(status), HasSubstr("sluice run"));
}

TEST_F(Submit, FollowSeesTheEndInTheSpool) {
  Counts counts;
  counts.states[static_cast<size_t>(State::kDelivered)] = 2;
  write_file(JobPaths(spool_.paths.done_job("july-20231114T221320Z-abcdef")).summary,
             summary_json({"july-20231114T221320Z-abcdef", "july", counts, from_unix_seconds(1),
                           from_unix_seconds(2)}));
  const Places places{spool_.paths.root, spool_.root + "/none.sock"};
  const auto done = follow_job(*loop_, places, "july-20231114T221320Z-abcdef");
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_TRUE(all_delivered(done->counts));

  write_file(JobPaths(spool_.paths.failed_job("bad")).error, "job.toml:3:1: no subject\n");
  const auto failed = follow_job(*loop_, places, "bad");
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(message_of(failed.status()), HasSubstr("job.toml:3:1"));
}

TEST(ProgressLine, ShowsShareRateAndTimeLeft) {
  JobStatus job;
  job.phase = "taking";
  job.counts.states[static_cast<size_t>(State::kDelivered)] = 250;
  job.counts.states[static_cast<size_t>(State::kWaiting)] = 750;
  EXPECT_EQ(progress_line(job, 0, 200), "taking  250 delivered, 750 waiting");
  job.phase = "sending";
  EXPECT_EQ(progress_line(job, 1'500, 200),
            "[#####---------------]  25%  250 delivered, 750 waiting  1,500/s  ETA 0.5s");
  EXPECT_EQ(progress_line(job, 1'500, 10), "[#####----");
}

TEST(Words, ForPeople) {
  EXPECT_EQ(duration_words(std::chrono::milliseconds(400)), "0.4s");
  EXPECT_EQ(duration_words(std::chrono::seconds(59)), "59s");
  EXPECT_EQ(duration_words(std::chrono::seconds(125)), "2m05s");
  EXPECT_EQ(duration_words(std::chrono::minutes(192)), "3h12m");
  EXPECT_EQ(duration_words(std::chrono::hours(52)), "2d04h");
  EXPECT_EQ(percent(1, 8), "12.5%");
  EXPECT_EQ(percent(0, 0), "0.0%");
  EXPECT_EQ(state_words({}), "nothing yet");
  Table table({"A", ">N"});
  table.add({"long name", "1"});
  table.add({"x", "1,000"});
  EXPECT_EQ(table.text(), "A              N\nlong name      1\nx          1,000\n");
}

TEST(Places, AreReadOnlyWhereNeeded) {
  PlaceOptions options;
  options.spool = "/spool";
  options.socket = "/socket";
  options.config = "/nonexistent/sluice.toml";
  const auto both = find_places(options);
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->spool, "/spool");
  options.socket.clear();
  EXPECT_EQ(find_places(options).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace sluice::tools
