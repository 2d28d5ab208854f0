#include "engine/spool/address.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "engine/base/strings.h"

namespace sluice {
namespace {

TEST(AddressTest, TakesAndNormalises) {
  struct Case {
    std::string in;
    std::string address;
    std::string local_part;
    std::string domain;
    bool needs_smtputf8 = false;
    bool is_literal = false;
  };
  const Case cases[] = {
      {"ann@example.com", "ann@example.com", "ann", "example.com"},
      {" \tAnn.Bee+x@Example.COM ", "Ann.Bee+x@example.com", "Ann.Bee+x", "example.com"},
      {"a@b", "a@b", "a", "b"},
      {"!#$%&'*+-/=?^_`{|}~@x1.y-z", "!#$%&'*+-/=?^_`{|}~@x1.y-z", "!#$%&'*+-/=?^_`{|}~", "x1.y-z"},
      {"\"a b@c\"@Example.com", "\"a b@c\"@example.com", "\"a b@c\"", "example.com"},
      {"\"\"@example.com", "\"\"@example.com", "\"\"", "example.com"},
      {"\"a\\\"b\\\\\"@example.com", "\"a\\\"b\\\\\"@example.com", "\"a\\\"b\\\\\"", "example.com"},
      {"a@[192.0.2.1]", "a@[192.0.2.1]", "a", "[192.0.2.1]", false, true},
      {"a@[IPv6:2001:DB8::1]", "a@[IPv6:2001:DB8::1]", "a", "[IPv6:2001:DB8::1]", false, true},
      {"jürgen@example.com", "jürgen@example.com", "jürgen", "example.com", true},
      {"\"jü \\\\ü\"@example.com", "\"jü \\\\ü\"@example.com", "\"jü \\\\ü\"", "example.com", true},
      {"a@München.Example", "a@xn--mnchen-3ya.example", "a", "xn--mnchen-3ya.example"},
      {"a@faß.de", "a@xn--fa-hia.de", "a", "xn--fa-hia.de"},  // transitional would be fass.de
      {"ж@почта.рф", "ж@xn--80a1acny.xn--p1ai", "ж", "xn--80a1acny.xn--p1ai", true},
      {"a@例え。テスト", "a@xn--r8jz45g.xn--zckzah", "a", "xn--r8jz45g.xn--zckzah"},
      {"a@XN--MNCHEN-3YA.de", "a@xn--mnchen-3ya.de", "a", "xn--mnchen-3ya.de"},
      {std::string(64, 'a') + "@b.c", std::string(64, 'a') + "@b.c", std::string(64, 'a'), "b.c"},
      {"a@" + std::string(63, 'b') + ".c", "a@" + std::string(63, 'b') + ".c", "a",
       std::string(63, 'b') + ".c"},
  };
  std::string scratch;
  for (const Case& c : cases) {
    const AddressResult result = parse_address(c.in, scratch);
    ASSERT_TRUE(result.ok()) << c.in << ": " << result.error;
    EXPECT_EQ(result.address.address, c.address);
    EXPECT_EQ(result.address.local_part, c.local_part) << c.in;
    EXPECT_EQ(result.address.domain, c.domain) << c.in;
    EXPECT_EQ(result.address.needs_smtputf8, c.needs_smtputf8) << c.in;
    EXPECT_EQ(result.address.is_literal, c.is_literal) << c.in;
    // What is normalised stays.
    std::string second;
    const AddressResult again = parse_address(c.address, second);
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again.address.address, c.address);
  }
}

TEST(AddressTest, RefusesWithAReason) {
  const std::string label63(63, 'b');
  const std::string domain253 =
      label63 + "." + label63 + "." + label63 + "." + std::string(61, 'c');
  const std::pair<std::string, std::string> cases[] = {
      {"", "empty"},
      {"  \t", "empty"},
      {"ann", "no @"},
      {"ann.example.com", "no @"},
      {"@example.com", "nothing before"},
      {"ann@", "nothing behind"},
      {".a@b.c", "begins with a dot"},
      {"a.@b.c", "ends with a dot"},
      {"a..b@c.d", "two dots"},
      {"a b@c.d", "a space"},
      {"a@c d", "a space"},
      {"a@b@c", "more than one @"},
      {"Ann <ann@example.com>", "bare address"},
      {"<ann@example.com>", "bare address"},
      {"ann@example.com>", "bare address"},
      {"a@b.c, d@e.f", "one address"},
      {"a,b@c.d", "one address"},
      {"a(comment)@b.c", "comment"},
      {"a@b.c(comment)", "comment"},
      {"a\"b@c.d", "misplaced quotes"},
      {"\"a\"b@c.d", "misplaced quotes"},
      {"\"a@b.c", "never closes"},
      {"\"a\\", "never closes"},
      {"\"a\\\"@b.c", "never closes"},
      {"a:b@c.d", "needs quotes"},
      {"a@b_c.d", "underscore"},
      {"a@-b.c", "begins with a hyphen"},
      {"a@b-.c", "ends with a hyphen"},
      {"a@b.c-", "ends with a hyphen"},
      {"a@b..c", "empty label"},
      {"a@.b", "empty label"},
      {"a@b.c.", "ends with a dot"},
      {"a@b!c", "no host name"},
      {"a@" + label63 + "b.c", "longer than 63"},
      {std::string(65, 'a') + "@b.c", "longer than 64"},
      {"a@" + domain253, "longer than 254"},
      {"a@" + domain253 + "c", "longer than"},
      {std::string(5000, 'a'), "longer than 254"},
      {"a@[192.0.2.1", "closing bracket"},
      {"a@[", "closing bracket"},
      {"a@[]", "no IP address"},
      {"a@[192.0.2.256]", "no IP address"},
      {"a@[2001:db8::1]", "IPv6:"},
      {"a@[IPv6:192.0.2.1]", "no IPv6"},
      {"a@[IPv6:2001:db8::zz]", "no IPv6"},
      {"a@[tag:content]", "no IP address"},
      {"a@[192.0.2.1].b", "closing bracket"},
      {"a\r\n@b.c", "control"},
      {"a@b.c\r\nRCPT TO:<x@y>", "control"},
      {"a@b.c\n", "control"},
      {std::string("a\0@b.c", 6), "control"},
      {std::string("a@b\0.c", 6), "control"},
      {"\"a\nb\"@b.c", "control"},
      {"\"a\\\nb\"@b.c", "control"},
      {"a@[192.0.2.1\n]", "control"},
      {"a\x7F@b.c", "control"},
      {"a\xC2\x85@b.c", "control"},
      {"a@\xC2\x85ü.c", "control"},
      {"\xFFz@b.c", "not UTF-8"},
      {"a@\xC3.c", "not UTF-8"},
      {"\"\\ü\"@b.c", "backslash"},
      {"a@ü_b.c", "domain"},
      {"a@ü..c", "domain"},
      {"a@ü＠x.c", "domain"},
      {"a@☃\xF0\x9F\x92\xA9\xF3\xA0\x80\x81.c", "IDNA2008"},
  };
  std::string scratch;
  for (const auto& [in, reason] : cases) {
    const AddressResult result = parse_address(in, scratch);
    ASSERT_FALSE(result.ok()) << in;
    EXPECT_NE(std::string(result.error).find(reason), std::string::npos)
        << in << ": " << result.error;
  }
}

TEST(AddressTest, FastPathPointsIntoTheInput) {
  std::string scratch;
  const std::string in = "ann@example.com";
  const AddressResult result = parse_address(in, scratch);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.address.address.data(), in.data());
  EXPECT_TRUE(scratch.empty());
}

