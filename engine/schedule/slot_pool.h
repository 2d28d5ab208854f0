// Slots that are handed out and come back, and an index that finds them again.
//
// PURPOSE. What a queue of thousands of small records is built from: records are named by number,
// linked by number, and take no allocation each.
// OWNERSHIP. A pool owns its slots; a slot's address stays while it is in use. All memory goes back
// to the allocator when the last slot does; before that none does.
// THREAD. One at a time.
// ERRORS. None; a number of a slot that is not in use is the caller's mistake and not noticed.
// LIMITS. 2^32 - 1 slots. A pool grows by chunks of kFirst, twice that, ... 4,096 slots, so that a
// single record costs little and a million are never copied.
// BUGS. A pool that held a million and holds one keeps the memory of a million.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice {

inline constexpr uint32_t kNoSlot = UINT32_MAX;

// T is default-constructible, move-assignable, and has a `uint32_t next`, which is the pool's while
// the slot is free.
template <typename T, uint32_t kFirst>
class SlotPool {
 public:
  T& operator[](uint32_t slot) {
    const Where where = where_is(slot);
    return chunks_[where.chunk][where.place];
  }
  const T& operator[](uint32_t slot) const {
    const Where where = where_is(slot);
    return chunks_[where.chunk][where.place];
  }

  uint32_t make() {
    ++size_;
    if (free_ != kNoSlot) {
      const uint32_t slot = free_;
      free_ = (*this)[slot].next;
      (*this)[slot] = T{};
      return slot;
    }
    if (made_ == capacity_) {
      const uint32_t rows = chunk_slots(chunks_.size());
      chunks_.push_back(std::make_unique<T[]>(rows));
      capacity_ += rows;
    }
    return made_++;
  }

  void erase(uint32_t slot) {
    if (--size_ == 0) {
      chunks_.clear();
      chunks_.shrink_to_fit();
      made_ = capacity_ = 0;
      free_ = kNoSlot;
      return;
    }
    (*this)[slot] = T{};
    (*this)[slot].next = free_;
    free_ = slot;
  }

  uint32_t size() const { return size_; }
  // Slots from 0 on that may be in use; those that are not hold a T{} but for its `next`.
  uint32_t slots() const { return made_; }
  size_t memory_bytes() const {
    return chunks_.capacity() * sizeof chunks_[0] + size_t{capacity_} * sizeof(T);
  }

 private:
  static_assert(std::has_single_bit(kFirst) && kFirst <= 4'096);
  static constexpr uint32_t kConstant = 4'096;  // slots of each chunk after the growing ones
  static constexpr uint32_t kGrowing = static_cast<uint32_t>(std::countr_zero(kConstant / kFirst));
  static constexpr uint32_t kGrowingSlots = kFirst * ((1U << kGrowing) - 1);
  struct Where {
    uint32_t chunk;
    uint32_t place;
  };

  static uint32_t chunk_slots(size_t chunk) {
    return chunk < kGrowing ? kFirst << chunk : kConstant;
  }
  static Where where_is(uint32_t slot) {
    if (slot >= kGrowingSlots) {
      const uint32_t beyond = slot - kGrowingSlots;
      return {kGrowing + beyond / kConstant, beyond % kConstant};
    }
    const auto chunk = static_cast<uint32_t>(std::bit_width(slot / kFirst + 1)) - 1;
    return {chunk, slot - kFirst * ((1U << chunk) - 1)};
  }

  std::vector<std::unique_ptr<T[]>> chunks_;
  uint32_t made_ = 0;  // slots from here on were never used
  uint32_t capacity_ = 0;
  uint32_t size_ = 0;
  uint32_t free_ = kNoSlot;
};

// Finds slots by what they hold: a hash table of their numbers alone, 4 octets each and between a
// third and two times that of empty places. Linear probing; erasing leaves no gravestones. Never
// iterated, so that nothing depends on the order within.
class SlotIndex {
 public:
  // The slot of this hash for which same(slot) is true; kNoSlot when there is none.
  template <typename Same>
  uint32_t find(uint64_t hash, const Same& same) const {
    if (places_.empty()) return kNoSlot;
    for (size_t at = hash & mask(); places_[at] != kNoSlot; at = (at + 1) & mask()) {
      if (same(places_[at])) return places_[at];
    }
    return kNoSlot;
  }

  // hash_of(slot) is to give, for every slot in the index, the hash that find() is asked with.
  template <typename HashOf>
  void insert(uint32_t slot, const HashOf& hash_of) {
    if ((size_t{count_} + 1) * 4 > places_.size() * 3) {
      std::vector<uint32_t> before(places_.empty() ? 4 : places_.size() * 2, kNoSlot);
      before.swap(places_);
      for (const uint32_t known : before) {
        if (known != kNoSlot) place(known, hash_of(known));
      }
    }
    place(slot, hash_of(slot));
    ++count_;
  }

  // REQUIRES: the slot is in the index and still holds what it was found by.
  template <typename HashOf>
  void erase(uint32_t slot, const HashOf& hash_of) {
    if (--count_ == 0) {
      places_.clear();
      places_.shrink_to_fit();
      return;
    }
    size_t hole = hash_of(slot) & mask();
    while (places_[hole] != slot) hole = (hole + 1) & mask();
    for (size_t at = (hole + 1) & mask(); places_[at] != kNoSlot; at = (at + 1) & mask()) {
      // Who lies behind the hole as seen from home may move into it.
      const size_t home = hash_of(places_[at]) & mask();
      if (((at - home) & mask()) < ((at - hole) & mask())) continue;
      places_[hole] = places_[at];
      hole = at;
    }
    places_[hole] = kNoSlot;
  }

  size_t memory_bytes() const { return places_.capacity() * sizeof(uint32_t); }

 private:
  size_t mask() const { return places_.size() - 1; }
  void place(uint32_t slot, uint64_t hash) {
    size_t at = hash & mask();
    while (places_[at] != kNoSlot) at = (at + 1) & mask();
    places_[at] = slot;
  }

  std::vector<uint32_t> places_;  // a power of two of them
  uint32_t count_ = 0;
};

// Spreads what is not a hash yet.
inline uint64_t hash_of_pair(uint64_t a, uint64_t b) {
  uint64_t z = a + b * 0x9E3779B97F4A7C15ULL;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

}  // namespace sluice
