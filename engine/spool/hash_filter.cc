#include "engine/spool/hash_filter.h"

#include <algorithm>
#include <array>

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr uint64_t kBytesPerEntry = 2;

// Odd numbers, one a word: the high bits of a product choose the bit.
constexpr std::array<uint32_t, 8> kSalts = {0x47b6137bU, 0x44974d91U, 0x8824ad5bU, 0xa2b7289dU,
                                            0x705495c7U, 0x2df1424bU, 0x9efc4947U, 0x5c6bfb31U};

uint32_t bit_of(uint32_t chooser, size_t word) { return 1U << ((chooser * kSalts[word]) >> 27); }

}  // namespace

HashFilter::HashFilter(uint64_t entries, size_t bytes_max)
    : blocks_(std::max<uint64_t>(
          std::min<uint64_t>(entries * kBytesPerEntry, bytes_max) / kBlockBytes, 1)) {
  // calloc: a large table costs pages only as they are touched.
  words_.reset(static_cast<uint32_t*>(std::calloc(blocks_ * kWords, sizeof(uint32_t))));
  CHECK(words_ != nullptr);
}

size_t HashFilter::first_word(const Hash128& hash) const {
  __extension__ using Wide = unsigned __int128;
  return static_cast<size_t>((static_cast<Wide>(hash.low) * blocks_) >> 64) * kWords;
}

void HashFilter::insert(const Hash128& hash) {
  uint32_t* words = &words_[first_word(hash)];
  const auto chooser = static_cast<uint32_t>(hash.high);
  for (size_t i = 0; i < kWords; ++i) words[i] |= bit_of(chooser, i);
}

bool HashFilter::may_contain(const Hash128& hash) const {
  const uint32_t* words = &words_[first_word(hash)];
  const auto chooser = static_cast<uint32_t>(hash.high);
  for (size_t i = 0; i < kWords; ++i) {
    if ((words[i] & bit_of(chooser, i)) == 0) return false;
  }
  return true;
}

}  // namespace sluice
