#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/spool/job_files.h"
#include "tests/unit/commands/temporary_spool.h"
#include "tools/cmd/job_rows.h"
#include "tools/cmd/outcome_report.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kJob = "july-20231114T221320Z-abcdef";

// Rows 1, 2, 4, 5 in one segment (3 was rejected, 6 a duplicate), 7 in the next.
class Report : public ::testing::Test {
 protected:
  void make_job(const std::string& directory) {
    SegmentMeta meta;
    meta.job = kJob;
    meta.number = 0;
    meta.row_begin = 1;
    meta.row_end = 7;
    meta.rejected = 1;
    meta.duplicate = 1;
    spool_.add_segment(
        directory, meta,
        {{1, "a@b.example"}, {2, "c@d.example"}, {4, "e@b.example"}, {5, "f@d.example"}});
    meta.number = 1;
    meta.row_begin = 7;
    meta.row_end = 9;
    meta.rejected = 1;
    meta.duplicate = 0;
    spool_.add_segment(directory, meta, {{7, "g@b.example"}});
    std::string rejected(kRejectedHeader);
    append_rejected(rejected, 3, 4, "no \"address\", this", "no @");
    append_rejected(rejected, 3, 4, "no \"address\", this", "no @");  // again after a crash
    append_rejected(rejected, 8, 9, "x@\xff", "invalid UTF-8");
    write_file(JobPaths(directory).rejected, rejected);

    // Segment rows are grouped by domain: 0 is row 1, 1 is row 4, 2 is row 2, 3 is row 5.
    OneFrameJournal journal;
    journal.add(kJob, {0, 0, 0}, verdict_of(State::kDelivered, 250, {2, 0, 0}, "OK"), 1);
    journal.add("other", {1, 0, 1}, verdict_of(State::kDelivered, 250, {2, 0, 0}, "OK"), 1);
    journal.add(kJob, {0, 0, 2},
                verdict_of(State::kDeferred, 451, {4, 7, 1}, "greylisted, come back"), 1);
    journal.add(kJob, {0, 0, 2},
                verdict_of(State::kBounced, 550, {5, 1, 1}, "no \"user\" c@d.example here\n\x01"),
                2);
    journal.add(kJob, {0, 0, 3},
                verdict_of(State::kBounced, 550, {5, 1, 1}, "no \"user\" f@d.example here\n\x01"),
                1);
    journal.add(kJob, {0, 1, 0}, verdict_of(State::kDeferred, 0, {}, "no answer"), 1);
    write_file(spool_.paths.journal + "/" + journal_file_name(0, 1), journal.file());
  }

  std::string rows(bool csv) {
    std::string out(csv ? kReportHeader : "");
    const auto visit = [&](const ReportRow& row) {
      csv ? append_csv_row(out, row) : append_json_row(out, row);
      return Status();
    };
    const Status status = visit_all(visit);
    EXPECT_TRUE(status.ok()) << status;
    return out;
  }

  Status visit_all(const std::function<Status(const ReportRow&)>& visit) {
    ASSIGN_OR_RETURN(const FoundJob job, find_job(spool_.paths, "july"));
    ASSIGN_OR_RETURN(const OpenDirectory directory, open_job(spool_.paths, job));
    ASSIGN_OR_RETURN(const Outcomes outcomes, read_outcomes(spool_.paths, job.id));
    return visit_rows(directory, outcomes, visit, &counts_);
  }

  TemporarySpool spool_;
  Counts counts_;
};

TEST_F(Report, CsvHasEveryRowInTheOrderOfTheList) {
  make_job(spool_.paths.active_job(kJob));
  const std::string first = "2023-11-14T22:13:20.000Z";
  const std::string last = "2023-11-14T22:13:21.000Z";
  EXPECT_EQ(rows(true),
            std::string(kReportHeader) +
                "1,a@b.example,delivered,250,2.0.0,OK,mx1.example.com,s1,1," + first + "," + last +
                "\r\n"
                "2,c@d.example,bounced,550,5.1.1,\"no \"\"user\"\" c@d.example here\\x0a\\x01\","
                "mx1.example.com,s1,2," +
                first +
                ",2023-11-14T22:13:22.000Z\r\n"
                "3,\"no \"\"address\"\", this\",rejected,,,no @,,,0,,\r\n"
                "4,e@b.example,waiting,,,,,,0,,\r\n"
                "5,f@d.example,bounced,550,5.1.1,\"no \"\"user\"\" f@d.example here\\x0a\\x01\","
                "mx1.example.com,s1,1," +
                first + "," + last +
                "\r\n"
                "7,g@b.example,deferred,,,no answer,mx1.example.com,s1,1," +
                first + "," + last +
                "\r\n"
                "8,x@\\xff,rejected,,,invalid UTF-8,,,0,,\r\n");
  EXPECT_EQ(counts_.total(), 8);
  EXPECT_EQ(counts_[State::kDelivered], 1);
  EXPECT_EQ(counts_[State::kBounced], 2);
  EXPECT_EQ(counts_[State::kRejected], 2);
  EXPECT_EQ(counts_[State::kDuplicate], 1);
  EXPECT_EQ(counts_[State::kWaiting], 1);
  EXPECT_EQ(counts_[State::kDeferred], 1);
  EXPECT_EQ(counts_.attempts, 5);
}

