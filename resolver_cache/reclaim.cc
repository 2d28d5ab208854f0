#include "resolver_cache/reclaim.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "absl/base/macros.h"

namespace resolver_cache {

Reclaimer::Reclaimer(uint32_t entries_max, Arena& arena)
    : entries_max_(entries_max),
      arena_(arena),
      limbo_(std::bit_ceil(std::max<size_t>(1, entries_max))) {}

Reclaimer::~Reclaimer() { ABSL_HARDENING_ASSERT(readers_.empty()); }

Reclaimer::ReaderSlot* Reclaimer::add_reader() {
  const std::lock_guard<ShortLock> lock(mutex_);
  readers_.push_back(std::make_unique<ReaderSlot>());
  return readers_.back().get();
}

void Reclaimer::remove_reader(ReaderSlot* slot) {
  const std::lock_guard<ShortLock> lock(mutex_);
  const auto is_it = [slot](const std::unique_ptr<ReaderSlot>& s) { return s.get() == slot; };
  readers_.erase(std::remove_if(readers_.begin(), readers_.end(), is_it), readers_.end());
}

void Reclaimer::go_online(ReaderSlot& slot) {
  uint64_t epoch = epoch_.load(std::memory_order_seq_cst);
  for (;;) {
    slot.seen.store(epoch, std::memory_order_seq_cst);
    const uint64_t again = epoch_.load(std::memory_order_seq_cst);
    if (again == epoch) return;
    epoch = again;
  }
}

void Reclaimer::go_offline(ReaderSlot& slot) {
  slot.seen.store(kOffline, std::memory_order_release);
  if (limbo_count() == 0) return;
  std::unique_lock<ShortLock> lock(mutex_, std::try_to_lock);
  if (lock.owns_lock()) free_unseen(std::move(lock));
}

void Reclaimer::announce(ReaderSlot& slot) {
  const uint64_t epoch = epoch_.load(std::memory_order_acquire);
  if (slot.seen.load(std::memory_order_relaxed) == epoch) return;
  slot.seen.store(epoch, std::memory_order_release);
  std::unique_lock<ShortLock> lock(mutex_, std::try_to_lock);
  if (lock.owns_lock()) free_unseen(std::move(lock));
}

bool Reclaimer::reserve() {
  if (limbo_count_.fetch_add(1, std::memory_order_relaxed) < entries_max_) return true;
  free_unseen(std::unique_lock<ShortLock>(mutex_));
  if (limbo_count() <= entries_max_) return true;
  unreserve();
  return false;
}

void Reclaimer::retire(Entry* entry) {
  const std::lock_guard<ShortLock> lock(mutex_);
  const uint64_t epoch = epoch_.fetch_add(1, std::memory_order_seq_cst) + 1;
  limbo_at(limbo_end_++) = {entry, epoch};
}

void Reclaimer::free_unseen(std::unique_lock<ShortLock> lock) {
  constexpr size_t kBatch = 64;  // freed outside the lock, the rest at the next call
  uint64_t oldest = UINT64_MAX;  // offline readers count as newest
  for (const std::unique_ptr<ReaderSlot>& slot : readers_) {
    oldest = std::min(oldest, slot->seen.load(std::memory_order_seq_cst));
  }
  std::array<Entry*, kBatch> freed;
  size_t count = 0;
  while (count < kBatch && limbo_begin_ != limbo_end_ && limbo_at(limbo_begin_).epoch <= oldest) {
    freed[count++] = limbo_at(limbo_begin_++).entry;
  }
  lock.unlock();
  if (count == 0) return;
  std::array<Arena::Block, kBatch> blocks;
  for (size_t i = 0; i < count; ++i) {
    blocks[i] = {freed[i], freed[i]->bytes()};
    Entry::end(freed[i]);
  }
  arena_.release(std::span(blocks).first(count));
  limbo_count_.fetch_sub(static_cast<uint32_t>(count), std::memory_order_relaxed);
}

}  // namespace resolver_cache
