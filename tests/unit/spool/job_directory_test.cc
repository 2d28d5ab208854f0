#include "engine/spool/job_directory.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/spool/job_files.h"

namespace sluice {
namespace {

const WallTime kNow = from_unix_seconds(1'796'112'000);  // 2026-12-01T08:00:00Z

TEST(JobDirectoryTest, PathsFollowTheSpoolsLayout) {
  const SpoolPaths spool("/var/spool/sluice/");
  EXPECT_EQ(spool.root, "/var/spool/sluice");
  EXPECT_EQ(spool.suppress, "/var/spool/sluice/suppress");
  EXPECT_EQ(spool.incoming_job("x"), "/var/spool/sluice/incoming/x");
  EXPECT_EQ(spool.failed_job("x"), "/var/spool/sluice/failed/x");
  const JobPaths job(spool.active_job("j"));
  EXPECT_EQ(job.job_toml, "/var/spool/sluice/active/j/job.toml");
  EXPECT_EQ(job.segment(7), "/var/spool/sluice/active/j/segments/00000007.seg");
  EXPECT_EQ(JobPaths::temporary(job.progress), "/var/spool/sluice/active/j/.new-progress");
  EXPECT_EQ(SpoolPaths("/").incoming, "/incoming");
}

TEST(JobDirectoryTest, SegmentNames) {
  for (const SegmentNumber number : {0U, 7U, 99'999'999U, 100'000'000U, UINT32_MAX}) {
    EXPECT_EQ(parse_segment_name(segment_name(number)), number);
  }
  for (const char* name : {"", ".seg", "7.seg", "00000007", "00000007.seg.tmp", "000000007.seg",
                           "4294967296.seg", "0000000x.seg", "-0000007.seg"}) {
    EXPECT_FALSE(parse_segment_name(name).has_value()) << name;
  }
}

TEST(JobDirectoryTest, JobIds) {
  const std::string id = make_job_id("july-news", kNow, 0x3FFFFFFF);
  EXPECT_EQ(id, "july-news-20261201T080000Z-777777");
  const auto parsed = parse_job_id(id);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->name, "july-news");
  EXPECT_EQ(parsed->created, kNow);
  EXPECT_EQ(parsed->suffix, "777777");
  EXPECT_EQ(make_job_id(id, kNow + std::chrono::hours(1), 5), id);  // submit made it
  EXPECT_LT(make_job_id("a", kNow, 99), make_job_id("a", kNow + std::chrono::seconds(1), 1));
  EXPECT_EQ(make_job_id("../ü x", kNow, 0), "x-20261201T080000Z-aaaaaa");
  EXPECT_EQ(make_job_id("...", kNow, 0), "job-20261201T080000Z-aaaaaa");
  EXPECT_LE(make_job_id(std::string(400, 'n'), kNow, 0).size(), 124U);
  for (const char* bad :
       {"", "july", "-20261201T080000Z-aaaaaa", "j-20261301T080000Z-aaaaaa",
        "j-20261201T080000Z-aaaaa1", "j-20261201T080000-aaaaaa", "j-20260230T080000Z-aaaaaa",
        "j-20261201T240000Z-aaaaaa", "j/k-20261201T080000Z-aaaaaa"}) {
    EXPECT_FALSE(parse_job_id(bad).has_value()) << bad;
  }
  EXPECT_FALSE(is_takeable(".july"));
  EXPECT_TRUE(is_takeable("july"));
}

TEST(JobDirectoryTest, Times) {
  EXPECT_EQ(format_utc(kNow), "2026-12-01T08:00:00.000Z");
  EXPECT_EQ(format_utc(kNow + std::chrono::microseconds(1'999)), "2026-12-01T08:00:00.001Z");
  EXPECT_EQ(format_utc(from_unix_seconds(951'782'400)), "2000-02-29T00:00:00.000Z");
  EXPECT_EQ(parse_utc("2026-12-01T08:00:00Z"), kNow);
  EXPECT_EQ(parse_utc("2026-12-01T08:00:00.25Z"), kNow + std::chrono::milliseconds(250));
  for (const char* bad :
       {"", "2026-12-01", "2026-12-01T08:00:00", "2026-12-01T08:00:00.Z", "2026-12-01T08:00:60Z",
        "2026-12-32T08:00:00Z", "2026-12-01T08:00:00xZ", "9999-12-01T08:00:00Z"}) {
    EXPECT_FALSE(parse_utc(bad).has_value()) << bad;
  }
}

TEST(JobFilesTest, ProgressComesBack) {
  IntakeProgress progress;
  progress.job = "j\xFF\"";
  progress.next_segment = 4;
  progress.position = {100, 108, 1ULL << 40};
  progress.taken = 90;
  progress.rejected = 5;
  progress.suppressed = 3;
  progress.duplicate = 2;
  progress.finished = true;
  const std::string text = progress_text(progress);
  const auto parsed = parse_progress(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  progress.job = parsed->job;  // what was no UTF-8 was replaced
  EXPECT_TRUE(*parsed == progress);
}

TEST(JobFilesTest, DamagedProgressIsRefused) {
  IntakeProgress progress;
  progress.job = "j";
  const std::string text = progress_text(progress);
  for (size_t length = 0; length + 2 < text.size(); ++length) {
    EXPECT_FALSE(parse_progress(text.substr(0, length)).ok()) << length;
  }
  const std::pair<const char*, const char*> changes[] = {
      {"\"version\": 1", "\"version\": 2"},
      {"\"row\": 0", "\"row\": -1"},
      {"\"row\": 0", "\"row\": 1"},
      {"\"row\": 0", "\"row\": \"0\""},
      {"\"row\": 0", "\"roe\": 0"},
      {"false", "0"},
      {"\"next_segment\": 0", "\"next_segment\": 4294967296"},
      {"\"job\": \"j\"", "\"job\": null"}};
  for (const auto& [from, to] : changes) {
    std::string bad = text;
    const size_t at = bad.find(from);
    ASSERT_NE(at, std::string::npos);
    bad.replace(at, std::string(from).size(), to);
    EXPECT_FALSE(parse_progress(bad).ok()) << to;
  }
  EXPECT_FALSE(parse_progress("[]").ok());
}

TEST(JobFilesTest, RejectedLinesAreSafe) {
  std::string out(kRejectedHeader);
  append_rejected(out, 7, 9, "a@b", "no reason");
  append_rejected(out, 8, 10, "Ann \"A\" <a@b>,\n\xFF", "it holds a name, and brackets");
  EXPECT_EQ(out,
            "row,line,address,reason\r\n"
            "7,9,a@b,no reason\r\n"
            "8,10,\"Ann \"\"A\"\" <a@b>,\\x0a\\xff\",\"it holds a name, and brackets\"\r\n");
}

TEST(JobFilesTest, SummaryComesBack) {
  JobSummary summary;
  summary.job = "j-1";
  summary.name = "j";
  for (size_t i = 0; i < kStates; ++i) summary.counts.states[i] = static_cast<int64_t>(i * 10);
  summary.counts.attempts = 7;
  summary.counts.maybe_delivered = 1;
  summary.counts.stale = 3;
  summary.counts.bytes = 1LL << 40;
  summary.created = kNow;
  summary.finished = kNow + std::chrono::milliseconds(1500);
  const std::string text = summary_json(summary);
  EXPECT_NE(text.find("\"total\": 450"), std::string::npos) << text;
  EXPECT_NE(text.find("\"in_flight\": 20"), std::string::npos) << text;
  EXPECT_NE(text.find("\"finished\": \"2026-12-01T08:00:01.500Z\""), std::string::npos) << text;
  const auto parsed = parse_summary(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->counts.states, summary.counts.states);
  EXPECT_EQ(parsed->counts.bytes, summary.counts.bytes);
  EXPECT_EQ(parsed->counts.stale, 3);
  EXPECT_EQ(parsed->finished, summary.finished);
  EXPECT_FALSE(parse_summary("{}").ok());

  // One that was written before there was such a count.
  std::string older = text;
  const std::string stale = "  \"stale\": 3,\n";
  ASSERT_NE(older.find(stale), std::string::npos) << text;
  older.erase(older.find(stale), stale.size());
  const auto read = parse_summary(older);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->counts.stale, 0);
  EXPECT_EQ(read->counts.attempts, 7);
}

TEST(JobFilesTest, ErrorSaysWhatAndHow) {
  const std::string text = error_text("july\n", invalid("job.toml:3:1: no subject; add one"), kNow);
  EXPECT_NE(text.find("july\\x0a was refused at 2026-12-01T08:00:00.000Z"), std::string::npos);
  EXPECT_NE(text.find("job.toml:3:1: no subject; add one"), std::string::npos);
}

}  // namespace
}  // namespace sluice
