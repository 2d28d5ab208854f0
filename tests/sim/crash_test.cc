// Invariants 2 and 11: after a power cut at any moment no recipient is lost, and nobody whose
// verdict was durable gets the mail again; a drain loses nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/sim/scene.h"

namespace sluice::sim {
namespace {

constexpr uint32_t kRows = 200;

void add_world(Scene& scene) {
  for (int i = 0; i < 8; ++i) {
    scene.zones.add("example" + std::to_string(i) + ".test MX 10 mx" + std::to_string(i % 3) +
                    ".sim");
  }
  ReceiverRules rules;
  rules.reply_delay = std::chrono::milliseconds(2);
  rules.rcpt = [](const std::string& recipient, uint32_t attempt) -> std::string {
    const auto number = std::stoul(recipient.substr(4));
    if (number % 10 == 3) return "550 5.1.1 no such user";
    if (number % 10 == 7 && attempt == 1) return "451 4.7.1 come back later";
    return "";
  };
  for (uint8_t host = 1; host <= 3; ++host) {
    scene.zones.add("mx" + std::to_string(host - 1) + ".sim A 10.0.0." + std::to_string(host));
    scene.receiver(host, rules);
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

struct Outage {
  Instant at{};
  std::set<std::string> believed;
};

// Invariant 2, by what the receivers saw.
void check_repeats(const Scene& scene, const std::vector<Outage>& outages) {
  std::map<std::string, std::vector<Instant>> taken;
  for (const auto& receiver : scene.receivers()) {
    for (const auto& delivery : receiver->deliveries()) {
      taken[delivery.recipient].push_back(delivery.at);
    }
  }
  for (auto& [recipient, times] : taken) {
    std::sort(times.begin(), times.end());
    for (const Outage& outage : outages) {
      if (outage.believed.count(recipient) == 0) continue;
      EXPECT_LE(times.back(), outage.at)
          << "invariant 2: " << recipient << " was durably final and got the mail again";
    }
    // Twice only around a power cut: in flight, or answered and not synced, which is over within
    // a round trip, a commit interval and two syncs.
    for (size_t i = 1; i < times.size(); ++i) {
      const bool excused = std::any_of(outages.begin(), outages.end(), [&](const Outage& outage) {
        return outage.at <= times[i] && outage.at >= times[i - 1] - std::chrono::milliseconds(5) &&
               outage.at - times[i - 1] < std::chrono::milliseconds(60);
      });
      EXPECT_TRUE(excused) << "invariant 2: " << recipient << " got the mail again";
    }
  }
  for (uint32_t i = 0; i < kRows; ++i) {
    const std::string recipient = recipients_over(kRows, 8)[i];
    if (i % 10 != 3) {
      EXPECT_EQ(taken.count(recipient), 1U) << recipient << " is lost";
    }
  }
}

void check_end(const Scene& scene) {
  const JobSummary summary = scene.summary("news");
  EXPECT_EQ(summary.counts.total(), kRows);
  EXPECT_EQ(summary.counts[State::kDelivered], kRows - kRows / 10);
  EXPECT_EQ(summary.counts[State::kBounced], kRows / 10);
  EXPECT_EQ(scene.ledger().final_twice, 0U);
  EXPECT_EQ(scene.misdirected(), 0U);
}

void crash_at_random(uint64_t seed, uint32_t shards, Limits limits, Duration within) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Scene scene({.seed = seed, .shards = shards, .limits = limits});
  add_world(scene);
  scene.drop_job("news", recipients_over(kRows, 8));
  std::vector<Outage> outages;
  for (int round = 0; round < 3; ++round) {
    scene.start();
    scene.run_for(scene.world.between(Duration{}, within));
    scene.crash();
    outages.push_back({scene.world.now(), durably_final(scene)});
  }
  scene.start();
  ASSERT_TRUE(scene.run_jobs(std::chrono::hours(3))) << scene.world.log();
  check_repeats(scene, outages);
  check_end(scene);
}

TEST(Crash, NothingLostNothingRepeated) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    crash_at_random(seed, static_cast<uint32_t>(1 + seed % 3), Limits(),
                    std::chrono::milliseconds(600));
  }
}

TEST(Crash, NothingLostNothingRepeatedWithTinyLimits) {
  for (uint64_t seed = 101; seed <= 130; ++seed) {
    crash_at_random(seed, static_cast<uint32_t>(1 + seed % 3), Limits::tiny(),
                    std::chrono::milliseconds(1'500));
  }
}

TEST(Crash, ADrainLosesNothing) {
  for (uint64_t seed = 201; seed <= 215; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Scene scene({.seed = seed, .shards = static_cast<uint32_t>(1 + seed % 3)});
    add_world(scene);
    scene.drop_job("news", recipients_over(kRows, 8));
    scene.start();
    scene.run_for(scene.world.between(std::chrono::milliseconds(100), std::chrono::seconds(1)));
    scene.process().drain(std::chrono::seconds(30));
    // Invariant 11: it ends within its deadline.
    ASSERT_TRUE(
        scene.run_until([&] { return scene.process().stopped(); }, std::chrono::seconds(31)));
    scene.crash();
    scene.start();
    ASSERT_TRUE(scene.run_jobs(std::chrono::hours(3)));
    for (const auto& [recipient, times] : scene.times_taken()) EXPECT_EQ(times, 1U) << recipient;
    check_repeats(scene, {});
    check_end(scene);
  }
}

}  // namespace
}  // namespace sluice::sim
