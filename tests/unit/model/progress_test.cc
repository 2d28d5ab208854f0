#include "engine/model/progress.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "engine/base/random.h"

namespace sluice {
namespace {

TEST(Progress, CountsMoves) {
  Progress progress(2);
  progress.add(0, State::kWaiting, 10);
  progress.add(1, State::kRejected);
  progress.move(0, State::kWaiting, State::kInFlight, 4);
  progress.move(0, State::kInFlight, State::kDelivered, 3);
  progress.move(1, State::kInFlight, State::kBounced);  // another shard ends what shard 0 began
  progress.move(0, State::kWaiting, State::kWaiting, 100);
  progress.count_attempt(0);
  progress.count_attempt(1);
  progress.count_maybe_delivered(1);
  progress.count_stale(0);
  progress.count_stale(1);
  progress.count_bytes(0, 1'000);
  const Counts counts = progress.snapshot();
  EXPECT_EQ(counts[State::kWaiting], 6);
  EXPECT_EQ(counts[State::kInFlight], 0);
  EXPECT_EQ(counts[State::kDelivered], 3);
  EXPECT_EQ(counts[State::kBounced], 1);
  EXPECT_EQ(counts[State::kRejected], 1);
  EXPECT_EQ(counts.total(), 11);
  EXPECT_EQ(counts.open(), 6);
  EXPECT_EQ(counts.attempts, 2);
  EXPECT_EQ(counts.maybe_delivered, 1);
  EXPECT_EQ(counts.stale, 2);
  EXPECT_EQ(counts.bytes, 1'000);
}

// Each shard moves rows about as fast as it can, while another thread reads: what it reads adds up
// every time.
TEST(Progress, AddsUpAtAnyMoment) {
  constexpr uint32_t kShards = 2;
  constexpr int64_t kRows = 1'000;
  constexpr int kMoves = 50'000;
  Progress progress(kShards);
  for (uint32_t shard = 0; shard < kShards; ++shard) progress.add(shard, State::kWaiting, kRows);
  std::atomic<uint32_t> running{kShards};
  std::vector<std::thread> threads;
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    threads.emplace_back([&progress, &running, shard] {
      Random random(shard + 1);
      std::array<int64_t, kStates> mine{};
      mine[0] = kRows;
      for (int i = 0; i < kMoves; ++i) {
        const size_t from = random.below(kStates);
        const size_t to = random.below(kStates);
        if (mine[from] == 0) continue;
        const auto count =
            static_cast<int64_t>(1 + random.below(static_cast<uint64_t>(mine[from])));
        mine[from] -= count;
        mine[to] += count;
        progress.move(shard, static_cast<State>(from), static_cast<State>(to), count);
      }
      running.fetch_sub(1);
    });
  }
  int64_t snapshots = 0;
  do {
    const Counts counts = progress.snapshot();
    ASSERT_EQ(counts.total(), kShards * kRows);
    // Rows move within a shard only, so no state is ever below zero.
    for (const int64_t count : counts.states) ASSERT_GE(count, 0);
    ++snapshots;
  } while (running.load() > 0);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(progress.snapshot().total(), kShards * kRows);
  EXPECT_GT(snapshots, 0);
}

TEST(ProgressDeathTest, AForeignShardAborts) {
  Progress progress(1);
  EXPECT_DEATH(progress.add(1, State::kWaiting), "CHECK failed");
}

}  // namespace
}  // namespace sluice
