#include "engine/shard/event_follower.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "engine/record/format.h"
#include "engine/ring/gate.h"
#include "engine/spool/segment_writer.h"
#include "tests/unit/loop_directory.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kJob[] = "news-20261122T100000Z-abcdef";
constexpr uint32_t kDomains = 5;
const WallTime kStart = from_unix_seconds(1'800'000'000);

class Believer final : public JournalListener {
 public:
  void on_committed(std::span<const CommittedVerdict> verdicts) override {
    committed += verdicts.size();
  }
  void on_failed(const Status&) override {}
  size_t committed = 0;
};

Task<> note_end(Task<> task, bool& done) {
  co_await std::move(task);
  done = true;
}

// A spool with one job of one segment, a journal that is written, and its follower.
class EventFollowerTest : public LoopDirectory {
 protected:
  void SetUp() override {
    LoopDirectory::SetUp();
    spool_ = std::make_unique<SpoolPaths>(root_);
    for (const std::string& path :
         {spool_->active, spool_->done, spool_->journal, spool_->suppress_index}) {
      fs::create_directories(path);
    }
    Source source;
    source.name = "s1";
    source.addresses = {*parse_ip("192.0.2.10")};
    config_.sources.push_back(source);
  }

  void write_segment(uint32_t rows) {
    Limits limits;
    limits.block_bytes_target = 512;
    SegmentBuilder builder(1, 0, limits);
    for (uint32_t i = 0; i < rows; ++i) {
      const std::string local = "user" + std::to_string(i);
      const std::string domain = "d" + std::to_string(i % kDomains) + ".example";
      const std::string address = local + "@" + domain;
      const std::string_view value = address;
      Row row;
      row.number = i + 1;
      row.address = address;
      row.local_part = local;
      row.domain = domain;
      row.values = std::span(&value, 1);
      builder.add(row);
    }
    SegmentMeta meta;
    meta.job = kJob;
    meta.row_end = rows + 1;
    meta.columns = {"email"};
    std::string octets;
    builder.finish(meta, octets);
    const std::string directory = spool_->active_job(kJob) + "/segments";
    fs::create_directories(directory);
    std::ofstream(directory + "/" + segment_name(0), std::ios::binary) << octets;
    rows_ = rows;
  }
  // Rows of a segment are numbered domain by domain.
  std::string address_of(SegmentRow row) const {
    const uint32_t per_domain = rows_ / kDomains;
    const uint32_t domain = row / per_domain;
    return "user" + std::to_string(row % per_domain * kDomains + domain) + "@d" +
           std::to_string(domain) + ".example";
  }

  // A run of the sender: a journal file (or more) with verdicts on rows [first, last).
  void write_journal(uint32_t first, uint32_t last, uint32_t series = 0,
                     size_t file_bytes_max = 64UL << 20) {
    Believer believer;
    JournalOptions options;
    options.directory = spool_->journal;
    options.shard = series;
    options.file_bytes_max = file_bytes_max;
    Journal journal(*loop_, options, believer);
    ASSERT_TRUE(run(journal.open()).ok());
    journal.register_job(0, kJob);
    bool ended = false;
    gate_.spawn(note_end(journal.run(), ended));
    append(journal, first, last);
    bool closed = false;
    gate_.spawn(note_end(journal.close(), closed));
    while (!ended || !closed) loop_->turn();
    EXPECT_EQ(believer.committed, last - first);
  }
  void append(Journal& journal, uint32_t first, uint32_t last) const {
    for (uint32_t row = first; row < last; ++row) {
      Verdict verdict;
      verdict.state = row % 10 == 9 ? State::kBounced : State::kDelivered;
      verdict.reply = {static_cast<uint16_t>(row % 10 == 9 ? 550 : 250), {2, 0, 0}, "as it is"};
      if (row % 20 == 19) verdict.reply.enhanced = {5, 1, 1};
      if (row % 40 == 39) verdict.reply.code = 0;  // said here, not by a receiver
      verdict.command = ".";
      Attempt attempt;
      attempt.at = kStart + row * 1ms;
      attempt.first_at = kStart;
      attempt.size = 100;
      attempt.site = "mx.example";
      attempt.exchanger = "mx.example";
      attempt.peer = {*parse_ip("192.0.2.7"), 25};
      attempt.source = "s1";
      attempt.sender = "bounce@example.com";
      journal.append({0, 0, row}, verdict, attempt);
    }
  }

  // Lets a follower without a journal of its own tell all that is there.
  EventFollower::Stats follow(Instant deadline = kForever, uint32_t series = 0) {
    EventFollower follower(*loop_, config_, *spool_, series, nullptr,
                           [this](uint32_t told, uint32_t file) { told_[told] = file; });
    bool ended = false;
    gate_.spawn(note_end(follower.run(), ended));
    follower.finish(deadline);  // without the head start
    while (!ended) loop_->turn();
    loop_->turn(loop_->now());
    return follower.stats();
  }
  std::vector<json> events() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root_ + "/record")) {
      names.push_back(entry.path());
    }
    std::sort(names.begin(), names.end());
    std::vector<json> out;
    for (const std::string& path : names) {
      std::ifstream in(path);
      for (std::string line; std::getline(in, line);) out.push_back(json::parse(line));
    }
    return out;
  }
  void expect_each_once(const std::vector<json>& all) const {
    std::map<std::string, json> distinct;
    for (const json& event : all) distinct[event["id"]] = event;
    std::set<std::string> recipients;
    for (const auto& [id, event] : distinct) recipients.insert(event["recipient"]);
    EXPECT_EQ(distinct.size(), rows_);
    EXPECT_EQ(recipients.size(), rows_);
  }
  std::string followed() const { return spool_->journal + "/000.followed"; }

  std::unique_ptr<SpoolPaths> spool_;
  Configuration config_;
  Gate gate_;
  uint32_t rows_ = 0;
  std::map<uint32_t, uint32_t> told_;
};

