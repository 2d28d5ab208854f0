#include "engine/schedule/due_queue.h"

#include <algorithm>
#include <bit>

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr uint32_t kArity = 4;

uint32_t parent_of(uint32_t index) { return (index - 1) / kArity; }
uint64_t first_child_of(uint32_t index) { return static_cast<uint64_t>(index) * kArity + 1; }

}  // namespace

uint32_t TickClock::tick_for(Instant t) const {
  if (t <= start_) return 0;
  // Instants far apart overflow when subtracted; both ends saturate long before.
  if (t > instant_of(UINT32_MAX)) return UINT32_MAX;
  const int64_t ticks = (t - start_ + kTick - Duration(1)) / kTick;
  return static_cast<uint32_t>(std::min<int64_t>(ticks, UINT32_MAX));
}

uint32_t TickClock::tick_at(Instant now) const {
  if (now <= start_) return 0;
  if (now >= instant_of(UINT32_MAX)) return UINT32_MAX;
  return static_cast<uint32_t>((now - start_) / kTick);
}

DueRow DueRow::make(uint32_t segment_ref, uint32_t row, uint32_t attempts, uint32_t due_tick,
                    uint32_t first_at) {
  CHECK(row <= kRowMax);
  const uint32_t kept = std::min(attempts, kAttemptsMax);
  return {segment_ref, row | (kept << kRowBits), due_tick, first_at};
}

uint32_t DueQueue::chunk_rows(size_t chunk) {
  return chunk < kGrowing ? kFirst << chunk : kConstant;
}

const DueRow& DueQueue::at(uint32_t index) const {
  if (index < kGrowingRows) {
    const auto chunk = static_cast<uint32_t>(std::bit_width((index / kFirst + 1) / 2));
    return chunks_[chunk][index - kFirst * ((1U << chunk) - 1)];
  }
  const uint32_t beyond = index - kGrowingRows;
  return chunks_[kGrowing + beyond / kConstant][beyond % kConstant];
}

void DueQueue::push(const DueRow& row) {
  if (size_ == capacity_) {
    const uint32_t rows = chunk_rows(chunks_.size());
    CHECK(capacity_ <= UINT32_MAX - rows);
    chunks_.push_back(std::make_unique<DueRow[]>(rows));
    capacity_ += rows;
  }
  uint32_t hole = size_++;
  while (hole > 0 && row.due_tick < at(parent_of(hole)).due_tick) {
    at(hole) = at(parent_of(hole));
    hole = parent_of(hole);
  }
  at(hole) = row;
}

std::optional<DueRow> DueQueue::pop_due(uint32_t now_tick) {
  if (size_ == 0 || at(0).due_tick > now_tick) return std::nullopt;
  const DueRow first = at(0);
  const DueRow last = at(--size_);
  uint32_t hole = 0;
  while (first_child_of(hole) < size_) {
    const auto begin = static_cast<uint32_t>(first_child_of(hole));
    const uint32_t end = std::min(size_ - begin, kArity) + begin;
    uint32_t least = begin;
    for (uint32_t child = begin + 1; child < end; ++child) {
      if (at(child).due_tick < at(least).due_tick) least = child;
    }
    if (at(least).due_tick >= last.due_tick) break;
    at(hole) = at(least);
    hole = least;
  }
  if (size_ > 0) at(hole) = last;
  drop_spare_chunks();
  return first;
}

std::optional<uint32_t> DueQueue::next_due() const {
  if (size_ == 0) return std::nullopt;
  return at(0).due_tick;
}

uint32_t DueQueue::count_due(uint32_t now_tick, uint32_t most) const {
  // Walks the heap's upper part depth first without a stack: from a row to its first child while
  // rows are due, else to the next sibling, else up.
  if (most == 0 || size_ == 0 || at(0).due_tick > now_tick) return 0;
  uint32_t count = 1;
  uint64_t index = 1;
  while (count < most) {
    if (index < size_ && at(static_cast<uint32_t>(index)).due_tick <= now_tick) {
      ++count;
      index = first_child_of(static_cast<uint32_t>(index));
      continue;
    }
    // The last of four siblings has a number that four divides.
    while (index > 0 && index % kArity == 0) index = (index - 1) / kArity;
    if (index == 0) break;
    ++index;
  }
  return count;
}

void DueQueue::drop_spare_chunks() {
  if (size_ == 0) {
    chunks_.clear();
    chunks_.shrink_to_fit();
    capacity_ = 0;
    return;
  }
  // One spare chunk stays, so that a row coming and going at a border allocates nothing.
  while (chunks_.size() >= 2) {
    const uint32_t last = chunk_rows(chunks_.size() - 1);
    const uint32_t before = chunk_rows(chunks_.size() - 2);
    if (size_ > capacity_ - last - before) return;
    chunks_.pop_back();
    capacity_ -= last;
  }
}

size_t DueQueue::memory_bytes() const {
  return chunks_.capacity() * sizeof chunks_[0] + static_cast<size_t>(capacity_) * sizeof(DueRow);
}

}  // namespace sluice
