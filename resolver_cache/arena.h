// The memory of a cache's entries: one range of addresses, given out in units of a cache line.
//
// PURPOSE. The general allocator spreads entries over small pages: at a million of them each
// look-up misses the TLB as well as the cache. Here they lie side by side in memory that may be
// huge pages, each block begins on a line, and the whole is bounded by construction.
//
// HOW. Pages of 64 units; a page's free units are the bits of one word kept apart from the memory,
// so giving a block back touches none of it. Pages are listed by their longest free run, a block
// comes from the one that it fits tightest, and what is freed side by side is one run again: no
// size has memory of its own that others could not use. A block of more than a page is pages in a
// row. Pages are used for the first time in order, so memory that was never needed is never
// touched.
//
// OWNERSHIP. The memory is the maker's and outlives the arena; so does what is in the blocks.
// THREAD. Any; one lock. ERRORS. nullptr when nothing that large is free.
// LIMITS. 2^32 - 1 pages. Looking for several free pages in a row gives up after a few tries.
// BUGS. Memory once touched stays the process's until the arena's owner gives the range back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "resolver_cache/short_lock.h"

namespace resolver_cache {

class Arena {
 public:
  static constexpr size_t kUnit = 64;
  static constexpr size_t kPage = 64 * kUnit;

  struct Block {
    void* at = nullptr;
    size_t bytes = 0;  // as asked for
  };

  // REQUIRES: memory begins on a page's boundary; octets behind its last whole page are not used.
  explicit Arena(std::span<std::byte> memory);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // What a block of that many octets takes.
  static constexpr size_t footprint(size_t bytes) {
    const size_t grain = bytes > kPage ? kPage : kUnit;
    return (bytes + grain - 1) / grain * grain;
  }

  // REQUIRES: bytes > 0.
  [[nodiscard]] void* allocate(size_t bytes);
  // In one go: the lock is taken once.
  void release(std::span<const Block> blocks);

  // Octets from the start on that were ever in use, by whole pages.
  size_t touched_bytes() const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint64_t kAllFree = UINT64_MAX;
  struct Page {
    uint64_t free;  // a bit a unit
    uint32_t next;
    uint32_t previous;
    uint32_t run;  // the longest free one, and so the list it is in; 0: none
  };

  std::byte* address_of(uint32_t page) const { return memory_.data() + size_t{page} * kPage; }
  void set_free(uint32_t page, uint64_t free);
  uint32_t open_pages(uint32_t count);
  uint32_t find_row(uint32_t count) const;
  void* allocate_pages(size_t bytes);
  void release_one(const Block& block);

  const std::span<std::byte> memory_;
  const uint32_t page_count_;
  mutable ShortLock mutex_;              // guards all below
  const std::unique_ptr<Page[]> pages_;  // set up as they are opened
  uint32_t opened_ = 0;                  // pages from the start that were ever used
  std::array<uint32_t, 64> first_{};     // of the list of run r: first_[r - 1]
  uint64_t lists_ = 0;                   // bit r - 1: that list has pages
};

}  // namespace resolver_cache
