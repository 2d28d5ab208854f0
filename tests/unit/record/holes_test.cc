#include "engine/record/holes.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace sluice {
namespace {

struct Split {
  std::string pattern;
  std::string holes;
};

Split split(std::string_view text, Words words = Words::kAddressesAreHoles) {
  Split s;
  split_holes(text, words, s.pattern, s.holes);
  return s;
}

std::string join(const Split& s) {
  ByteReader reader(s.holes);
  std::string text;
  EXPECT_TRUE(join_holes(s.pattern, reader, text));
  EXPECT_TRUE(reader.at_end());
  return text;
}

constexpr std::string_view kReplies[] = {
    "OK  1699999999 a1-20020a05600c190100b003fe1c332844si123456wmq.9 - gsmtp",
    "Ok: queued as 4Rx2Yz3abcz1234",
    "Ok: queued as A1B2C3D4E5",
    "OK id=1qXyZ-0001Ab-2c",
    "<202311141213.3AEDC5F1@mx1.example.net> Queued mail for delivery",
    "<john.o'neil+news@example.com>: Recipient address rejected: User unknown",
    "The email account that you tried to reach does not exist.\nPlease try\nhttps://s.co/?p=1 x9",
    "",
    "plain words only",
    "a@b",
    "@",
    "b@",
};

TEST(Holes, RoundTripsReplies) {
  for (const std::string_view reply : kReplies) {
    EXPECT_EQ(join(split(reply)), reply);
    EXPECT_EQ(join(split(reply, Words::kAddressesStay)), reply);
  }
}

TEST(Holes, RepliesThatDifferInTheirIdsShareAPattern) {
  const Split a = split(kReplies[0]);
  const Split b = split("OK  1700000001 b9-77720a05600c190100b003fe1c3328ffsi999456abc.1 - gsmtp");
  EXPECT_EQ(a.pattern, b.pattern);
  EXPECT_LT(a.holes.size(), 50u);
  EXPECT_EQ(split("<a@example.com>: no such user").pattern,
            split("<b.c@example.org>: no such user").pattern);
  EXPECT_NE(split("<a@example.com>", Words::kAddressesStay).pattern,
            split("<b@example.com>", Words::kAddressesStay).pattern);
}

TEST(Holes, RoundTripsAnyOctets) {
  Random random(7);
  constexpr std::string_view kAlphabet("0189abfgzABFGZ.@-<> \n\0\x01\xC3\xFF", 24);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random.below(120), ' ');
    for (char& c : text) c = kAlphabet[random.below(kAlphabet.size())];
    ASSERT_EQ(join(split(text)), text);
    ASSERT_EQ(join(split(text, Words::kAddressesStay)), text);
  }
}

TEST(Holes, MalformedHolesAreRefused) {
  const Split s = split("queued as A1B2C3D4E5 1234567");
  for (size_t size = 0; size < s.holes.size(); ++size) {
    ByteReader reader(std::string_view(s.holes).substr(0, size));
    std::string text;
    EXPECT_FALSE(join_holes(s.pattern, reader, text));
  }
  Random random(3);
  for (int i = 0; i < 10'000; ++i) {
    std::string holes(random.below(40), ' ');
    for (char& c : holes) c = static_cast<char>(random.below(256));
    ByteReader reader(holes);
    std::string text;
    join_holes(s.pattern, reader, text);
    EXPECT_LE(text.size(), 40u + 2 * holes.size());
  }
}

}  // namespace
}  // namespace sluice
