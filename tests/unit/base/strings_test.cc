#include "engine/base/strings.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

using std::string_literals::operator""s;

TEST(Strings, LowersAsciiOnly) {
  EXPECT_EQ(to_lower("MiXeD 123 \xC3\x84"), "mixed 123 \xC3\x84");
  EXPECT_TRUE(equals_ignore_case("Example.COM", "eXAMPLE.com"));
  EXPECT_FALSE(equals_ignore_case("example", "example."));
  EXPECT_TRUE(starts_with_ignore_case("STARTTLS", "start"));
  EXPECT_FALSE(starts_with_ignore_case("START", "starttls"));
  // '[' and '{' differ by the same bit as letters do.
  EXPECT_FALSE(equals_ignore_case("[", "{"));
}

TEST(Strings, TrimsAndSplits) {
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
  EXPECT_EQ(split(",", ','), (std::vector<std::string_view>{"", ""}));
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(join({}, ", "), "");
}

TEST(Strings, KnowsWellFormedUtf8) {
  for (const std::string_view good :
       {"", "plain", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEF\xBF\xBF",
        "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "gr\xC3\xBC\xC3\x9F"}) {
    EXPECT_TRUE(is_utf8(good)) << escaped(good);
  }
  for (const std::string_view bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xC2", "\xE0\x9F\xBF", "\xE0\xA0", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "a\xC3\x28"}) {
    EXPECT_FALSE(is_utf8(bad)) << escaped(bad);
  }
  EXPECT_TRUE(is_ascii("a\x7F"));
  EXPECT_FALSE(is_ascii("a\x80"));
}

TEST(Strings, ParsesDecimalsWholeOrNotAtAll) {
  EXPECT_EQ(parse_decimal("0"), 0U);
  EXPECT_EQ(parse_decimal("007"), 7U);
  EXPECT_EQ(parse_decimal("18446744073709551615"), UINT64_MAX);
  for (const std::string_view bad : {"", "18446744073709551616", "-1", "+1", " 1", "1 ", "0x1",
                                     "1.0", "99999999999999999999999"}) {
    EXPECT_FALSE(parse_decimal(bad)) << bad;
  }
}

TEST(Strings, EscapesForeignBytes) {
  EXPECT_EQ(escaped("a\r\n\x80\\"), "a\\x0d\\x0a\\x80\\\\");
  EXPECT_EQ(escaped("a\0b"s), "a\\x00b");
  EXPECT_EQ(escaped("abcdef", 3), "abc...");
  EXPECT_EQ(escaped("abc", 3), "abc");
}

TEST(Strings, SuggestsWhatIsNear) {
  const std::vector<std::string_view> known = {"connection_limit", "idle_timeout", "port"};
  EXPECT_EQ(nearest("conection_limit", known), "connection_limit");
  EXPECT_EQ(nearest("prot", known), "port");  // a swap counts once
  EXPECT_EQ(nearest("pot", known), "port");
  EXPECT_EQ(nearest("something_else", known), "");
  EXPECT_EQ(nearest("", {}), "");
}

TEST(Strings, GroupsDigits) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'000), "1,000");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
  EXPECT_EQ(grouped(UINT64_MAX), "18,446,744,073,709,551,615");
}

TEST(Strings, MapsAreAskedWithAView) {
  StringMap<int> map;
  map["example.com"] = 1;
  const std::string_view whole = "www.example.com";
  const auto found = map.find(whole.substr(4));
  ASSERT_NE(found, map.end());
  EXPECT_EQ(found->second, 1);
  EXPECT_FALSE(map.contains(whole));
}

}  // namespace
}  // namespace sluice
