// Invariants 1 and 2, exhaustively: a small job, and the power goes at each call to the disk.
//
// From the chosen call on the disk does nothing more; the power goes at the end of that step. What
// was not synced is lost as chance has it. Then a process takes the job to its end.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "tests/sim/scene.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kRows = 6;
constexpr uint32_t kDomains = 2;

void add_world(Scene& scene) {
  ReceiverRules rules;
  rules.reply_delay = std::chrono::milliseconds(2);
  rules.rcpt = [](const std::string& recipient, uint32_t attempt) -> std::string {
    if (recipient.starts_with("user2@")) return "550 5.1.1 no such user";
    if (recipient.starts_with("user3@") && attempt == 1) return "451 4.7.1 come back later";
    return "";
  };
  for (uint32_t i = 0; i < kDomains; ++i) {
    const std::string number = std::to_string(i);
    scene.zones.add("example" + number + ".test MX 10 mx" + number + ".sim");
    scene.zones.add("mx" + number + ".sim A 10.0.0." + std::to_string(i + 1));
    scene.receiver(static_cast<uint8_t>(i + 1), rules);
  }
}

std::set<std::string> durably_final(const Scene& scene) {
  std::set<std::string> out;
  for (const auto& [key, entries] : scene.ledger().rows) {
    for (const LedgerEntry& entry : entries) {
      if (is_final(entry.state)) out.insert(entry.recipient);
    }
  }
  return out;
}

struct Outcome {
  uint64_t calls = 0;
  bool crashed = false;
};

// The power goes at the `fatal`th call to the disk, if there are so many.
Outcome run(uint64_t seed, uint32_t shards, uint64_t fatal) {
  SCOPED_TRACE("seed " + std::to_string(seed) + ", call " + std::to_string(fatal));
  Scene scene({.seed = seed, .shards = shards, .limits = Limits::tiny()});
  add_world(scene);
  scene.drop_job("news", recipients_over(kRows, kDomains));
  Outcome outcome;
  bool is_up = false;  // making the spool's directories may not fail: then it would not start
  scene.disk->fault = [&](DiskCall, const std::string&) {
    return ++outcome.calls >= fatal && is_up ? IoError::kFailed : IoError::kNone;
  };
  scene.start();
  is_up = true;
  const auto is_over = [&] { return outcome.calls >= fatal || scene.jobs_are_done(); };
  EXPECT_TRUE(scene.run_until(is_over, std::chrono::hours(3))) << scene.world.log();
  outcome.crashed = outcome.calls >= fatal;
  std::set<std::string> believed;
  std::map<std::string, uint32_t> before;
  if (outcome.crashed) {
    scene.crash();
    scene.disk->fault = nullptr;
    believed = durably_final(scene);
    before = scene.times_taken();
    scene.start();
    EXPECT_TRUE(scene.run_jobs(std::chrono::hours(3))) << scene.world.log();
  }
  const std::map<std::string, uint32_t> taken = scene.times_taken();
  for (const std::string& recipient : recipients_over(kRows, kDomains)) {
    const auto found = taken.find(recipient);
    const uint32_t times = found == taken.end() ? 0 : found->second;
    if (recipient.starts_with("user2@")) {
      EXPECT_EQ(times, 0U) << recipient;
      continue;
    }
    EXPECT_GE(times, 1U) << "invariant 1: " << recipient << " is lost";
    EXPECT_LE(times, outcome.crashed ? 2U : 1U) << "invariant 2: " << recipient;
    if (believed.count(recipient) != 0) {
      EXPECT_EQ(times, before[recipient]) << "invariant 2: " << recipient << " was durably final";
    }
  }
  const JobSummary summary = scene.summary("news");
  EXPECT_EQ(summary.counts.total(), kRows);
  EXPECT_EQ(summary.counts[State::kDelivered], kRows - 1);
  EXPECT_EQ(summary.counts[State::kBounced], 1);
  EXPECT_EQ(scene.ledger().final_twice, 0U);
  return outcome;
}

void crash_everywhere(uint64_t seed, uint32_t shards) {
  uint64_t call = 1;
  while (run(seed, shards, call).crashed) {
    if (::testing::Test::HasFailure()) return;
    ++call;
  }
  ::testing::Test::RecordProperty("calls", static_cast<int>(call - 1));
  EXPECT_GT(call, 50U) << "a job takes more calls to the disk than that";
}

class CrashEverywhere : public ::testing::TestWithParam<uint32_t> {};

TEST_P(CrashEverywhere, NothingIsLostOrRepeated) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    crash_everywhere(seed, GetParam());
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, CrashEverywhere, ::testing::Values(1U, 2U));

}  // namespace
}  // namespace sluice::sim