TEST_F(EventFollowerTest, JoinsEachVerdictWithItsRow) {
  write_segment(1'000);
  write_journal(0, 1'000);
  const EventFollower::Stats stats = follow();
  EXPECT_EQ(stats.events, 1'000u);
  EXPECT_EQ(stats.unknown_rows, 0u);
  const std::vector<json> all = events();
  ASSERT_EQ(all.size(), 1'000u);
  expect_each_once(all);
  for (uint32_t row = 0; row < 1'000; ++row) {
    const json& event = all[row];
    EXPECT_EQ(event["recipient"], address_of(row));
    EXPECT_EQ(event["type"], row % 10 == 9 ? "Bounce" : "Delivery");
  }
  EXPECT_EQ(all[0]["source_address"]["address"], "192.0.2.10");
  EXPECT_EQ(all[0]["row"], 1);
  EXPECT_EQ(all[0]["queue"], "d0.example");
  EXPECT_EQ(told_[0], 1u);
}

TEST_F(EventFollowerTest, LeavesHardBouncesForTheList) {
  config_.suppress.hard_bounces = true;
  write_segment(100);
  write_journal(0, 100);
  follow();
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(spool_->suppress_index)) {
    names.push_back(entry.path());
  }
  ASSERT_EQ(names.size(), 1u);
  EXPECT_TRUE(names[0].ends_with(".bounced")) << names[0];
  std::vector<std::string> bounced;
  std::ifstream in(names[0]);
  for (std::string line; std::getline(in, line);) bounced.push_back(line);
  EXPECT_EQ(bounced, (std::vector<std::string>{address_of(19), address_of(59), address_of(99)}));
  // Told again after a crash, they are in the same file again.
  fs::remove(followed());
  follow();
  EXPECT_EQ(std::distance(fs::directory_iterator(spool_->suppress_index), {}), 1);
}

TEST_F(EventFollowerTest, LeavesNoneUnlessAsked) {
  write_segment(100);
  write_journal(0, 100);
  follow();
  EXPECT_TRUE(fs::is_empty(spool_->suppress_index));
}

TEST_F(EventFollowerTest, GoesOnWhereItWas) {
  write_segment(1'000);
  write_journal(0, 500);
  EXPECT_EQ(follow().events, 500u);
  write_journal(500, 1'000);
  const EventFollower::Stats stats = follow();
  EXPECT_EQ(stats.events, 500u);
  EXPECT_EQ(stats.skipped, 500u);
  EXPECT_EQ(events().size(), 1'000u);
  expect_each_once(events());
  EXPECT_EQ(told_[0], 2u);
  EXPECT_EQ(follow().events, 0u);
}

TEST_F(EventFollowerTest, AfterACrashTwinsHaveTheSameId) {
  write_segment(1'000);
  write_journal(0, 500);
  follow();
  const fs::path kept = root_ + "/kept";
  fs::copy_file(followed(), kept);
  write_journal(500, 1'000);
  follow();
  // The position that was durable is the older one, and the last line is torn.
  fs::copy_file(kept, followed(), fs::copy_options::overwrite_existing);
  const std::string path = root_ + "/record/events.000.jsonl";
  fs::resize_file(path, fs::file_size(path) - 10);
  follow();
  EXPECT_EQ(events().size(), 999u + 500u);
  expect_each_once(events());
}

TEST_F(EventFollowerTest, ALostPositionTellsAllAgain) {
  write_segment(100);
  write_journal(0, 100);
  follow();
  std::ofstream(followed()) << "followed-1 9";
  follow();
  EXPECT_EQ(events().size(), 200u);
  expect_each_once(events());
}

TEST_F(EventFollowerTest, FilesAreRotated) {
  config_.record.rotate_bytes = 10'000;
  write_segment(1'000);
  for (uint32_t run = 0; run < 5; ++run) {
    write_journal(run * 200, (run + 1) * 200);
    follow();
  }
  EXPECT_EQ(events().size(), 1'000u);
  expect_each_once(events());
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(root_ + "/record")) ++files;
  EXPECT_EQ(files, 6u);
}

TEST_F(EventFollowerTest, AJobMayHaveMovedOrGone) {
  write_segment(100);
  write_journal(0, 50);
  fs::rename(spool_->active_job(kJob), spool_->done_job(kJob));
  EXPECT_EQ(follow().unknown_rows, 0u);
  fs::remove_all(spool_->done_job(kJob));
  write_journal(50, 100);
  EXPECT_EQ(follow().unknown_rows, 50u);
  const std::vector<json> all = events();
  ASSERT_EQ(all.size(), 100u);
  EXPECT_TRUE(all[49].contains("recipient"));
  EXPECT_FALSE(all[50].contains("recipient"));
}

TEST_F(EventFollowerTest, ADamagedSegmentCostsOnlyAddresses) {
  write_segment(100);
  write_journal(0, 100);
  const std::string path = spool_->active_job(kJob) + "/segments/" + segment_name(0);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(40);
  file << "?";
  file.close();
  const EventFollower::Stats stats = follow();
  EXPECT_EQ(stats.events, 100u);
  EXPECT_GT(stats.unknown_rows, 0u);
  EXPECT_LT(stats.unknown_rows, 100u);
}

TEST_F(EventFollowerTest, ATornJournalIsToldToItsLastWholeFrame) {
  write_segment(100);
  write_journal(0, 60);
  const std::string path = spool_->journal + "/" + journal_file_name(0, 1);
  std::ofstream(path, std::ios::app | std::ios::binary) << "\xF7SLF torn";
  write_journal(60, 100);
  EXPECT_EQ(follow().events, 100u);
  expect_each_once(events());
}

TEST_F(EventFollowerTest, PastItsDeadlineItEndsAndGoesOnLater) {
  write_segment(1'000);
  write_journal(0, 1'000);
  follow(loop_->now());
  EXPECT_LT(events().size(), 1'000u);
  follow();
  expect_each_once(events());
}

TEST_F(EventFollowerTest, FollowsAJournalThatIsBeingWritten) {
  write_segment(1'000);
  Believer believer;
  JournalOptions options;
  options.directory = spool_->journal;
  options.file_bytes_max = 4'096;
  Journal journal(*loop_, options, believer);
  ASSERT_TRUE(run(journal.open()).ok());
  journal.register_job(0, kJob);
  bool journal_ended = false;
  gate_.spawn(note_end(journal.run(), journal_ended));
  EventFollower follower(*loop_, config_, *spool_, 0, &journal, [](uint32_t, uint32_t) {});
  bool follower_ended = false;
  gate_.spawn(note_end(follower.run(), follower_ended));
  append(journal, 0, 500);
  while (follower.stats().events < 500) loop_->turn();
  append(journal, 500, 1'000);
  bool closed = false;
  gate_.spawn(note_end(journal.close(), closed));
  while (!journal_ended || !closed) loop_->turn();
  follower.finish(kForever);
  while (!follower_ended) loop_->turn();
  loop_->turn(loop_->now());
  EXPECT_EQ(events().size(), 1'000u);
  expect_each_once(events());
}

TEST(FollowedTo, RoundTrip) {
  const auto parsed = parse_followed(encode_followed({17, 4'096, 123}));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->file, 17u);
  EXPECT_EQ(parsed->offset, 4'096u);
  EXPECT_EQ(parsed->events, 123u);
  for (const char* text : {"", "followed-1 1 2 3", "followed-2 1 2 3\n", "followed-1 1 2\n",
                           "followed-1 a 2 3\n", "followed-1 4294967296 2 3\n"}) {
    EXPECT_FALSE(parse_followed(text)) << text;
  }
}

}  // namespace
}  // namespace sluice
