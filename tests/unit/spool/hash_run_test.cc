#include "engine/spool/hash_run.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/base/random.h"
#include "engine/spool/hash_filter.h"

namespace sluice {
namespace {

std::vector<Hash128> random_hashes(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<Hash128> hashes;
  for (size_t i = 0; i < count; ++i) hashes.push_back({random.next(), random.next()});
  return hashes;
}

struct Made {
  std::string octets;
  HashRunIndex index;

  std::string_view block(uint64_t number) const {
    return std::string_view(octets).substr(number * kHashBlockBytes, kHashBlockBytes);
  }
  bool contains(const Hash128& hash) const {
    const auto number = index.block_of(hash);
    if (!number) return false;
    const StatusOr<bool> found = hash_block_contains(block(*number), hash);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() && *found;
  }
};

Made make(std::vector<Hash128> hashes, std::string_view meta = "owner") {
  std::sort(hashes.begin(), hashes.end(), hash_less);
  Made made;
  HashRunWriter writer;
  for (const Hash128& hash : hashes) writer.add(hash, made.octets);
  made.index = writer.finish(meta, made.octets);
  return made;
}

StatusOr<HashRunIndex> read_index(std::string_view octets) {
  if (octets.size() < kHashRunFooterBytes) return io_error("short");
  ASSIGN_OR_RETURN(
      const HashRunFooter footer,
      parse_hash_run_footer(octets.substr(octets.size() - kHashRunFooterBytes), octets.size()));
  return HashRunIndex::parse(footer, octets.substr(footer.tail_offset(), footer.tail_bytes()));
}

TEST(HashRun, FindsAllThatIsThereAndNothingElse) {
  for (const size_t count : {size_t{1}, kHashesPerBlock, kHashesPerBlock + 1, size_t{5'000}}) {
    const std::vector<Hash128> hashes = random_hashes(count, count);
    const Made made = make(hashes);
    EXPECT_EQ(made.index.entries(), count);
    for (const Hash128& hash : hashes) ASSERT_TRUE(made.contains(hash));
    for (const Hash128& hash : random_hashes(1'000, 77)) ASSERT_FALSE(made.contains(hash));
    const auto least = *std::min_element(hashes.begin(), hashes.end(), hash_less);
    EXPECT_FALSE(made.contains({least.low - 1, least.high - 1}));
  }
}

TEST(HashRun, EqualFirstHalvesOverSeveralBlocks) {
  std::vector<Hash128> hashes;
  for (uint64_t i = 0; i < 3 * kHashesPerBlock; ++i) hashes.push_back({2 * i, 42});
  const Made made = make(hashes);
  for (const Hash128& hash : hashes) ASSERT_TRUE(made.contains(hash));
  for (uint64_t i = 0; i < 3 * kHashesPerBlock; ++i) ASSERT_FALSE(made.contains({2 * i + 1, 42}));
}

TEST(HashRun, LeavesOutEqualOnes) {
  std::vector<Hash128> hashes = random_hashes(300, 1);
  const std::vector<Hash128> again = hashes;
  hashes.insert(hashes.end(), again.begin(), again.end());
  EXPECT_EQ(make(hashes).index.entries(), 300U);
}

TEST(HashRun, AnEmptyOneIsARun) {
  const Made made = make({});
  EXPECT_EQ(made.index.entries(), 0U);
  EXPECT_FALSE(made.contains({1, 2}));
  const StatusOr<HashRunIndex> index = read_index(made.octets);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ(index->meta(), "owner");
}

TEST(HashRun, IndexComesBackFromTheFile) {
  const std::vector<Hash128> hashes = random_hashes(2'000, 3);
  const Made made = make(hashes, std::string("a\0b", 3));
  const StatusOr<HashRunIndex> index = read_index(made.octets);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ(index->entries(), 2'000U);
  EXPECT_EQ(index->blocks(), made.index.blocks());
  EXPECT_EQ(index->meta(), std::string("a\0b", 3));
  for (const Hash128& hash : hashes) ASSERT_EQ(index->block_of(hash), made.index.block_of(hash));
  std::vector<Hash128> read;
  for (uint64_t block = 0; block < index->blocks(); ++block) {
    ASSERT_TRUE(read_hash_block(made.block(block), read).ok());
  }
  EXPECT_EQ(read.size(), 2'000U);
  EXPECT_TRUE(std::is_sorted(read.begin(), read.end(), hash_less));
}

TEST(HashRun, DamageIsSeen) {
  const Made made = make(random_hashes(600, 4));
  const size_t step = 37;
  for (size_t at = 0; at < made.octets.size(); at += step) {
    Made damaged = made;
    damaged.octets[at] = static_cast<char>(damaged.octets[at] ^ 0x10);
    bool seen = !read_index(damaged.octets).ok();
    for (uint64_t block = 0; block < made.index.blocks(); ++block) {
      std::vector<Hash128> hashes;
      seen = seen || !read_hash_block(damaged.block(block), hashes).ok();
      seen = seen || !hash_block_contains(damaged.block(block), {1, 2}).ok();
    }
    // The footer's last octets mean nothing.
    if (at < made.octets.size() - 8) {
      ASSERT_TRUE(seen) << "octet " << at;
    }
  }
  EXPECT_FALSE(read_index(made.octets.substr(0, made.octets.size() - 1)).ok());
  EXPECT_FALSE(read_index(made.octets.substr(kHashBlockBytes)).ok());
}

TEST(HashFilter, NeverDeniesWhatIsThere) {
  HashFilter filter(10'000, 1UL << 20);
  const std::vector<Hash128> hashes = random_hashes(10'000, 5);
  for (const Hash128& hash : hashes) filter.insert(hash);
  for (const Hash128& hash : hashes) ASSERT_TRUE(filter.may_contain(hash));
}

TEST(HashFilter, IsSizedByItsEntriesAndBounded) {
  EXPECT_EQ(HashFilter(0, 1UL << 20).memory_bytes(), 32U);
  EXPECT_EQ(HashFilter(1'000, 1UL << 20).memory_bytes(), 2'000U / 32 * 32);
  EXPECT_EQ(HashFilter(10'000'000, 1UL << 20).memory_bytes(), 1UL << 20);
  EXPECT_EQ(HashFilter(1'000, 64).memory_bytes(), 64U);
}

double maybe_share(uint64_t entries, size_t bytes) {
  HashFilter filter(entries, bytes);
  for (const Hash128& hash : random_hashes(entries, 6)) filter.insert(hash);
  constexpr size_t kAsked = 100'000;
  size_t maybe = 0;
  for (const Hash128& hash : random_hashes(kAsked, 7)) maybe += filter.may_contain(hash) ? 1 : 0;
  return static_cast<double>(maybe) / kAsked;
}

TEST(HashFilter, IsAsSharpAsItsHeaderSays) {
  EXPECT_LT(maybe_share(100'000, 200'000), 0.003);
  EXPECT_LT(maybe_share(100'000, 125'000), 0.015);
  EXPECT_LT(maybe_share(100'000, 75'000), 0.11);
}

}  // namespace
}  // namespace sluice
