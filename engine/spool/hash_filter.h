// A filter of 128-bit hashes in memory: says "no" for certain, or "maybe".
//
// Purpose: spares most look-ups on disk. A split block filter (Putze, Sanders and Singler, 2007, as
//   Parquet has it): one block of 32 octets a hash, one bit in each of its eight words.
// Size: 16 bits an entry, at most `bytes_max`. "Maybe" without reason: about 0.13 % at 16 bits,
//   1.3 % at 10, 10 % at 6.
// Ownership: its table. Thread: any number may ask while nobody inserts.
// Errors: none. Limits: none of its own; more entries than announced only make it less sharp.
// BUGS: nothing can be taken out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "engine/spool/sip_hash.h"

namespace sluice {

class HashFilter {
 public:
  HashFilter(uint64_t entries, size_t bytes_max);

  void insert(const Hash128& hash);
  bool may_contain(const Hash128& hash) const;
  size_t memory_bytes() const { return blocks_ * kBlockBytes; }

 private:
  static constexpr size_t kWords = 8;
  static constexpr size_t kBlockBytes = kWords * sizeof(uint32_t);
  struct Free {
    void operator()(uint32_t* words) const { std::free(words); }
  };

  size_t first_word(const Hash128& hash) const;

  uint64_t blocks_;
  std::unique_ptr<uint32_t[], Free> words_;
};

}  // namespace sluice
