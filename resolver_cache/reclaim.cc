#include "resolver_cache/reclaim.h"

#include <algorithm>

#include "absl/base/macros.h"

namespace resolver_cache {

Reclaimer::~Reclaimer() {
  ABSL_HARDENING_ASSERT(readers_.empty());
  for (const Retired& retired : limbo_) Entry::destroy(retired.entry);
}

Reclaimer::ReaderSlot* Reclaimer::add_reader() {
  const std::lock_guard<std::mutex> lock(mutex_);
  readers_.push_back(std::make_unique<ReaderSlot>());
  return readers_.back().get();
}

void Reclaimer::remove_reader(ReaderSlot* slot) {
  const std::lock_guard<std::mutex> lock(mutex_);
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
  std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (lock.owns_lock()) free_unseen(std::move(lock));
}

void Reclaimer::announce(ReaderSlot& slot) {
  const uint64_t epoch = epoch_.load(std::memory_order_acquire);
  if (slot.seen.load(std::memory_order_relaxed) == epoch) return;
  slot.seen.store(epoch, std::memory_order_release);
  std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
  if (lock.owns_lock()) free_unseen(std::move(lock));
}

bool Reclaimer::reserve() {
  if (limbo_count_.fetch_add(1, std::memory_order_relaxed) < entries_max_) return true;
  free_unseen(std::unique_lock<std::mutex>(mutex_));
  if (limbo_count() <= entries_max_) return true;
  unreserve();
  return false;
}

void Reclaimer::retire(Entry* entry) {
  std::unique_lock<std::mutex> lock(mutex_);
  const uint64_t epoch = epoch_.fetch_add(1, std::memory_order_seq_cst) + 1;
  limbo_.push_back({entry, epoch});
  free_unseen(std::move(lock));
}

void Reclaimer::free_unseen(std::unique_lock<std::mutex> lock) {
  constexpr size_t kBatch = 64;  // freed outside the lock, the rest at the next call
  uint64_t oldest = UINT64_MAX;  // offline readers count as newest
  for (const std::unique_ptr<ReaderSlot>& slot : readers_) {
    oldest = std::min(oldest, slot->seen.load(std::memory_order_seq_cst));
  }
  Entry* freed[kBatch];
  size_t count = 0;
  while (count < kBatch && !limbo_.empty() && limbo_.front().epoch <= oldest) {
    freed[count++] = limbo_.front().entry;
    limbo_.pop_front();
  }
  lock.unlock();
  for (size_t i = 0; i < count; ++i) Entry::destroy(freed[i]);
  limbo_count_.fetch_sub(static_cast<uint32_t>(count), std::memory_order_relaxed);
}

}  // namespace resolver_cache
