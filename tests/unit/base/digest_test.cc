#include "engine/base/digest.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/base/crc32c.h"
#include "engine/base/random.h"

namespace sluice {
namespace {

// RFC 3720 appendix B.4.
TEST(Crc32c, AgreesWithTheVectorsOfTheRfc) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43U);
  std::string up;
  std::string down;
  for (int i = 0; i < 32; ++i) {
    up += static_cast<char>(i);
    down += static_cast<char>(31 - i);
  }
  EXPECT_EQ(crc32c(up), 0x46DD794EU);
  EXPECT_EQ(crc32c(down), 0x113FDB5CU);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(""), 0U);
}

// Bit by bit, as the polynomial says it.
uint32_t slow_crc(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFFU;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
  }
  return ~crc;
}

TEST(Crc32c, GoesOnWhereItEndedAtAnyLengthAndAlignment) {
  Random random(1);
  std::string bytes(300, '\0');
  for (char& c : bytes) c = static_cast<char>(random.next());
  for (size_t start = 0; start < 9; ++start) {
    for (size_t length = 0; length < 70; ++length) {
      const auto piece = std::string_view(bytes).substr(start, length);
      ASSERT_EQ(crc32c(piece), slow_crc(piece));
      const size_t cut = random.below(length + 1);
      ASSERT_EQ(crc32c(piece.substr(cut), crc32c(piece.substr(0, cut))), slow_crc(piece));
    }
  }
}

// RFC 4231 test case 2, and the one-shot.
TEST(Digest, AKeyUsedManyTimesGivesTheSameAsEachTimeAnew) {
  HmacSha256 mac("Jefe");
  EXPECT_EQ(to_hex(mac.of("what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(mac.of(""), hmac_sha256("Jefe", ""));
  EXPECT_EQ(mac.of(std::string(1'000, 'x')), hmac_sha256("Jefe", std::string(1'000, 'x')));
}

TEST(Digest, Base32AndHexGoThereAndBack) {
  Random random(2);
  for (size_t length = 0; length < 40; ++length) {
    std::string bytes(length, '\0');
    for (char& c : bytes) c = static_cast<char>(random.next());
    EXPECT_EQ(from_base32(to_base32(bytes)), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
  }
  EXPECT_EQ(from_base32("MFRGG"), "abc");
  EXPECT_EQ(from_base32("mfrgh"), std::nullopt) << "bits left over that are not 0";
  EXPECT_EQ(from_base32("mfrg1"), std::nullopt);
  EXPECT_EQ(from_base32("m"), std::nullopt);
  EXPECT_EQ(from_hex("0aFf"), "\x0a\xff");
  EXPECT_EQ(from_hex("0a0"), std::nullopt);
  EXPECT_EQ(from_hex("0g"), std::nullopt);
}

TEST(Digest, CleansedTextIsZero) {
  std::string secret(100, 's');
  secret.resize(90);
  const char* at = secret.data();
  cleanse(secret);
  EXPECT_TRUE(secret.empty());
  EXPECT_EQ(std::string(at, 100), std::string(100, '\0'));
}

TEST(Digest, ComparesInConstantTime) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_TRUE(equal_in_constant_time("", ""));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
}

// FIPS 180-4 examples.
TEST(Digest, AgreesWithTheVectorsOfSha256) {
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// RFC 4231 test cases 1, 2 and 6.
TEST(Digest, AgreesWithTheVectorsOfHmac) {
  EXPECT_EQ(to_hex(hmac_sha256(std::string(20, '\x0B'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac_sha256(std::string(131, '\xAA'),
                               "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

// RFC 4648 section 10, in lower case without padding.
TEST(Digest, WritesBase32AndHexadecimal) {
  EXPECT_EQ(to_base32(""), "");
  EXPECT_EQ(to_base32("f"), "my");
  EXPECT_EQ(to_base32("fo"), "mzxq");
  EXPECT_EQ(to_base32("foo"), "mzxw6");
  EXPECT_EQ(to_base32("foob"), "mzxw6yq");
  EXPECT_EQ(to_base32("fooba"), "mzxw6ytb");
  EXPECT_EQ(to_base32("foobar"), "mzxw6ytboi");
  EXPECT_EQ(to_hex("\xFF\x0A"), "ff0a");
}

TEST(Digest, SecretsDiffer) {
  EXPECT_EQ(secret_bytes(0).size(), 0U);
  EXPECT_EQ(secret_bytes(32).size(), 32U);
  EXPECT_NE(secret_bytes(32), secret_bytes(32));
}

}  // namespace
}  // namespace sluice
