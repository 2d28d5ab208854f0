#include "engine/shard/condense.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/record/encoder.h"
#include "engine/ring/gate.h"
#include "engine/spool/segment_writer.h"
#include "tests/unit/loop_directory.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr char kJob[] = "news-20261122T100000Z-abcdef";
constexpr uint32_t kRows = 40;  // of a segment
constexpr uint32_t kDomains = 4;
const WallTime kStart = from_unix_seconds(1'800'000'000);

// A file of the journal, one frame a verdict.
class JournalFile {
 public:
  JournalFile(uint32_t shard, uint32_t number) {
    encoder_.begin_file(kStart);
    octets_ = encode(JournalFileHeader{shard, number, kStart});
    seed_ = seed_of(octets_);
  }
  void add(const std::string& job, JobIndex index, SegmentNumber segment, SegmentRow row,
           State state, uint32_t number, const std::string& text) {
    Verdict verdict;
    verdict.state = state;
    verdict.reply = {250, {2, 0, 0}, text};
    Attempt attempt;
    attempt.number = number;
    attempt.first_at = kStart + std::chrono::seconds(row);
    attempt.at = attempt.first_at + number * std::chrono::milliseconds(30);
    attempt.next_at = attempt.at + std::chrono::minutes(20);
    attempt.exchanger = "mx.example.com";
    attempt.site = "example.com";
    attempt.source = "s1";
    attempt.peer = {*parse_ip("192.0.2.7"), 25};
    std::string records;
    encoder_.verdict(records, job, {index, segment, row}, verdict, attempt);
    frame(records);
  }
  void event(const std::string& job, JobIndex index, JobEvent event) {
    std::string records;
    encoder_.job_event(records, job, index, event, kStart);
    frame(records);
  }
  const std::string& octets() const { return octets_; }

 private:
  void frame(const std::string& records) {
    std::string header(kFrameHeaderBytes, '\0');
    put_frame_header(header.data(), records, seed_, octets_.size());
    octets_ += header + records;
  }
  JournalEncoder encoder_;
  std::string octets_;
  uint32_t seed_ = 0;
};

class CondenseTest : public LoopDirectory {
 protected:
  void SetUp() override {
    LoopDirectory::SetUp();
    spool_ = std::make_unique<SpoolPaths>(root_);
    for (const std::string& path : {spool_->active, spool_->done, spool_->journal}) {
      fs::create_directories(path);
    }
    fs::create_directories(JobPaths(spool_->active_job(kJob)).segments);
    limits_.rows_min = limits_.rows_max = kRows;  // a segment at a time
    limits_.write_bytes = 64;
  }

  // Row i of the segment's list part is in domain i % kDomains.
  void write_segment(SegmentNumber number) {
    Limits limits;
    limits.block_bytes_target = 64;
    SegmentBuilder builder(1, 0, limits);
    for (uint32_t i = 0; i < kRows; ++i) {
      const std::string address = address_of(number, i);
      const std::string_view value = address;
      const size_t at = value.find('@');
      Row row;
      row.number = first_of(number) + i;
      row.address = value;
      row.local_part = value.substr(0, at);
      row.domain = value.substr(at + 1);
      row.values = std::span(&value, 1);
      builder.add(row);
    }
    SegmentMeta meta;
    meta.job = kJob;
    meta.number = number;
    meta.row_begin = first_of(number);
    meta.row_end = first_of(number + 1);
    meta.rejected = 1;
    meta.duplicate = 1;
    meta.columns = {"email"};
    std::string octets;
    builder.finish(meta, octets);
    write(JobPaths(spool_->active_job(kJob)).segment(number), octets);
  }
  static uint64_t first_of(SegmentNumber number) { return 1 + uint64_t{number} * (kRows + 2); }
  static std::string address_of(SegmentNumber segment, uint32_t i) {
    return "user" + std::to_string(segment * kRows + i) + "@d" + std::to_string(i % kDomains) +
           ".example";
  }
  static SegmentRow row_of(uint32_t i) { return i % kDomains * (kRows / kDomains) + i / kDomains; }
  static void write(const std::string& path, const std::string& octets) {
    std::ofstream(path, std::ios::binary) << octets;
  }
  void write_journal(uint32_t shard, uint32_t number, const JournalFile& file) {
    write(spool_->journal + "/" + journal_file_name(shard, number), file.octets());
  }

  Status condense() {
    condenser_ = std::make_unique<Condenser>(
        *loop_, *spool_, jobs_, [this] { return stopped_; }, limits_,
        CondenseJob{kJob, spool_->active_job(kJob), 3 * kRows});
    return run(condenser_->run());
  }
  std::string outcomes_path() const { return JobPaths(spool_->active_job(kJob)).outcomes; }

  struct Line {
    uint64_t number;
    std::string address;
    State state;
    uint32_t attempts;
    std::string text;
    bool operator==(const Line&) const = default;
  };
  std::vector<Line> lines() {
    std::ostringstream octets;
    octets << std::ifstream(outcomes_path(), std::ios::binary).rdbuf();
    OutcomeReader reader("outcomes");
    reader.feed(octets.str());
    reader.end();
    std::vector<Line> lines;
    OutcomeRow row;
    OutcomeReader::Step step = OutcomeReader::Step::kMore;
    while ((step = reader.next(row)) == OutcomeReader::Step::kRow) {
      const Outcome& o = row.outcome;
      lines.push_back({row.number, std::string(row.address), o.state, o.attempts, o.text});
    }
    EXPECT_EQ(step, OutcomeReader::Step::kEnd) << reader.status();
    totals_ = reader.totals();
    return lines;
  }

  std::unique_ptr<SpoolPaths> spool_;
  JournalJobs jobs_;
  CondenseLimits limits_;
  bool stopped_ = false;
  std::unique_ptr<Condenser> condenser_;
  OutcomeTotals totals_;
};

// Three segments; verdicts over three files of two shards, among those of another job.
TEST_F(CondenseTest, EveryRowInTheOrderOfTheListWhateverTheJournals) {
  for (const SegmentNumber number : {0U, 1U, 2U}) write_segment(number);
  JournalFile first(0, 1);
  JournalFile second(0, 2);
  JournalFile other(1, 1);
  JournalFile without(1, 2);
  std::vector<Line> expected;
  for (const SegmentNumber segment : {0U, 1U, 2U}) {
    for (uint32_t i = 0; i < kRows; ++i) {
      JournalFile& file = segment == 0 ? first : i % 2 == 0 ? second : other;
      const std::string text = "queued as 4F1A" + std::to_string(segment * kRows + i);
      if (i % 3 == 0) {
        file.add(kJob, 0, segment, row_of(i), State::kDeferred, 1, "later");
      }
      file.add("elsewhere", 1, segment, row_of(i), State::kBounced, 9, "not ours");
      file.add(kJob, 0, segment, row_of(i), State::kDelivered, 2, text);
      expected.push_back(
          {first_of(segment) + i, address_of(segment, i), State::kDelivered, 2, text});
    }
  }
  without.add("elsewhere", 1, 0, 0, State::kDelivered, 1, "not ours");
  write_journal(0, 1, first);
  write_journal(0, 2, second);
  write_journal(1, 1, other);
  write_journal(1, 2, without);
  ASSERT_TRUE(condense().ok());
  EXPECT_EQ(lines(), expected);
  EXPECT_EQ(totals_, (OutcomeTotals{3 * kRows, 3, 0, 3, 0}));
  EXPECT_EQ(condenser_->stats().passes, 3U);
  EXPECT_EQ(condenser_->stats().bytes, fs::file_size(outcomes_path()));
  EXPECT_FALSE(fs::exists(JobPaths::temporary(outcomes_path())));
  // What was read whole and no longer grows is known; the newest of each shard is not.
  EXPECT_TRUE(jobs_.may_hold({0, 1}, "elsewhere"));
  EXPECT_FALSE(jobs_.may_hold({0, 1}, "a third"));
  EXPECT_FALSE(jobs_.may_hold({1, 1}, "a third"));
  EXPECT_TRUE(jobs_.may_hold({0, 2}, "a third"));
  EXPECT_TRUE(jobs_.may_hold({1, 2}, "a third"));
}

TEST_F(CondenseTest, RowsOfACancelledJobInEveryRange) {
  for (const SegmentNumber number : {0U, 1U}) write_segment(number);
  JournalFile file(0, 1);
  file.event(kJob, 0, JobEvent::kCancelled);
  file.add(kJob, 0, 0, 0, State::kDelivered, 1, "queued");
  JournalFile newest(0, 2);
  newest.add(kJob, 0, 1, row_of(5), State::kDeferred, 3, "later");
  write_journal(0, 1, file);
  write_journal(0, 2, newest);
  ASSERT_TRUE(condense().ok());
  const std::vector<Line> rows = lines();
  ASSERT_EQ(rows.size(), 2 * kRows);
  EXPECT_EQ(rows[0].state, State::kDelivered);
  for (size_t i = 1; i < rows.size(); ++i) EXPECT_EQ(rows[i].state, State::kCancelled) << i;
  EXPECT_EQ(rows[kRows + 5].attempts, 3U);
  EXPECT_EQ(rows[kRows + 5].text, "later");
}

TEST_F(CondenseTest, ARangeWhoseTextsDoNotFitIsHalved) {
  for (const SegmentNumber number : {0U, 1U, 2U}) write_segment(number);
  limits_.rows_min = limits_.rows_max = 3 * kRows;
  limits_.text_bytes_max = 3'000;
  JournalFile file(0, 1);
  for (const SegmentNumber segment : {0U, 1U, 2U}) {
    for (uint32_t i = 0; i < kRows; ++i) {
      const std::string word(40, static_cast<char>('a' + i % 26));
      file.add(kJob, 0, segment, row_of(i), State::kBounced, 1,
               word + std::string(segment, 'x') + std::string(1 + i / 26, 'y'));
    }
  }
  write_journal(0, 1, file);
  ASSERT_TRUE(condense().ok());
  EXPECT_GT(condenser_->stats().passes, 3U);
  for (const Line& line : lines()) EXPECT_NE(line.text, "") << line.number;
  EXPECT_EQ(totals_.texts_left_out, 0U);
}

TEST_F(CondenseTest, WhatASegmentCannotKeepIsCounted) {
  write_segment(0);
  limits_.text_bytes_max = 500;
  JournalFile file(0, 1);
  for (uint32_t i = 0; i < kRows; ++i) {
    const std::string word(40, static_cast<char>('a' + i % 26));
    file.add(kJob, 0, 0, row_of(i), State::kBounced, 1, word);
  }
  write_journal(0, 1, file);
  ASSERT_TRUE(condense().ok());
  EXPECT_EQ(lines().size(), kRows);
  EXPECT_GT(totals_.texts_left_out, 0U);
  EXPECT_LT(totals_.texts_left_out, kRows);
}

TEST_F(CondenseTest, ACrashLeavesWhatTheNextStartReplaces) {
  write_segment(0);
  JournalFile file(0, 1);
  for (uint32_t i = 0; i < kRows; ++i) {
    file.add(kJob, 0, 0, row_of(i), State::kDelivered, 1, "ok");
  }
  write_journal(0, 1, file);
  write(JobPaths::temporary(outcomes_path()), std::string(100'000, 'x'));
  stopped_ = true;
  EXPECT_TRUE(absl::IsAborted(condense()));
  EXPECT_FALSE(fs::exists(outcomes_path()));
  stopped_ = false;
  ASSERT_TRUE(condense().ok());
  EXPECT_EQ(lines().size(), kRows);
  // A file that is there is whole: the journal may be gone since.
  fs::remove(spool_->journal + "/" + journal_file_name(0, 1));
  ASSERT_TRUE(condense().ok());
  EXPECT_EQ(condenser_->stats().passes, 0U);
  EXPECT_EQ(lines().front().state, State::kDelivered);
}

TEST_F(CondenseTest, DamageIsNoOutcome) {
  write_segment(0);
  JournalFile file(0, 1);
  for (uint32_t i = 0; i < kRows; ++i) {
    file.add(kJob, 0, 0, row_of(i), State::kDelivered, 1, "ok");
  }
  std::string octets = file.octets();
  octets[kFileHeaderBytes + kFrameHeaderBytes + 3] ^= 1;
  write(spool_->journal + "/" + journal_file_name(0, 1), octets);
  const Status status = condense();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_FALSE(fs::exists(outcomes_path()));
  EXPECT_FALSE(fs::exists(JobPaths::temporary(outcomes_path())));
}

TEST_F(CondenseTest, AFileIsLearntUntilSomebodyNeedsIt) {
  JournalFile file(0, 1);
  for (uint32_t i = 0; i < 10; ++i) file.add("b", 1, 0, i, State::kDelivered, 1, "ok");
  file.add("c", 2, 0, 0, State::kDelivered, 1, "ok");
  write_journal(0, 1, file);
  const std::string path = spool_->journal + "/" + journal_file_name(0, 1);
  const std::function<bool()> stopped = [] { return false; };
  using Use = JournalJobs::Use;
  ASSERT_TRUE(run(learn_journal_file(*loop_, path, {0, 1}, {"c"}, jobs_, stopped)).ok());
  EXPECT_EQ(jobs_.use_of({0, 1}, {"c"}), Use::kNeeded);
  EXPECT_EQ(jobs_.use_of({0, 1}, {"d"}), Use::kUnknown);
  ASSERT_TRUE(run(learn_journal_file(*loop_, path, {0, 1}, {"d"}, jobs_, stopped)).ok());
  EXPECT_EQ(jobs_.use_of({0, 1}, {"d"}), Use::kNotNeeded);
  EXPECT_EQ(jobs_.use_of({0, 1}, {"b"}), Use::kNeeded);
  EXPECT_EQ(jobs_.use_of({0, 2}, {"b"}), Use::kUnknown);
}

}  // namespace
}  // namespace sluice
