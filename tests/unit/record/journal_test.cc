#include "engine/record/journal.h"

#include <gtest/gtest.h>

#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "tests/unit/record/fake_io.h"
#include "tests/unit/record/journal_builder.h"

namespace sluice {
namespace {

class Listener final : public JournalListener {
 public:
  void on_committed(std::span<const CommittedVerdict> verdicts) override {
    ++calls;
    for (const CommittedVerdict& v : verdicts) committed.push_back(v);
  }
  void on_job_event_committed(JobIndex job, JobEvent event) override {
    events.emplace_back(job, event);
  }
  void on_failed(const Status& status) override {
    ++failures;
    failure = status;
  }
  int calls = 0;
  std::vector<CommittedVerdict> committed;
  std::vector<std::pair<JobIndex, JobEvent>> events;
  void on_stalled(const Status& status) override {
    ++stalls;
    stall = status;
  }
  int stalls = 0;
  Status stall;
  int failures = 0;
  Status failure;
};

Task<> open_journal(Journal& journal, Status& status, bool& done) {
  status = co_await journal.open();
  done = true;
}
Task<> close_journal(Journal& journal, bool& done) {
  co_await journal.close();
  done = true;
}

class JournalTest : public testing::Test {
 protected:
  JournalTest() : loop_(io_, LoopOptions{}), scope_(loop_.executor()) {
    options_.directory = "spool/journal";
    options_.shard = 2;
    options_.commit_interval = 5ms;
  }
  ~JournalTest() override {
    if (journal_) close();
    journal_.reset();
    EXPECT_EQ(io_.open_handles(), 0u);
  }

