#include "engine/model/progress.h"

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr size_t kAttempts = kStates;
constexpr size_t kMaybeDelivered = kStates + 1;
constexpr size_t kBytes = kStates + 2;
constexpr size_t kStale = kStates + 3;

// One writer a cell: a plain load and store, no read-modify-write. Release, so that whoever sees
// the value sees the odd sequence that was stored before it.
void bump(std::atomic<int64_t>& value, int64_t by) {
  value.store(value.load(std::memory_order_relaxed) + by, std::memory_order_release);
}

}  // namespace

Progress::Progress(uint32_t shards) : shards_(shards), cells_(std::make_unique<Cell[]>(shards)) {}

template <typename Change>
void Progress::write(uint32_t shard, Change change) {
  CHECK(shard < shards_);
  Cell& cell = cells_[shard];
  // A seqlock after Boehm, "Can seqlocks get along with programming language memory models?"
  // (2012), with ordered accesses to the values in place of fences, which TSan cannot follow.
  const uint32_t sequence = cell.sequence.load(std::memory_order_relaxed);
  cell.sequence.store(sequence + 1, std::memory_order_relaxed);
  change(cell.values);
  cell.sequence.store(sequence + 2, std::memory_order_release);
}

void Progress::add(uint32_t shard, State state, int64_t count) {
  write(shard, [&](auto& values) { bump(values[static_cast<size_t>(state)], count); });
}

void Progress::move(uint32_t shard, State from, State to, int64_t count) {
  if (from == to) return;
  write(shard, [&](auto& values) {
    bump(values[static_cast<size_t>(from)], -count);
    bump(values[static_cast<size_t>(to)], count);
  });
}

void Progress::restore(uint32_t shard, const Counts& counts) {
  write(shard, [&](auto& values) {
    for (size_t i = 0; i < kStates; ++i) bump(values[i], counts.states[i]);
    bump(values[kAttempts], counts.attempts);
    bump(values[kMaybeDelivered], counts.maybe_delivered);
    bump(values[kBytes], counts.bytes);
    bump(values[kStale], counts.stale);
  });
}

void Progress::count_attempt(uint32_t shard) {
  write(shard, [](auto& values) { bump(values[kAttempts], 1); });
}
void Progress::count_maybe_delivered(uint32_t shard) {
  write(shard, [](auto& values) { bump(values[kMaybeDelivered], 1); });
}
void Progress::count_stale(uint32_t shard) {
  write(shard, [](auto& values) { bump(values[kStale], 1); });
}
void Progress::count_bytes(uint32_t shard, int64_t bytes) {
  write(shard, [&](auto& values) { bump(values[kBytes], bytes); });
}

Counts Progress::snapshot() const {
  Counts sum;
  for (uint32_t shard = 0; shard < shards_; ++shard) {
    const Cell& cell = cells_[shard];
    std::array<int64_t, kStates + 4> seen;
    uint32_t before = 0;
    do {
      before = cell.sequence.load(std::memory_order_acquire);
      for (size_t i = 0; i < seen.size(); ++i) {
        seen[i] = cell.values[i].load(std::memory_order_acquire);
      }
    } while ((before & 1) != 0 || cell.sequence.load(std::memory_order_relaxed) != before);
    for (size_t i = 0; i < kStates; ++i) sum.states[i] += seen[i];
    sum.attempts += seen[kAttempts];
    sum.maybe_delivered += seen[kMaybeDelivered];
    sum.bytes += seen[kBytes];
    sum.stale += seen[kStale];
  }
  return sum;
}

}  // namespace sluice
