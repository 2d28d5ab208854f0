#include "resolver_cache/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "resolver_cache/cache.h"

namespace resolver_cache {
namespace {

// An arena of that many pages in memory of its own, and what is given out of it.
class Ground {
 public:
  explicit Ground(size_t pages)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(Arena::kPage, pages * Arena::kPage))),
        size_(pages * Arena::kPage),
        arena_(std::make_unique<Arena>(std::span(memory_, size_))) {}
  ~Ground() {
    arena_.reset();
    std::free(memory_);
  }
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  Arena& arena() { return *arena_; }
  // Fills the block with `mark`; false when there is none.
  bool take(size_t bytes, unsigned char mark) {
    void* at = arena_->allocate(bytes);
    if (at == nullptr) return false;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(at) % Arena::kUnit, 0U);
    const auto* begin = static_cast<const std::byte*>(at);
    EXPECT_TRUE(begin >= memory_ && begin + bytes <= memory_ + size_);
    std::memset(at, mark, bytes);
    blocks_.push_back({{at, bytes}, mark});
    return true;
  }
  size_t count() const { return blocks_.size(); }
  // Gives the i-th back, having looked that nobody else wrote to it.
  void give_back(size_t i) {
    const Taken taken = blocks_[i];
    const auto* begin = static_cast<const unsigned char*>(taken.block.at);
    EXPECT_TRUE(std::all_of(begin, begin + taken.block.bytes,
                            [&](unsigned char octet) { return octet == taken.mark; }));
    arena_->release(std::array{taken.block});
    blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  void give_all_back() {
    while (count() > 0) give_back(count() - 1);
  }

 private:
  struct Taken {
    Arena::Block block;
    unsigned char mark;
  };
  std::byte* memory_;
  size_t size_;
  std::unique_ptr<Arena> arena_;
  std::vector<Taken> blocks_;
};

