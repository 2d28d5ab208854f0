// The counts of a job, shard by shard: one counter a state, moved in one place.
//
// Each shard writes only its own cell; anybody may read a snapshot at any time. A cell is guarded
// by a sequence number, so what is read of one shard always adds up, and so do the sums: at every
// moment the ten states add up to the rows taken.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "engine/model/state.h"

namespace sluice {

struct Counts {
  std::array<int64_t, kStates> states{};
  int64_t attempts = 0;
  int64_t maybe_delivered = 0;
  int64_t stale = 0;  // verdicts that went by an expired DNS answer
  int64_t bytes = 0;  // octets of delivered messages

  int64_t operator[](State state) const { return states[static_cast<size_t>(state)]; }
  int64_t total() const {
    int64_t sum = 0;
    for (const int64_t count : states) sum += count;
    return sum;
  }
  int64_t open() const {
    return (*this)[State::kWaiting] + (*this)[State::kDeferred] + (*this)[State::kInFlight];
  }
};

class Progress {
 public:
  explicit Progress(uint32_t shards);

  // `count` rows enter the list in `state`. Owner of cell `shard` only.
  void add(uint32_t shard, State state, int64_t count = 1);
  // A row changes state. Owner of cell `shard` only.
  void move(uint32_t shard, State from, State to, int64_t count = 1);
  // Adds what an earlier process counted. Owner of cell `shard` only.
  void restore(uint32_t shard, const Counts& counts);
  void count_attempt(uint32_t shard);
  void count_maybe_delivered(uint32_t shard);
  void count_stale(uint32_t shard);
  void count_bytes(uint32_t shard, int64_t bytes);

  // The sums over all shards. Any thread. `waiting` of a snapshot taken while rows move between
  // shards may be off by those moves; the total never is.
  Counts snapshot() const;

 private:
  struct alignas(64) Cell {
    std::atomic<uint32_t> sequence{0};
    std::array<std::atomic<int64_t>, kStates + 4> values{};
  };
  template <typename Change>
  void write(uint32_t shard, Change change);

  const uint32_t shards_;
  std::unique_ptr<Cell[]> cells_;
};

}  // namespace sluice
