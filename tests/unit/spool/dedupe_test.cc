#include "engine/spool/dedupe.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <unordered_set>

#include "engine/base/digest.h"
#include "engine/base/random.h"
#include "engine/model/limits.h"

namespace sluice {
namespace {

std::string hex(const Hash128& hash) {
  std::string octets(16, '\0');
  std::memcpy(octets.data(), &hash.low, 8);
  std::memcpy(octets.data() + 8, &hash.high, 8);
  return to_hex(octets);
}

TEST(SipHashTest, AgreesWithTheReference) {
  // Key 00 01 ... 0f, messages "", 00, 00 01, ... (the authors' vectors for 128 bits).
  const SipKey key{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
  EXPECT_EQ(hex(sip_hash_128(key, "")), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(hex(sip_hash_128(key, std::string(1, '\0'))), "da87c1d86b99af44347659119b22fc45");
  EXPECT_EQ(hex(sip_hash_128(key, std::string("\0\1", 2))), "8177228da4a45dc7fca38bdef60affe4");
}

TEST(SipHashTest, EveryOctetAndTheKeyMatter) {
  const std::string text = "somebody.else@example.com";
  const Hash128 plain = sip_hash_128({1, 2}, text);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string other = text;
    other[i] ^= 1;
    EXPECT_FALSE(sip_hash_128({1, 2}, other) == plain);
    EXPECT_FALSE(sip_hash_128({1, 2}, text.substr(0, i)) == plain);
  }
  EXPECT_FALSE(sip_hash_128({1, 3}, text) == plain);
  EXPECT_FALSE(sip_hash_128({0, 2}, text) == plain);
}

TEST(DedupeSetTest, FindsDuplicatesWhileItGrows) {
  DedupeSet set(100'000, {7, 9});
  std::unordered_set<std::string> model;
  Random random(1);
  size_t bytes_before = set.memory_bytes();
  for (int i = 0; i < 150'000; ++i) {
    const std::string address = "user" + std::to_string(random.below(60'000)) + "@example.com";
    ASSERT_EQ(set.contains(address), model.count(address) == 1);
    ASSERT_EQ(set.insert(address), model.insert(address).second);
    ASSERT_TRUE(set.contains(address));
    // Old and new table together: at most one and a half times the new one.
    ASSERT_LE(set.memory_bytes(), std::max<size_t>(bytes_before * 3, 16 * 125'002 * 3 / 2 + 1024));
    bytes_before = set.memory_bytes();
  }
  EXPECT_EQ(set.size(), model.size());
  EXPECT_FALSE(set.saturated());
  EXPECT_LE(set.memory_bytes(), 16 * 125'002UL * 3 / 2 + 1024);  // sizes are rounded up
}

TEST(DedupeSetTest, KeepsLocalPartsApartByOctet) {
  DedupeSet set(100, {7, 9});
  EXPECT_TRUE(set.insert("Ann@example.com"));
  EXPECT_TRUE(set.insert("ann@example.com"));
  EXPECT_FALSE(set.insert("Ann@example.com"));
}

TEST(DedupeSetTest, ForgetsNothingAndTakesNothingMoreWhenFull) {
  const uint64_t entries_max = Limits::tiny().dedupe_entries_max;
  DedupeSet set(entries_max, {1, 1});
  for (uint64_t i = 0; i < entries_max; ++i) EXPECT_TRUE(set.insert(std::to_string(i) + "@x"));
  EXPECT_FALSE(set.saturated());
  EXPECT_FALSE(set.insert("0@x"));
  EXPECT_FALSE(set.saturated());
  EXPECT_TRUE(set.insert("new@x"));
  EXPECT_TRUE(set.saturated());
  EXPECT_TRUE(set.insert("new@x"));  // not remembered
  for (uint64_t i = 0; i < entries_max; ++i) EXPECT_FALSE(set.insert(std::to_string(i) + "@x"));
  EXPECT_EQ(set.size(), entries_max);
}

TEST(DedupeSetTest, WorksAtEveryLimit) {
  for (uint64_t entries_max = 1; entries_max < 3000; entries_max = entries_max * 2 + 1) {
    DedupeSet set(entries_max, {3, 4});
    for (uint64_t i = 0; i < entries_max; ++i) ASSERT_TRUE(set.insert(std::to_string(i)));
    for (uint64_t i = 0; i < entries_max; ++i) ASSERT_FALSE(set.insert(std::to_string(i)));
    ASSERT_FALSE(set.saturated());
  }
}

}  // namespace
}  // namespace sluice
