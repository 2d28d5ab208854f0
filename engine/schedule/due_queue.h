// Deferred rows in the order in which they fall due: 16 bytes each.
//
// A 4-ary heap in chunks that grow from 4 rows to 4,096, so that a site with three deferred rows
// costs little and one with a million never copies them all to grow. push and pop are O(log n).
//
// Thread: one shard's. Ownership: plain values. Errors: none. Limits: the owner counts rows against
// Limits::due_rows_per_shard before it pushes. Rows due at the same tick leave in no promised, but
// always the same, order.
// BUGS: due times are kept in ticks of 10 ms since the process began, 497 days of them; later ones
//   count as the last tick. First attempts are kept in whole seconds, until the year 2106.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/time.h"

namespace sluice {

// Turns moments into ticks of 10 ms since the process began.
class TickClock {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(10);

  explicit TickClock(Instant start) : start_(start) {}
  // The first tick that is not before `t`: for due times, never early. Saturates at both ends.
  uint32_t tick_for(Instant t) const;
  // The last tick that has begun at `now`.
  uint32_t tick_at(Instant now) const;
  Instant instant_of(uint32_t tick) const { return start_ + kTick * static_cast<int64_t>(tick); }

 private:
  Instant start_;
};

struct DueRow {
  static constexpr uint32_t kRowBits = 20;
  static constexpr uint32_t kRowMax = (1U << kRowBits) - 1;
  static constexpr uint32_t kAttemptsMax = 4'095;

  uint32_t segment_ref = 0;  // the segment's number within this process
  uint32_t row_attempts = 0;
  uint32_t due_tick = 0;
  uint32_t first_at = 0;  // unix seconds; 0: not attempted yet

  // REQUIRES: row <= kRowMax. Attempts saturate at kAttemptsMax.
  static DueRow make(uint32_t segment_ref, uint32_t row, uint32_t attempts, uint32_t due_tick,
                     uint32_t first_at);
  uint32_t row() const { return row_attempts & kRowMax; }
  uint32_t attempts() const { return row_attempts >> kRowBits; }
  friend bool operator==(const DueRow&, const DueRow&) = default;
};
static_assert(sizeof(DueRow) == 16);

class DueQueue {
 public:
  void push(const DueRow& row);
  // The row that falls due first, if its tick is at most `now_tick`.
  std::optional<DueRow> pop_due(uint32_t now_tick);
  // The tick of the first row; nothing when empty.
  std::optional<uint32_t> next_due() const;
  // How many rows are due at `now_tick`, counted no further than `most`: O(most).
  uint32_t count_due(uint32_t now_tick, uint32_t most) const;

  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Bytes taken from the allocator.
  size_t memory_bytes() const;

 private:
  static constexpr uint32_t kFirst = 4;     // rows of the first chunk; each next is twice as long
  static constexpr uint32_t kGrowing = 10;  // so many chunks grow, 4,092 rows in all
  static constexpr uint32_t kConstant = 4'096;  // rows of each chunk after those
  static constexpr uint32_t kGrowingRows = kFirst * ((1U << kGrowing) - 1);

  static uint32_t chunk_rows(size_t chunk);
  DueRow& at(uint32_t index) { return const_cast<DueRow&>(std::as_const(*this).at(index)); }
  const DueRow& at(uint32_t index) const;
  void drop_spare_chunks();

  std::vector<std::unique_ptr<DueRow[]>> chunks_;
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace sluice
