#include "resolver_cache/name_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "resolver_cache/cache.h"

namespace resolver_cache {
namespace {

TEST(NameHash, WordsDifferWhereverNamesOfOneSizeDo) {
  for (size_t size = 1; size <= kNameWordsBytes; ++size) {
    const std::string name(size, 'a');
    const NameWords words = NameWords::of(name.data(), size);
    for (size_t at = 0; at < size; ++at) {
      std::string other = name;
      other[at] = 'b';
      EXPECT_FALSE(words.equals(NameWords::of(other.data(), size))) << size << " " << at;
      EXPECT_NE(hash_name(0, name, RecordType::kA), hash_name(0, other, RecordType::kA));
    }
    EXPECT_TRUE(words.equals(NameWords::of(std::string(name).data(), size)));
  }
}

TEST(NameHash, DependsOnTypeSizeSeedAndEveryOctet) {
  std::set<uint64_t> seen;
  size_t count = 0;
  for (const uint64_t seed : {0, 1}) {
    for (const RecordType type : {RecordType::kA, RecordType::kMx}) {
      for (size_t size = 0; size <= 255; ++size) {
        std::string name(size, 'a');
        seen.insert(hash_name(seed, name, type));
        ++count;
        for (size_t at = 0; at < size; at += 7) {
          name[at] = 'b';
          seen.insert(hash_name(seed, name, type));
          ++count;
          name[at] = 'a';
        }
      }
    }
  }
  EXPECT_EQ(seen.size(), count);
}

// A cache asks for names by their low bits and tells them apart by the high ones.
TEST(NameHash, LowAndHighBitsAreSpreadEvenly) {
  constexpr size_t kCells = 1'024;
  constexpr size_t kNames = 64 * kCells;
  std::vector<int> low(kCells);
  std::vector<int> high(kCells);
  for (size_t i = 0; i < kNames; ++i) {
    const uint64_t hash = hash_name(7, "domain-" + std::to_string(i) + ".com", RecordType::kMx);
    ++low[hash % kCells];
    ++high[hash >> 54];
  }
  // 64 a cell with a deviation of 8: six of them.
  for (size_t cell = 0; cell < kCells; ++cell) {
    EXPECT_NEAR(low[cell], 64, 48) << cell;
    EXPECT_NEAR(high[cell], 64, 48) << cell;
  }
}

TEST(NameHash, TheCacheTellsNamesOfEverySizeApart) {
  CacheOptions options;
  options.entries_max = 4'096;
  Cache cache(options);
  Reader reader(cache);
  constexpr Time kNow = std::chrono::hours(1);
  std::vector<std::string> names;
  for (size_t size = 1; size <= 253; ++size) {
    for (const size_t at : {size_t{0}, size / 2, size - 1}) {
      std::string name(size, 'a');
      name[at] = at == 0 ? 'b' : at == size - 1 ? 'c' : 'd';
      if (names.empty() || names.back() != name) names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    Answer answer;
    answer.kind = AnswerKind::kPositive;
    answer.ttl = 3'600;
    answer.canonical = name;
    answer.items = {{10, "mx." + name}};
    Flight flight = cache.claim_refresh(name, RecordType::kMx);
    ASSERT_TRUE(flight);
    static_cast<void>(flight.land(reader, answer, kNow, 0));
  }
  size_t found = 0;
  for (const std::string& name : names) {
    const Entry* entry = cache.find(reader, name, RecordType::kMx, kNow).entry;
    if (entry == nullptr) continue;
    ++found;
    EXPECT_EQ(entry->name(), name);
    entry->for_each_item([&](const ItemView& item) { EXPECT_EQ(item.data, "mx." + name); });
    EXPECT_EQ(cache.find(reader, name, RecordType::kA, kNow).entry, nullptr);
  }
  EXPECT_GE(found, names.size() * 99 / 100);
}

}  // namespace
}  // namespace resolver_cache
