#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/config/configuration_file.h"
#include "engine/config/default_file.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

StatusOr<Configuration> parse(const std::string& text) {
  return parse_configuration(text, "/etc/sluice/sluice.toml", nullptr, nullptr);
}

std::string mistakes(const std::string& text) {
  const auto parsed = parse(text);
  return parsed.ok() ? "none" : message_of(parsed.status());
}

std::string table(const std::string& domain, const std::string& selector,
                  const std::string& more = {}) {
  return "[[dkim]]\ndomain = \"" + domain + "\"\nselector = \"" + selector +
         "\"\nkey = \"k.pem\"\n" + more;
}

TEST(DkimSection, ReadsKeysInOrderAndFindsThemBesideTheFile) {
  const auto c =
      parse(table("Example.COM", "s1", "expire = \"7d\"\nidentity = \"@news.example.com\"\n") +
            "[[dkim]]\ndomain = \"example.com\"\nselector = \"e1\"\nkey = \"/k/e1.pem\"\n");
  ASSERT_TRUE(c.ok()) << c.status();
  ASSERT_EQ(c->dkim.size(), 2U);
  EXPECT_EQ(c->dkim[0].domain, "example.com");
  EXPECT_EQ(c->dkim[0].selector, "s1");
  EXPECT_EQ(c->dkim[0].key, "/etc/sluice/k.pem");
  EXPECT_EQ(c->dkim[0].expire, std::chrono::hours(7 * 24));
  EXPECT_EQ(c->dkim[0].identity, "@news.example.com");
  EXPECT_EQ(c->dkim[1].key, "/k/e1.pem");
  EXPECT_EQ(c->dkim[1].expire, Duration(0));
  EXPECT_EQ(c->dkim[1].identity, "");
}

TEST(DkimSection, WrittenOutItReadsTheSame) {
  const auto c =
      parse(table("example.com", "s1", "expire = \"7d\"\nidentity = \"a@example.com\"\n"));
  ASSERT_TRUE(c.ok()) << c.status();
  const std::string text = configuration_text(*c);
  const auto again = parse(text);
  ASSERT_TRUE(again.ok()) << again.status() << text;
  EXPECT_EQ(configuration_text(*again), text);
  ASSERT_EQ(again->dkim.size(), 1U);
  EXPECT_EQ(again->dkim[0].identity, "a@example.com");
}

TEST(DkimSection, NamesWhatIsWrong) {
  EXPECT_THAT(mistakes("[[dkim]]\n"), HasSubstr("dkim.domain is missing; add domain = \""));
  EXPECT_THAT(mistakes("[[dkim]]\ndomain = \"a.example\"\nselector = \"s\"\n"),
              HasSubstr("dkim.key is missing"));
  for (const char* domain : {"example", "b\xC3\xBC.example", "a..example", "-a.example"}) {
    EXPECT_THAT(mistakes(table(domain, "s")), HasSubstr("is no domain")) << domain;
  }
  for (const char* selector : {"a b", ".a", "a.", "a..b", "a;b"}) {
    EXPECT_THAT(mistakes(table("example.com", selector)), HasSubstr("cannot be a selector"))
        << selector;
  }
  for (const char* identity :
       {"example.com", "@example.org", "@notexample.com", "a@b@example.com", "a;b@example.com"}) {
    EXPECT_THAT(
        mistakes(table("example.com", "s", std::string("identity = \"") + identity + "\"\n")),
        HasSubstr("dkim.identity = \""))
        << identity;
  }
  EXPECT_THAT(mistakes(table("example.com", "s", "expire = \"1s\"\n")), HasSubstr("dkim.expire"));
  EXPECT_THAT(mistakes(table("example.com", "s", "selectr = \"x\"\n")), HasSubstr("selectr"));
  EXPECT_THAT(mistakes(table("example.com", "s") + table("example.com", "S")),
              HasSubstr("signs for example.com above already"));
  std::string many;
  for (const char* selector : {"a", "b", "c", "d", "e"}) many += table("example.com", selector);
  EXPECT_THAT(mistakes(many), HasSubstr("more than 4 keys"));
}

}  // namespace
}  // namespace sluice
