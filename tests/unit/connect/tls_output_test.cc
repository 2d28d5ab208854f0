#include "engine/connect/tls_output.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

constexpr size_t kLarge = 8'192;

TEST(TlsOutputTest, ALargeBlockServesTheNextOnceAllIsSent) {
  TlsBlocks blocks(kLarge);
  TlsOutput first(blocks);
  TlsOutput second(blocks);
  const std::string text(kLarge, 'x');
  ASSERT_TRUE(first.make_room(kLarge));
  ASSERT_TRUE(first.append(text));
  const char* const place = first.pending().data();
  first.sent(kLarge - 1);
  // An octet still waits in it.
  ASSERT_TRUE(second.make_room(kLarge));
  ASSERT_TRUE(second.append(std::string(kLarge, 'y')));
  EXPECT_NE(second.pending().data(), place);
  EXPECT_EQ(first.pending(), "x");
  first.sent(1);
  TlsOutput third(blocks);
  ASSERT_TRUE(third.make_room(kLarge));
  ASSERT_TRUE(third.append(text));
  EXPECT_EQ(third.pending().data(), place);
  EXPECT_EQ(second.pending(), std::string(kLarge, 'y'));
}

TEST(TlsOutputTest, WhatIsBehindALargeBlockFollowsIt) {
  TlsBlocks blocks(kLarge);
  TlsOutput output(blocks);
  ASSERT_TRUE(output.make_room(kLarge));
  ASSERT_TRUE(output.append(std::string(kLarge, 'x')));
  ASSERT_TRUE(output.append("behind"));
  output.sent(kLarge);
  EXPECT_EQ(output.pending(), "behind");
  EXPECT_FALSE(output.empty());
  output.sent(6);
  EXPECT_TRUE(output.empty());
  EXPECT_TRUE(output.pending().empty());
}

TEST(TlsOutputTest, SmallOctetsTakeNoLargeBlock) {
  TlsBlocks blocks(kLarge);
  TlsOutput output(blocks);
  TlsOutput other(blocks);
  ASSERT_TRUE(other.make_room(kLarge));
  ASSERT_TRUE(other.append(std::string(kLarge, 'x')));
  const char* const place = other.pending().data();
  other.sent(kLarge);
  ASSERT_TRUE(output.append("EHLO"));
  EXPECT_NE(output.pending().data(), place);
  EXPECT_EQ(output.pending(), "EHLO");
}

}  // namespace
}  // namespace sluice