TEST(Arena, FootprintsAreLinesAndBeyondAPagePages) {
  EXPECT_EQ(Arena::footprint(1), 64U);
  EXPECT_EQ(Arena::footprint(64), 64U);
  EXPECT_EQ(Arena::footprint(65), 128U);
  EXPECT_EQ(Arena::footprint(4'096), 4'096U);
  EXPECT_EQ(Arena::footprint(4'097), 8'192U);
  EXPECT_EQ(Arena::footprint(kEntryBytesMax), kEntryBytesMax);
}

TEST(Arena, HoldsExactlyWhatItsMemoryHolds) {
  for (const size_t bytes : {1, 64, 100, 128, 1'000, 2'048, 2'049, 4'096, 4'097, 8'192, 20'480}) {
    constexpr size_t kPages = 10;
    Ground ground(kPages);
    size_t most = kPages * Arena::kPage / Arena::footprint(bytes);
    if (bytes <= Arena::kPage) most = kPages * (Arena::kPage / Arena::footprint(bytes));
    for (int round = 0; round < 3; ++round) {  // what is given back can be taken again
      while (ground.take(bytes, static_cast<unsigned char>(ground.count() % 251))) {
      }
      EXPECT_EQ(ground.count(), most) << bytes;
      ground.give_all_back();
    }
    EXPECT_LE(ground.arena().touched_bytes(), kPages * Arena::kPage);
  }
}

TEST(Arena, MemoryThatIsNotNeededIsNotTouched) {
  Ground ground(100);
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_TRUE(ground.take(128, 1));
    if (ground.count() == 64) ground.give_all_back();
  }
  EXPECT_EQ(ground.arena().touched_bytes(), 2 * Arena::kPage);  // 64 blocks of two lines
}

TEST(Arena, WhatSmallBlocksLeaveLargerOnesMayTake) {
  constexpr size_t kPages = 8;
  Ground ground(kPages);
  while (ground.take(128, 1)) {
  }
  const size_t small = ground.count();
  EXPECT_FALSE(ground.take(64, 2));
  // Two neighbours of four: room for blocks of four lines where there were blocks of two.
  for (size_t i = small; i-- > 0;) {
    if (i % 4 < 2) ground.give_back(i);
  }
  for (size_t i = 0; i < small / 4; ++i) EXPECT_TRUE(ground.take(256, 3)) << i;
  EXPECT_FALSE(ground.take(64, 4));
  ground.give_all_back();
  // Whole pages again: as many blocks of several pages as fit.
  EXPECT_TRUE(ground.take(4 * Arena::kPage, 5));
  EXPECT_TRUE(ground.take(4 * Arena::kPage, 6));
}

TEST(Arena, BlocksNeverOverlapWhateverTheirSizes) {
  Ground ground(64);
  uint64_t state = 1;
  const auto below = [&state](uint64_t bound) {
    state = state * 6'364'136'223'846'793'005ULL + 1'442'695'040'888'963'407ULL;
    return (state >> 33) % bound;
  };
  size_t refused = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (ground.count() > 0 && below(100) < 45) {
      ground.give_back(below(ground.count()));
      continue;
    }
    const uint64_t kind = below(100);
    const uint64_t most = kind < 90 ? 300 : kind < 99 ? 4'096 : kEntryBytesMax;
    if (ground.take(1 + below(most), static_cast<unsigned char>(below(256)))) continue;
    ++refused;
    ground.give_back(below(ground.count()));
  }
  EXPECT_GT(refused, 0U);  // so it was full at times
  ground.give_all_back();
  EXPECT_EQ(ground.arena().touched_bytes(), 64 * Arena::kPage);
}

#if defined(__SANITIZE_ADDRESS__)
TEST(ArenaDeathTest, AddressSanitizerSeesAReadOfWhatWasGivenBack) {
  Ground ground(1);
  Arena& arena = ground.arena();
  auto* block = static_cast<const char*>(arena.allocate(100));
  arena.release(std::array{Arena::Block{const_cast<char*>(block), 100}});
  EXPECT_DEATH(EXPECT_EQ(block[0], 'x'), "use-after-poison");
}

TEST(ArenaDeathTest, AddressSanitizerSeesAReadBeyondTheEnd) {
  Ground ground(1);
  auto* block = static_cast<const char*>(ground.arena().allocate(104));
  std::memset(const_cast<char*>(block), 0, 104);
  EXPECT_EQ(block[103], 0);
  EXPECT_DEATH(EXPECT_EQ(block[104], 0), "use-after-poison");
}
#endif

// The cache's bound is of memory, not of what was asked for.
class CacheMemory : public ::testing::Test {
 protected:
  static constexpr Time kNow = std::chrono::hours(1);
  static constexpr uint64_t kOctets = 1 << 20;
  static CacheOptions narrow() {
    CacheOptions options;
    options.entries_max = 12'000;
    options.bytes_max = kOctets;
    return options;
  }
  bool land(const std::string& name, size_t data_bytes) {
    Answer answer;
    answer.kind = AnswerKind::kPositive;
    answer.ttl = 3'600;
    answer.canonical = name;
    answer.items = {{10, std::string(data_bytes, 'x')}};
    Flight flight = cache_.claim_refresh(name, RecordType::kMx);
    const Landed landed = flight.land(reader_, answer, kNow, 0);
    EXPECT_EQ(landed.entry->name(), name);
    const bool kept = landed.own == nullptr;
    reader_.quiescent();
    return kept;
  }

  Cache cache_{narrow()};
  Reader reader_{cache_};
};

TEST_F(CacheMemory, StaysWithinItsOctetsWhateverTheSizes) {
  const size_t sizes[] = {4, 200, 2'000, 5'000, 20'000, 40, 1'000};
  uint64_t kept = 0;
  uint64_t asked = 0;
  for (const size_t size : sizes) {  // the whole cache changes from one size to the next
    for (int i = 0; i < 9'000; ++i) {
      ++asked;
      kept += land("d" + std::to_string(i) + "-" + std::to_string(size), size);
      ASSERT_LE(cache_.stats().entry_bytes, kOctets);
    }
    EXPECT_GT(cache_.stats().entry_bytes, kOctets * 9 / 10) << size;
  }
  EXPECT_GT(kept, asked * 99 / 100);
  EXPECT_EQ(cache_.stats().inserted, kept);
}

TEST_F(CacheMemory, ManyRefreshesOfDifferentSizesLeaveNothingBehind) {
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_TRUE(land("a.example.com", static_cast<size_t>(i * 37 % 19'000)));
    ASSERT_TRUE(land("b.example.com", static_cast<size_t>(i * 53 % 3'000)));
  }
  EXPECT_EQ(cache_.stats().entries, 2U);
  EXPECT_LE(cache_.stats().entry_bytes, 2 * kEntryBytesMax);
  EXPECT_LE(cache_.stats().limbo, 1U);
}

}  // namespace
}  // namespace resolver_cache
