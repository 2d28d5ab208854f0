// Which shards wait for something that all share: one bit each.
//
// THREAD. Any; each call is a few sequentially consistent operations. Whoever waits sets its bit
//   and then tries once more; whoever gives something back does so and then looks for a bit: one of
//   the two sees the other, so that nobody waits beside what is free.
// LIMITS. 256 shards; a number beyond is a CHECK.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "engine/base/check.h"

namespace sluice {

class ShardSet {
 public:
  static constexpr uint32_t kShardsMax = 256;

  void set(uint32_t shard) { word(shard).fetch_or(bit(shard)); }
  void clear(uint32_t shard) { word(shard).fetch_and(~bit(shard)); }
  bool contains(uint32_t shard) const {
    CHECK(shard < kShardsMax);
    return (words_[shard / kBits].load() & bit(shard)) != 0;
  }

  // Whether a shard other than this one is in it.
  bool any_but(uint32_t shard) const {
    const std::optional<uint32_t> next = next_after(shard);
    return next && *next != shard;
  }
  // The first one after `shard`, going round: `shard` itself comes last.
  std::optional<uint32_t> next_after(uint32_t shard) const {
    CHECK(shard < kShardsMax);
    const size_t own = shard / kBits;
    const uint64_t above = ~uint64_t{0} << (shard % kBits) << 1;
    for (size_t step = 0; step <= kWords; ++step) {
      const size_t at = (own + step) % kWords;
      uint64_t bits = words_[at].load();
      if (step == 0) bits &= above;
      if (step == kWords) bits &= ~above;
      if (bits != 0) return static_cast<uint32_t>(at * kBits + std::countr_zero(bits));
    }
    return std::nullopt;
  }
  uint32_t count() const {
    int sum = 0;
    for (const std::atomic<uint64_t>& bits : words_) sum += std::popcount(bits.load());
    return static_cast<uint32_t>(sum);
  }

 private:
  static constexpr size_t kBits = 64;
  static constexpr size_t kWords = kShardsMax / kBits;

  static uint64_t bit(uint32_t shard) { return uint64_t{1} << (shard % kBits); }
  std::atomic<uint64_t>& word(uint32_t shard) {
    CHECK(shard < kShardsMax);
    return words_[shard / kBits];
  }

  std::array<std::atomic<uint64_t>, kWords> words_{};
};

}  // namespace sluice
