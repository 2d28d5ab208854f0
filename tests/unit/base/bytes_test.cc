#include "engine/base/bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "engine/base/random.h"

namespace sluice {
namespace {

TEST(Bytes, ReadsWhatWasWritten) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.u8(0xFE);
  writer.u16(0x1234);
  writer.u32(0x12345678);
  writer.u64(0x123456789ABCDEF0);
  writer.text("hello");
  writer.raw("!");
  EXPECT_EQ(bytes.substr(0, 3), "\xFE\x34\x12");  // little-endian
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u8(), 0xFE);
  EXPECT_EQ(reader.u16(), 0x1234);
  EXPECT_EQ(reader.u32(), 0x12345678U);
  EXPECT_EQ(reader.u64(), 0x123456789ABCDEF0U);
  EXPECT_EQ(reader.text(), "hello");
  EXPECT_EQ(reader.left(), 1U);
  EXPECT_EQ(reader.raw(1), "!");
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.at_end());
}

TEST(Bytes, VarintsOfEveryLength) {
  for (int bits = 0; bits <= 64; ++bits) {
    for (const uint64_t off : {0U, 1U}) {
      const uint64_t value = (bits == 64 ? 0 : uint64_t{1} << bits) - off;
      std::string bytes;
      ByteWriter(bytes).varint(value);
      EXPECT_LE(bytes.size(), 10U);
      ByteReader reader(bytes);
      EXPECT_EQ(reader.varint(), value);
      EXPECT_TRUE(reader.ok() && reader.at_end());
      // Cut anywhere, it is refused.
      for (size_t length = 0; length < bytes.size(); ++length) {
        ByteReader cut(std::string_view(bytes).substr(0, length));
        cut.varint();
        EXPECT_FALSE(cut.ok());
      }
    }
  }
  ByteReader endless("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
  EXPECT_EQ(endless.varint(), 0U);
  EXPECT_FALSE(endless.ok());
}

TEST(Bytes, StaysBadAfterTheEnd) {
  ByteReader reader("abc");
  EXPECT_EQ(reader.u32(), 0U);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0U);
  EXPECT_EQ(reader.raw(1), "");
  EXPECT_TRUE(reader.at_end());
  ByteReader huge("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01x");
  EXPECT_EQ(huge.text(), "");
  EXPECT_FALSE(huge.ok());
}

TEST(Bytes, NeverReadsOutOfRangeOfRandomBytes) {
  Random random(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random.below(24), '\0');
    for (char& c : bytes) c = static_cast<char>(random.next());
    ByteReader reader(bytes);
    size_t taken = 0;
    while (reader.ok() && !reader.at_end()) {
      switch (random.below(4)) {
        case 0:
          reader.u64();
          break;
        case 1:
          reader.varint();
          break;
        case 2:
          taken += reader.text().size();
          break;
        default:
          reader.u16();
      }
    }
    ASSERT_LE(taken, bytes.size());
  }
}

}  // namespace
}  // namespace sluice