  Status open() {
    journal_ = std::make_unique<Journal>(loop_, options_, listener_);
    Status status;
    bool done = false;
    gate_.spawn(open_journal(*journal_, status, done));
    for (int i = 0; i < 100 && !done; ++i) loop_.turn(loop_.now() + 1s);
    EXPECT_TRUE(done);
    journal_->register_job(0, "july-news");
    return status;
  }
  void start() {
    ASSERT_TRUE(open().ok());
    gate_.spawn(journal_->run());
    turns(3);
  }
  // Without time passing, unless the disk takes some.
  void turns(int count) {
    for (int i = 0; i < count; ++i) loop_.turn(loop_.now());
  }
  void pass(Duration d) {
    const Instant end = loop_.now() + d;
    while (loop_.now() < end) loop_.turn(end);
    turns(5);
  }
  void append(uint32_t row, const Verdict& verdict = delivered()) {
    journal_->append({0, 1, row}, verdict, attempt_at(row * 1ms));
  }
  void close() {
    bool done = false;
    gate_.spawn(close_journal(*journal_, done));
    for (int i = 0; i < 1'000 && !done; ++i) loop_.turn(loop_.now() + 1s);
    EXPECT_TRUE(done);
  }
  std::string path(int number) const {
    return "spool/journal/002-0000000" + std::to_string(number) + ".jnl";
  }
  ReadBack durable(int number) { return read_back(io_.files.at(path(number)).durable); }

  FakeIo io_;
  Loop loop_;
  Executor::Scope scope_;
  Listener listener_;
  JournalOptions options_;
  Gate gate_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, OpenMakesADurableEmptyFile) {
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(io_.files.at(path(1)).durable.size(), kFileHeaderBytes);
  EXPECT_EQ(io_.directory_syncs, 2);  // the parent's entry of the directory, the file's in it
  EXPECT_EQ(durable(1).end, JournalParser::Step::kEnd);
}

TEST_F(JournalTest, OpenGoesOnBehindThoseOfItsShard) {
  io_.directories["spool/journal"] = true;
  for (const char* name : {"002-00000004.jnl", "003-00000009.jnl", "002-00000007.jnl.old", "x"}) {
    io_.files["spool/journal/" + std::string(name)].octets = "kept";
  }
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(io_.files.count(path(5)), 1u);
  EXPECT_EQ(io_.files.at(path(4)).octets, "kept");
}

TEST_F(JournalTest, OpenReportsAFailure) {
  io_.fail_create = true;
  const Status status = open();
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(journal_->full());
  EXPECT_EQ(listener_.failures, 0);
}

TEST_F(JournalTest, ManyShareOneSync) {
  start();
  const int before = io_.syncs;
  for (uint32_t i = 0; i < 1'000; ++i) append(i, i % 10 == 9 ? deferred() : delivered());
  EXPECT_EQ(journal_->stats().uncommitted, 1'000u);
  pass(6ms);
  EXPECT_EQ(io_.syncs, before + 1);
  EXPECT_EQ(listener_.calls, 1);
  ASSERT_EQ(listener_.committed.size(), 1'000u);
  EXPECT_EQ(listener_.committed[9].state, State::kDeferred);
  EXPECT_EQ(listener_.committed[9].row, (RowId{0, 1, 9}));
  EXPECT_EQ(listener_.committed[9].next_at, attempt_at(9ms).next_at);
  EXPECT_EQ(journal_->stats().uncommitted, 0u);
  EXPECT_EQ(journal_->stats().records, 1'000u);
  EXPECT_EQ(journal_->stats().commits, 1u);
  EXPECT_EQ(journal_->stats().bytes, io_.files.at(path(1)).octets.size());
  const ReadBack back = durable(1);
  ASSERT_EQ(back.entries.size(), 1'000u);
  EXPECT_EQ(back.entries[999].entry.row, 999u);
  EXPECT_EQ(back.entries[999].job, "july-news");
}

TEST_F(JournalTest, NothingIsBelievedBeforeTheInterval) {
  start();
  append(1);
  pass(4ms);
  append(2);
  EXPECT_EQ(listener_.calls, 0);
  EXPECT_TRUE(durable(1).entries.empty());
  pass(2ms);
  EXPECT_EQ(listener_.committed.size(), 2u);  // the interval counts from the first
  EXPECT_EQ(durable(1).entries.size(), 2u);
}

TEST_F(JournalTest, NothingIsBelievedBeforeTheSyncEnds) {
  start();
  io_.disk_delay = 100ms;
  append(1);
  pass(150ms);  // written, not synced
  EXPECT_EQ(read_back(io_.files.at(path(1)).octets).entries.size(), 1u);
  EXPECT_TRUE(durable(1).entries.empty());
  EXPECT_EQ(listener_.calls, 0);
  pass(100ms);
  EXPECT_EQ(listener_.calls, 1);
  EXPECT_GE(journal_->stats().longest_commit, 200ms);
}

TEST_F(JournalTest, UnderLoadACommitWaitsForMore) {
  start();
  for (uint32_t i = 0; i < 100; ++i) append(i);
  pass(6ms);
  ASSERT_EQ(listener_.committed.size(), 100u);
  append(100);
  pass(6ms);
  EXPECT_EQ(listener_.committed.size(), 100u) << "the commit before was large";
  for (uint32_t i = 101; i < 700; ++i) append(i);
  turns(5);
  EXPECT_EQ(listener_.committed.size(), 700u) << "enough";
  append(700);
  pass(21ms);
  EXPECT_EQ(listener_.committed.size(), 701u) << "four intervals are the most";
  append(701);
  pass(6ms);
  EXPECT_EQ(listener_.committed.size(), 702u) << "the load is over";
}

TEST_F(JournalTest, WhileACommitIsOnItsWayTheNextGathers) {
  start();
  io_.disk_delay = 100ms;
  append(1);
  pass(20ms);
  for (uint32_t i = 2; i < 50; ++i) append(i);
  const int before = io_.syncs;
  pass(190ms);
  EXPECT_EQ(listener_.committed.size(), 1u);
  pass(210ms);
  EXPECT_EQ(listener_.committed.size(), 49u);
  EXPECT_EQ(io_.syncs, before + 2);
  EXPECT_EQ(durable(1).entries.size(), 49u);
}

TEST_F(JournalTest, AnIdleJournalWritesNothing) {
  start();
  const int writes = io_.writes;
  const int syncs = io_.syncs;
  pass(1h);
  EXPECT_EQ(io_.writes, writes);
  EXPECT_EQ(io_.syncs, syncs);
}

TEST_F(JournalTest, ALotIsCommittedAtOnce) {
  start();
  for (uint32_t row = 0; row < 40'000; ++row) append(row);
  turns(30);  // no time passes
  EXPECT_GE(journal_->stats().commits, 2u);
  EXPECT_GT(listener_.committed.size(), 10'000u);
  pass(6ms);
  EXPECT_EQ(listener_.committed.size(), 40'000u);
  const ReadBack back = durable(1);
  EXPECT_EQ(back.end, JournalParser::Step::kEnd) << back.status;
  ASSERT_EQ(back.entries.size(), 40'000u);
  for (uint32_t i = 0; i < 40'000; ++i) ASSERT_EQ(back.entries[i].entry.row, i);
}

TEST_F(JournalTest, FullAtTheLimitAndFreeAgainAfterACommit) {
  options_.uncommitted_max = 4;
  start();
  for (uint32_t i = 0; i < 3; ++i) append(i);
  EXPECT_FALSE(journal_->full());
  append(3);
  EXPECT_TRUE(journal_->full());
  append(4);  // was in flight
  pass(6ms);
  EXPECT_FALSE(journal_->full());
  EXPECT_EQ(listener_.committed.size(), 5u);
}

TEST_F(JournalTest, FullWhenTooManyOctetsWait) {
  start();
  io_.disk_delay = 1h;
  Random random(4);
  std::string text(1'024, '-');
  uint32_t row = 0;
  while (!journal_->full()) {
    for (size_t i = 0; i < 16; ++i) text[i] = static_cast<char>('!' + random.below(14));
    append(row++, delivered(text));
    ASSERT_LT(row, 60'000u);
  }
  EXPECT_GT(row, 20'000u);
  pass(500h);
  EXPECT_FALSE(journal_->full());
  EXPECT_EQ(listener_.committed.size(), row);
}

TEST_F(JournalTest, CloseCommitsWhatIsThereAtOnce) {
  start();
  const Instant before = loop_.now();
  append(1);
  journal_->append_job_event(0, JobEvent::kPaused, kStart);
  close();
  EXPECT_LT(loop_.now() - before, 5ms);
  EXPECT_EQ(listener_.committed.size(), 1u);
  ASSERT_EQ(listener_.events.size(), 1u);
  EXPECT_EQ(listener_.events[0].second, JobEvent::kPaused);
  EXPECT_EQ(durable(1).entries.size(), 2u);
  append(2);
  EXPECT_EQ(journal_->stats().dropped, 1u);
  EXPECT_TRUE(journal_->full());
  journal_.reset();
}

TEST_F(JournalTest, CloseBeforeRunCommitsToo) {
  ASSERT_TRUE(open().ok());
  append(1);
  close();
  EXPECT_EQ(listener_.committed.size(), 1u);
  journal_.reset();
}

TEST_F(JournalTest, ShortWritesAreCompleted) {
  start();
  io_.write_octets_max = 7;
  for (uint32_t i = 0; i < 10; ++i) append(i);
  pass(6ms);
  turns(400);
  EXPECT_EQ(listener_.committed.size(), 10u);
  EXPECT_EQ(durable(1).entries.size(), 10u);
}

TEST_F(JournalTest, AFailedSyncIsFinal) {
  start();
  append(1);
  pass(6ms);
  ASSERT_EQ(listener_.committed.size(), 1u);
  io_.fail_sync = 1;
  append(2);
  pass(6ms);
  EXPECT_EQ(listener_.failures, 1);
  EXPECT_EQ(listener_.committed.size(), 1u);
  EXPECT_NE(message_of(listener_.failure).find(path(1)), std::string::npos);
  EXPECT_TRUE(journal_->failed());
  EXPECT_TRUE(journal_->full());
  const int syncs = io_.syncs;
  const int writes = io_.writes;
  append(3);
  pass(1s);
  EXPECT_EQ(io_.syncs, syncs);
  EXPECT_EQ(io_.writes, writes);
  EXPECT_EQ(listener_.committed.size(), 1u);
  EXPECT_EQ(listener_.failures, 1);
  EXPECT_EQ(journal_->stats().dropped, 1u);
  EXPECT_EQ(journal_->stats().uncommitted, 1u);
}

TEST_F(JournalTest, AFullDiskIsWaitedFor) {
  start();
  io_.full = true;
  append(1);
  pass(6ms);
  EXPECT_EQ(listener_.stalls, 1);
  EXPECT_NE(message_of(listener_.stall).find("until there is room"), std::string::npos);
  EXPECT_TRUE(journal_->full()) << "nothing more is sent";
  append(2);  // the answer of what was in flight
  const int writes = io_.writes;
  pass(10s);
  EXPECT_LE(io_.writes, writes + 11) << "once a second";
  EXPECT_EQ(listener_.stalls, 1) << "said once";
  EXPECT_TRUE(listener_.committed.empty());
  io_.full = false;
  pass(2s);
  EXPECT_EQ(listener_.failures, 0);
  ASSERT_EQ(listener_.committed.size(), 2u);
  EXPECT_FALSE(journal_->full());
  EXPECT_EQ(durable(1).entries.size(), 2u);
}

TEST_F(JournalTest, AFullDiskAtTheEndIsFinal) {
  start();
  io_.full = true;
  append(1);
  pass(10ms);
  close();
  EXPECT_EQ(listener_.failures, 1);
  EXPECT_TRUE(listener_.committed.empty());
  EXPECT_EQ(io_.open_handles(), 0u);
}

TEST_F(JournalTest, AFullDiskAtTheStartIsReported) {
  io_.full = true;
  const Status status = open();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST_F(JournalTest, WhatGatheredBehindAFailureIsNotBelieved) {
  start();
  io_.disk_delay = 50ms;
  append(1);
  pass(10ms);
  append(2);
  io_.fail_sync = 1;
  pass(1s);
  EXPECT_EQ(listener_.failures, 1);
  EXPECT_TRUE(listener_.committed.empty());
  EXPECT_EQ(journal_->stats().uncommitted, 2u);
}

TEST_F(JournalTest, FilesRotateAndEachStandsAlone) {
  options_.file_bytes_max = 1'024;
  start();
  for (uint32_t i = 0; i < 100; ++i) {
    append(i, i % 7 == 0 ? deferred() : delivered("OK " + std::to_string(i)));
    if (i % 5 == 4) pass(6ms);
  }
  EXPECT_EQ(listener_.committed.size(), 100u);
  uint32_t row = 0;
  EXPECT_GE(journal_->stats().files, 3u);
  for (uint32_t n = 1; n <= journal_->stats().files; ++n) {
    const ReadBack back = durable(static_cast<int>(n));
    EXPECT_EQ(back.end, JournalParser::Step::kEnd) << back.status;
    EXPECT_FALSE(back.torn);
    EXPECT_LE(io_.files.at(path(static_cast<int>(n))).octets.size(), 2'048u);
    for (const OwnedEntry& e : back.entries) {
      EXPECT_EQ(e.entry.row, row++);
      EXPECT_EQ(e.job, "july-news");
      EXPECT_EQ(e.site, "gmail-smtp-in.l.google.com");
      EXPECT_EQ(e.entry.at, attempt_at(e.entry.row * 1ms).at);
    }
  }
  EXPECT_EQ(row, 100u);
  // Two syncs a new file (itself, its directory) and one for the parent at the very first.
  EXPECT_EQ(io_.directory_syncs, static_cast<int>(journal_->stats().files) + 1);
}

TEST_F(JournalTest, RotationWhileTheNextGathersKeepsTheDictionariesApart) {
  options_.file_bytes_max = 1;  // every commit begins a file
  start();
  io_.disk_delay = 10ms;
  for (uint32_t i = 0; i < 60; ++i) {
    append(i);
    pass(3ms);
  }
  pass(1s);
  EXPECT_EQ(listener_.committed.size(), 60u);
  size_t entries = 0;
  for (const auto& [name, file] : io_.files) {
    const ReadBack back = read_back(file.durable);
    EXPECT_EQ(back.end, JournalParser::Step::kEnd) << back.status;
    EXPECT_FALSE(back.torn) << name;
    entries += back.entries.size();
  }
  EXPECT_EQ(entries, 60u);
}

TEST_F(JournalTest, AFailedRotationIsFinal) {
  options_.file_bytes_max = 1;
  start();
  append(1);
  pass(6ms);
  io_.fail_create = true;
  append(2);
  pass(6ms);
  EXPECT_EQ(listener_.failures, 1);
  EXPECT_EQ(listener_.committed.size(), 1u);
}

TEST_F(JournalTest, APowerCutAtAnyMomentLosesNothingThatWasBelieved) {
  start();
  io_.disk_delay = 3ms;
  for (uint32_t i = 0; i < 300; ++i) {
    append(i);
    loop_.turn(loop_.now() + 1ms);
    // What is on the disk now holds at least what was announced.
    const ReadBack back = durable(1);
    ASSERT_EQ(back.end, JournalParser::Step::kEnd);
    ASSERT_FALSE(back.torn);
    ASSERT_GE(back.entries.size(), listener_.committed.size());
  }
  close();
  EXPECT_EQ(listener_.committed.size(), 300u);
  journal_.reset();
}

}  // namespace
}  // namespace sluice
