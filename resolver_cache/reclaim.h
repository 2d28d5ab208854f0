// Giving memory back when no reader can see it any more: quiescent-state-based reclamation
// (McKenney and Slingwine 1998; the QSBR flavour of userspace-rcu).
//
// Readers take no lock and store nothing while they read. Instead each announces, between turns of
// its loop, that it holds no pointer ("quiescent"), and says when it goes to sleep ("offline").
// A writer that unlinks a block moves the epoch on and puts the block into limbo with that epoch;
// it is freed once every online reader has announced a state at least as new.
//
// ORDERING, the whole argument:
//   A. unlink happens before the epoch's increment (same thread), which is a seq_cst RMW.
//   B. A reader announces an epoch that it has loaded with acquire, by a release store: its later
//      loads see every unlink up to that epoch, and its earlier reads are over.
//   C. The scan loads announcements with seq_cst, so by B what is freed is seen by nobody.
//   D. A reader that comes online stores its announcement (seq_cst) and then loads the epoch again
//      (seq_cst) until both agree. A scan that still saw it offline precedes that store in the
//      single total order, so the increment precedes the reader's second load, which therefore sees
//      the unlink (A).
//
// THREAD: retire(), reserve() from any thread; a ReaderSlot belongs to one thread.
// OWNERSHIP: what is freed goes back to the arena, which outlives the reclaimer.
// LIMITS: `entries_max` blocks in limbo. At the limit reserve() fails and the caller gives up what
// it wanted to replace. BUGS: one online reader that never announces keeps everything in limbo.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "resolver_cache/arena.h"
#include "resolver_cache/entry.h"
#include "resolver_cache/short_lock.h"

namespace resolver_cache {

class Reclaimer {
 public:
  Reclaimer(uint32_t entries_max, Arena& arena);
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;
  // REQUIRES: no reader is registered. Frees what is in limbo.
  ~Reclaimer();

  // On a cache line of its own, so that announcing costs nobody else.
  struct alignas(64) ReaderSlot {
    std::atomic<uint64_t> seen{kOffline};
  };
  ReaderSlot* add_reader();
  void remove_reader(ReaderSlot* slot);

  // The reader's own thread only.
  void go_online(ReaderSlot& slot);
  void go_offline(ReaderSlot& slot);
  // One load and one comparison when nothing was retired since the last call.
  void announce(ReaderSlot& slot);

  // Takes a place in limbo, so that a following retire() cannot fail. Tries to free when full.
  [[nodiscard]] bool reserve();
  void unreserve() { limbo_count_.fetch_sub(1, std::memory_order_relaxed); }
  // Freed by a later announce(), go_offline() or reserve(). REQUIRES: a reserved place; `entry` is
  // unlinked.
  void retire(Entry* entry);

  uint32_t limbo_count() const { return limbo_count_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint64_t kOffline = UINT64_MAX;
  struct Retired {
    Entry* entry;
    uint64_t epoch;
  };
  void free_unseen(std::unique_lock<ShortLock> lock);
  Retired& limbo_at(uint64_t position) { return limbo_[position & (limbo_.size() - 1)]; }

  const uint32_t entries_max_;
  Arena& arena_;
  alignas(64) std::atomic<uint64_t> epoch_{1};
  alignas(64) std::atomic<uint32_t> limbo_count_{0};
  ShortLock mutex_;  // guards all below
  std::vector<std::unique_ptr<ReaderSlot>> readers_;
  std::vector<Retired> limbo_;  // a ring: positions ascend, and epochs with them
  uint64_t limbo_begin_ = 0;
  uint64_t limbo_end_ = 0;
};

}  // namespace resolver_cache
