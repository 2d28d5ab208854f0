#include "resolver_cache/arena.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <utility>

#include "absl/base/macros.h"

#if defined(__SANITIZE_ADDRESS__)
#define RESOLVER_CACHE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RESOLVER_CACHE_ASAN 1
#endif
#endif

#ifdef RESOLVER_CACHE_ASAN
// Of the sanitizer's interface.
extern "C" void __asan_poison_memory_region(const void*, size_t);    // NOLINT
extern "C" void __asan_unpoison_memory_region(const void*, size_t);  // NOLINT
#endif

namespace resolver_cache {
namespace {

// AddressSanitizer tells who touches what is forbidden.
void forbid([[maybe_unused]] const void* at, [[maybe_unused]] size_t bytes) {
#ifdef RESOLVER_CACHE_ASAN
  __asan_poison_memory_region(at, bytes);
#endif
}
void permit([[maybe_unused]] const void* at, [[maybe_unused]] size_t bytes) {
#ifdef RESOLVER_CACHE_ASAN
  __asan_unpoison_memory_region(at, bytes);
#endif
}

// The places where a run of `length` set bits begins.
uint64_t run_starts(uint64_t bits, uint32_t length) {
  for (uint32_t have = 1; have < length;) {
    const uint32_t step = std::min(have, length - have);
    bits &= bits >> step;
    have += step;
  }
  return bits;
}

uint32_t longest_run(uint64_t bits) {
  if (bits == 0) return 0;
  if (bits == UINT64_MAX) return 64;
  // doubled[k]: where a run of 2^k begins.
  std::array<uint64_t, 6> doubled{bits};
  size_t level = 0;
  while (level + 1 < doubled.size()) {
    const uint64_t next = doubled[level] & doubled[level] >> (1U << level);
    if (next == 0) break;
    doubled[++level] = next;
  }
  uint32_t length = 1U << level;
  uint64_t starts = doubled[level];
  while (level-- > 0) {
    const uint64_t longer = starts & doubled[level] >> length;
    if (longer == 0) continue;
    starts = longer;
    length += 1U << level;
  }
  return length;
}

uint64_t mask_of(uint32_t units) { return units == 64 ? UINT64_MAX : (uint64_t{1} << units) - 1; }

}  // namespace

Arena::Arena(std::span<std::byte> memory)
    : memory_(memory),
      page_count_(
          static_cast<uint32_t>(std::min<size_t>(memory.size() / kPage, size_t{UINT32_MAX} - 1))),
      pages_(std::make_unique_for_overwrite<Page[]>(page_count_)) {
  ABSL_HARDENING_ASSERT(reinterpret_cast<uintptr_t>(memory.data()) % kPage == 0);
  first_.fill(kNone);
}

Arena::~Arena() { permit(memory_.data(), size_t{opened_} * kPage); }

size_t Arena::touched_bytes() const {
  const std::lock_guard<ShortLock> lock(mutex_);
  return size_t{opened_} * kPage;
}

void Arena::set_free(uint32_t number, uint64_t free) {
  Page& page = pages_[number];
  page.free = free;
  const uint32_t run = longest_run(free);
  if (run == page.run) return;
  if (page.run != 0) {
    if (page.next != kNone) pages_[page.next].previous = page.previous;
    uint32_t& from = page.previous != kNone ? pages_[page.previous].next : first_[page.run - 1];
    from = page.next;
    if (first_[page.run - 1] == kNone) lists_ &= ~(uint64_t{1} << (page.run - 1));
  }
  page.run = run;
  if (run == 0) return;
  page.previous = kNone;
  page.next = std::exchange(first_[run - 1], number);
  if (page.next != kNone) pages_[page.next].previous = number;
  lists_ |= uint64_t{1} << (run - 1);
}

// `count` pages that were never used, in no list; the first of them.
uint32_t Arena::open_pages(uint32_t count) {
  if (page_count_ - opened_ < count) return kNone;
  const uint32_t first = opened_;
  opened_ += count;
  for (uint32_t i = first; i < opened_; ++i) pages_[i] = {0, kNone, kNone, 0};
  forbid(address_of(first), count * kPage);
  return first;
}

// The first of `count` free pages in a row that were used before, at the begin of their row: what
// is left of it stays in one piece.
uint32_t Arena::find_row(uint32_t count) const {
  constexpr int kTries = 64;
  const auto is_free = [this](uint32_t page) { return pages_[page].free == kAllFree; };
  uint32_t page = first_[63];
  for (int i = 0; i < kTries && page != kNone; ++i, page = pages_[page].next) {
    uint32_t begin = page;
    while (begin > 0 && page - begin < kTries && is_free(begin - 1)) --begin;
    uint32_t end = begin;
    while (end < opened_ && end - begin < count && is_free(end)) ++end;
    if (end - begin == count) return begin;
  }
  return kNone;
}

void* Arena::allocate_pages(size_t bytes) {
  const auto count = static_cast<uint32_t>(footprint(bytes) / kPage);
  uint32_t first = find_row(count);
  if (first == kNone) first = open_pages(count);
  if (first == kNone) return nullptr;
  for (uint32_t i = first; i < first + count; ++i) set_free(i, 0);
  return address_of(first);
}

void* Arena::allocate(size_t bytes) {
  void* block = nullptr;
  {
    const std::lock_guard<ShortLock> lock(mutex_);
    if (bytes > kPage) {
      block = allocate_pages(bytes);
    } else {
      const auto units = static_cast<uint32_t>(footprint(bytes) / kUnit);
      const uint64_t fitting = lists_ >> (units - 1) << (units - 1);
      uint32_t page = kNone;
      uint64_t free = kAllFree;
      if (fitting != 0) {
        page = first_[static_cast<size_t>(std::countr_zero(fitting))];
        free = pages_[page].free;
      } else {
        page = open_pages(1);
      }
      if (page != kNone) {
        const int at = std::countr_zero(run_starts(free, units));
        set_free(page, free & ~(mask_of(units) << at));
        block = address_of(page) + static_cast<size_t>(at) * kUnit;
      }
    }
  }
  if (block != nullptr) permit(block, bytes);
  return block;
}

void Arena::release_one(const Block& block) {
  const auto offset = static_cast<size_t>(static_cast<std::byte*>(block.at) - memory_.data());
  const auto page = static_cast<uint32_t>(offset / kPage);
  if (block.bytes > kPage) {
    const auto count = static_cast<uint32_t>(footprint(block.bytes) / kPage);
    for (uint32_t i = page; i < page + count; ++i) set_free(i, kAllFree);
    return;
  }
  const uint64_t mask = mask_of(static_cast<uint32_t>(footprint(block.bytes) / kUnit))
                        << (offset % kPage / kUnit);
  ABSL_HARDENING_ASSERT((pages_[page].free & mask) == 0);
  set_free(page, pages_[page].free | mask);
}

void Arena::release(std::span<const Block> blocks) {
  for (const Block& block : blocks) forbid(block.at, footprint(block.bytes));
  const std::lock_guard<ShortLock> lock(mutex_);
  for (const Block& block : blocks) release_one(block);
}

}  // namespace resolver_cache