TEST_F(Report, JsonLinesHaveTheSameFields) {
  make_job(spool_.paths.done_job(kJob));
  EXPECT_THAT(rows(false),
              HasSubstr("{\"row\":3,\"recipient\":\"no \\\"address\\\", this\",\"state\":"
                        "\"rejected\",\"code\":null,\"enhanced\":null,\"response\":\"no @\","
                        "\"exchanger\":null,\"source\":null,\"attempts\":0,\"first\":null,"
                        "\"last\":null}\n"));
}

TEST_F(Report, SummaryCountsRepliesThatDifferOnlyInAddresses) {
  make_job(spool_.paths.active_job(kJob));
  ReportSummary summary(kJob, "july", {});
  ASSERT_TRUE(visit_all([&](const ReportRow& row) {
                summary.add(row);
                return Status();
              }).ok());
  const std::string text = summary.text(counts_);
  EXPECT_THAT(text, HasSubstr("bounced             2  25.0%\n"));
  EXPECT_THAT(text, HasSubstr("total               8\n"));
  EXPECT_THAT(text, HasSubstr("         2  bounced   550 5.1.1 no \"user\" c@d.example here"));
  EXPECT_THAT(text, HasSubstr("mx.example.com           4  1 delivered, 2 bounced, 1 deferred\n"));
  EXPECT_THAT(text, Not(HasSubstr("suppressed")));
  EXPECT_THAT(summary.json(counts_), HasSubstr("\"duplicate\": 1"));

  ReportSummary::Only only{};
  only[static_cast<size_t>(State::kDelivered)] = true;
  ReportSummary delivered(kJob, "july", only);
  EXPECT_THAT(delivered.text(counts_), Not(HasSubstr("bounced")));
}

TEST_F(Report, StatusWithoutADaemonComesFromTheFiles) {
  make_job(spool_.paths.active_job(kJob));
  const auto stopped = status_from_spool(spool_.paths, {kJob, Place::kActive});
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->phase, "stopped");
  EXPECT_EQ(stopped->counts.total(), 8);

  JobSummary summary{kJob, "july", counts_, from_unix_seconds(1), from_unix_seconds(2)};
  summary.counts.states[static_cast<size_t>(State::kDelivered)] = 3;
  write_file(JobPaths(spool_.paths.done_job(kJob)).summary, summary_json(summary));
  const auto done = status_from_spool(spool_.paths, {kJob, Place::kDone});
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->phase, "done");
  EXPECT_EQ(done->counts[State::kDelivered], 3);

  write_file(JobPaths(spool_.paths.failed_job("bad")).error, "no subject\n");
  const auto failed = status_from_spool(spool_.paths, {"bad", Place::kFailed});
  ASSERT_TRUE(failed.ok()) << failed.status();
  EXPECT_EQ(failed->error, "no subject\n");
}

TEST_F(Report, JobsAreFoundByIdOrTheNewestOfAName) {
  const auto put = [this](const std::string& id) {
    write_file(spool_.paths.done_job(id) + "/job.toml", "");
  };
  put("july-20231114T221320Z-bbbbbb");
  put("july-20231115T221320Z-aaaaaa");
  put("july-20231113T221320Z-cccccc");
  write_file(spool_.paths.active_job("dropped-20231113T221320Z-aaaaaa") + "/job.toml",
             "name = \"given\"\nfrom = \"a@b.example\"\nsubject = \"s\"\n"
             "[message]\ntext = \"t\"\n[list]\nfile = \"l.csv\"\n");
  const auto newest = find_job(spool_.paths, "july");
  ASSERT_TRUE(newest.ok()) << newest.status();
  EXPECT_EQ(newest->id, "july-20231115T221320Z-aaaaaa");
  EXPECT_EQ(find_job(spool_.paths, "july-20231113T221320Z-cccccc")->place, Place::kDone);
  const auto given = find_job(spool_.paths, "given");
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->id, "dropped-20231113T221320Z-aaaaaa");
  EXPECT_EQ(find_job(spool_.paths, "june").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Report, AJobThatMovesIsStillFound) {
  make_job(spool_.paths.active_job(kJob));
  const auto found = find_job(spool_.paths, kJob);
  ASSERT_TRUE(found.ok());
  std::filesystem::rename(spool_.paths.active_job(kJob), spool_.paths.done_job(kJob));
  const auto directory = open_job(spool_.paths, *found);
  ASSERT_TRUE(directory.ok()) << directory.status();
  std::filesystem::rename(spool_.paths.done_job(kJob), spool_.root + "/elsewhere");
  EXPECT_EQ(directory->list("segments")->size(), 2U);
  EXPECT_TRUE(directory->read("segments/00000001.seg", 1UL << 20).ok());
}

TEST_F(Report, DamageIsNamed) {
  make_job(spool_.paths.active_job(kJob));
  const std::string path = JobPaths(spool_.paths.active_job(kJob)).segment(1);
  std::string octets = text_in(path);
  octets[20] = static_cast<char>(octets[20] ^ 1);
  write_file(path, octets);
  const Status status = visit_all([](const ReportRow&) { return Status(); });
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("segments/00000001.seg"));
}

}  // namespace
}  // namespace sluice::tools