TEST(AddressTest, NoOctetSequenceGoesOutOfBounds) {
  // Every string of up to four octets of those that mean something.
  const std::string octets = "a.@\"\\[]-: \xC3\xBC<\n";
  std::string scratch;
  std::string in;
  for (size_t code = 0; code < octets.size() * octets.size() * octets.size() * octets.size();
       ++code) {
    in.clear();
    for (size_t rest = code; rest > 0; rest /= octets.size()) in += octets[rest % octets.size()];
    const AddressResult result = parse_address(in, scratch);
    if (result.ok()) {
      ASSERT_EQ(result.address.address,
                std::string(result.address.local_part) + "@" + std::string(result.address.domain));
      ASSERT_EQ(result.address.address.find('\n'), std::string_view::npos);
    }
  }
}

// The text between <tag> and </tag>, entities resolved; empty for <tag/>.
std::string element(const std::string& xml, const std::string& tag) {
  const size_t begin = xml.find("<" + tag + ">");
  const size_t end = xml.find("</" + tag + ">");
  if (begin == std::string::npos || end == std::string::npos) return {};
  const std::string text = xml.substr(begin + tag.size() + 2, end - begin - tag.size() - 2);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t semicolon = text[i] == '&' ? text.find(';', i) : std::string::npos;
    if (semicolon == std::string::npos) {
      out += text[i];
      continue;
    }
    const std::string entity = text.substr(i + 1, semicolon - i - 1);
    static const std::map<std::string, unsigned> kNamed = {
        {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    unsigned code = 0;
    if (entity.substr(0, 2) == "#x")
      code = static_cast<unsigned>(std::stoul(entity.substr(2), nullptr, 16));
    else if (entity[0] == '#')
      code = static_cast<unsigned>(std::stoul(entity.substr(1)));
    else
      code = kNamed.at(entity);
    if (code >= 0x2400 && code < 0x2421) code -= 0x2400;  // pictures of control characters
    if (code >= 0x80) {
      out += "\xC2\x80";  // which one does not matter: the test leaves such addresses out
    } else {
      out += static_cast<char>(code);
    }
    i = semicolon;
  }
  return out;
}

TEST(AddressTest, AgreesWithIsEmail) {
  std::ifstream file(SLUICE_SOURCE_DIR "/../shared/data/isemail-tests.xml");
  if (!file) GTEST_SKIP() << "isemail-tests.xml is not there";
  std::stringstream all;
  all << file.rdbuf();
  const std::string xml = all.str();
  std::string scratch;
  int seen = 0;
  for (size_t at = xml.find("<test id"); at != std::string::npos;
       at = xml.find("<test id", at + 1)) {
    const std::string test = xml.substr(at, xml.find("</test>", at) - at);
    std::string address = element(test, "address");
    const std::string category = element(test, "category");
    const std::string diagnosis = element(test, "diagnosis");
    // Pictures of control characters also stand there as UTF-8: U+2400 to U+241F is E2 90 80-9F.
    for (size_t p = address.find("\xE2\x90"); p != std::string::npos;
         p = address.find("\xE2\x90", p)) {
      address.replace(p, 3, 1, static_cast<char>(address[p + 2] & 0x1F));
    }
    // Ours to decide otherwise: UTF-8 is RFC 6531's, blanks around an address are dropped, and "::"
    // for a single group is what IPv6's own text form (RFC 4291) allows.
    const bool blanks = trim(address) != address && address.find('\r') == std::string::npos &&
                        address.find('\n') == std::string::npos;
    if (!is_ascii(address) || blanks || diagnosis == "ISEMAIL_RFC5321_IPV6DEPRECATED") continue;
    const AddressResult result = parse_address(address, scratch);
    ++seen;
    // Valid for SMTP: RFC 5321 and what only the DNS finds fault with.
    const bool valid = category == "ISEMAIL_VALID_CATEGORY" || category == "ISEMAIL_DNSWARN" ||
                       category == "ISEMAIL_RFC5321";
    const std::string what = test.substr(0, test.find('>')) + " " + address + " " + diagnosis +
                             " " + (result.ok() ? "accepted" : result.error);
    EXPECT_EQ(result.ok(), valid) << what;
  }
  EXPECT_GT(seen, 150);
}

}  // namespace
}  // namespace sluice
