#include "engine/compose/token.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "engine/base/digest.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

const std::string kOnes(64, '1');
const std::string kTwos(64, '2');

TokenKeysPtr keys_of(const std::string& bounce, const std::string& unsubscribe) {
  auto keys = TokenKeys::parse(bounce, unsubscribe);
  EXPECT_TRUE(keys.ok()) << keys.status();
  return *keys;
}

TEST(Token, IsWhatTheHeaderSays) {
  const TokenMaker maker(keys_of(kOnes, kTwos), "news-1");
  const std::string mac =
      std::string(1, '\0') + std::string(7, '\0') + std::string(1, '\x07') + "news-1";
  const Sha256 digest = hmac_sha256(std::string(32, '\x11'), mac);
  const Sha256 job = sha256("news-1");
  std::string octets(reinterpret_cast<const char*>(job.data()), 6);
  octets += std::string("\0\0\0\0\x07", 5);
  octets.append(reinterpret_cast<const char*>(digest.data()), 9);
  EXPECT_EQ(text_of(maker.make(TokenKind::kBounce, 7)), to_base32(octets));
}

TEST(Token, SaysJobAndRowAndIsKnownInEitherCase) {
  const TokenMaker maker(keys_of(kOnes, kTwos), "news-1");
  for (const uint64_t row : {uint64_t{1}, uint64_t{100'000'000}, (uint64_t{1} << 40) - 1}) {
    const Token token = maker.make(TokenKind::kUnsubscribe, row);
    std::string text(text_of(token));
    EXPECT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567"), std::string::npos);
    EXPECT_TRUE(maker.is_genuine(TokenKind::kUnsubscribe, text));
    std::transform(text.begin(), text.end(), text.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    EXPECT_TRUE(maker.is_genuine(TokenKind::kUnsubscribe, text));
    const auto contents = read_token(text);
    ASSERT_TRUE(contents.has_value());
    EXPECT_EQ(contents->row, row);
    EXPECT_EQ(contents->job, token_job("news-1"));
  }
}

TEST(Token, NeitherKindNorJobNorRowNorKeyCanBeExchanged) {
  const TokenKeysPtr keys = keys_of(kOnes, kTwos);
  const TokenMaker maker(keys, "news-1");
  const Token token = maker.make(TokenKind::kBounce, 7);
  const std::string text(text_of(token));
  EXPECT_TRUE(maker.is_genuine(TokenKind::kBounce, text));
  EXPECT_FALSE(maker.is_genuine(TokenKind::kUnsubscribe, text));
  EXPECT_FALSE(TokenMaker(keys, "news-2").is_genuine(TokenKind::kBounce, text));
  EXPECT_FALSE(TokenMaker(keys_of(kTwos, kTwos), "news-1").is_genuine(TokenKind::kBounce, text));
  for (size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == 'a' ? 'b' : 'a';
    EXPECT_FALSE(maker.is_genuine(TokenKind::kBounce, changed)) << i;
  }
  // One key for both kinds would still keep them apart.
  const TokenMaker same(keys_of(kOnes, kOnes), "news-1");
  EXPECT_FALSE(same.is_genuine(TokenKind::kUnsubscribe, text_of(same.make(TokenKind::kBounce, 7))));
}

TEST(Token, WhatIsNoTokenIsNotRead) {
  EXPECT_FALSE(read_token("").has_value());
  EXPECT_FALSE(read_token(std::string(31, 'a')).has_value());
  EXPECT_FALSE(read_token(std::string(33, 'a')).has_value());
  EXPECT_FALSE(read_token(std::string(31, 'a') + "1").has_value());
  EXPECT_TRUE(read_token(std::string(32, 'a')).has_value());
}

TEST(Token, KeysAreSixtyFourHexadecimalDigits) {
  EXPECT_TRUE(TokenKeys::parse(kOnes + "\n", " " + kTwos).ok());
  for (const std::string& bad :
       {std::string(), std::string(63, '1'), std::string(66, '1'), std::string(64, 'g')}) {
    EXPECT_FALSE(TokenKeys::parse(bad, kTwos).ok()) << bad;
    const auto status = TokenKeys::parse(kOnes, bad).status();
    EXPECT_FALSE(status.ok()) << bad;
    EXPECT_NE(status.message().find("openssl rand -hex 32"), std::string::npos);
  }
  const std::string fresh = make_token_key();
  EXPECT_EQ(fresh.size(), 65U);
  EXPECT_TRUE(TokenKeys::parse(fresh, make_token_key()).ok());
  EXPECT_NE(fresh, make_token_key());
}

}  // namespace
}  // namespace sluice
