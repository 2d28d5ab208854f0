#include "engine/compose/mustache.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string error_of(std::string_view source) {
  const auto parsed = parse_mustache("body.txt", source);
  return parsed.ok() ? "" : message_of(parsed.status());
}

TEST(Mustache, TakesTagsOutAndRemembersWhereTheyStood) {
  const auto parsed = parse_mustache("f", "\xEF\xBB\xBFHi {{ name }}, {{{a b}}}{{&c}}{{& d }}!");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->text, "Hi , !");
  ASSERT_EQ(parsed->marks.size(), 4U);
  EXPECT_EQ(parsed->marks[0].name, "name");
  EXPECT_EQ(parsed->marks[0].offset, 3U);
  EXPECT_TRUE(parsed->marks[0].escaped);
  EXPECT_EQ(parsed->marks[1].name, "a b");
  EXPECT_EQ(parsed->marks[1].offset, 5U);
  EXPECT_FALSE(parsed->marks[1].escaped);
  EXPECT_EQ(parsed->marks[2].name, "c");
  EXPECT_EQ(parsed->marks[3].name, "d");
  EXPECT_FALSE(parsed->marks[3].escaped);
  EXPECT_EQ(parsed->position(5), "f:1:39");
}

TEST(Mustache, CommentsVanishAndTakeTheirLineWhenAlone) {
  const struct {
    std::string_view source, text;
  } cases[] = {
      {"a{{! no }}b", "ab"},
      {"a\n{{! no }}\nb", "a\nb"},
      {"a\n  {{! no\nmore }}  \r\nb", "a\nb"},
      {"{{!x}}\n", ""},
      {"{{!x}}", ""},
      {"a {{!x}}\nb", "a \nb"},
      {"{{n}}{{!x}}\nb", "\nb"},
      {"{{n}} {{!x}}\nb", " \nb"},
      {"a\n{{!x}} b", "a\n b"},
      {"{{}", "{{}"},
  };
  for (const auto& c : cases) {
    const auto parsed = parse_mustache("f", c.source);
    if (c.source == "{{}") {
      EXPECT_FALSE(parsed.ok());
      continue;
    }
    ASSERT_TRUE(parsed.ok()) << c.source;
    EXPECT_EQ(parsed->text, c.text) << c.source;
  }
}

TEST(Mustache, ErrorsNameThePlaceAndTheMend) {
  EXPECT_EQ(error_of("a\n\xC3\xA9 {{name").substr(0, 27), "body.txt:2:3: unclosed tag:");
  EXPECT_NE(error_of("{{{name}}").find("no closing \"}}}\""), std::string::npos);
  EXPECT_NE(error_of("{{ }}").find("without a field's name"), std::string::npos);
  EXPECT_NE(error_of("{{a {{b}}").find("unclosed tag"), std::string::npos);
  EXPECT_NE(error_of("{{! never").find("unclosed tag"), std::string::npos);
  for (const auto& [source, word] : std::vector<std::pair<std::string, std::string>>{
           {"x\n {{#s}}", "body.txt:2:2: sections are not built yet"},
           {"{{/s}}", "sections are not built yet"},
           {"{{^s}}", "inverted sections are not built yet"},
           {"{{> p}}", "partials are not built yet"},
           {"{{ # s }}", "sections are not built yet"},
           {"{{=<% %>=}}", "set-delimiter tags are not built yet"}}) {
    EXPECT_NE(error_of(source).find(word), std::string::npos) << source << ": " << error_of(source);
  }
}

TEST(Mustache, UnfoldedTextKeepsPlacesAndMarks) {
  const auto parsed = parse_mustache("m.eml", "Subject: a {{x}}\n b{{y}} c\nTo: z\n");
  ASSERT_TRUE(parsed.ok());
  const size_t end = parsed->text.find("\nTo");
  const ParsedText value = parsed->unfolded(8, end);
  EXPECT_EQ(value.text, " a  b c");
  ASSERT_EQ(value.marks.size(), 2U);
  EXPECT_EQ(value.marks[0].offset, 3U);
  EXPECT_EQ(value.marks[1].offset, 5U);
  EXPECT_EQ(value.position(6), "m.eml:2:9");
}

}  // namespace
}  // namespace sluice
