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
           {"x\n {{#s}}", "body.txt:2:2: section {{#s}} is never closed; write {{/s}}"},
           {"{{^s}}", "section {{^s}} is never closed"},
           {"{{/s}}", "body.txt:1:1: {{/s}} closes no section"},
           {"{{#a}}\n{{#b}}{{/a}}",
            "{{/a}} stands where {{/b}} should close the section opened at "
            "body.txt:2:1"},
           {"{{> p}}", "partials stand in the files of [message]"},
           {"{{.}}", "there is none"},
           {"{{^a}}{{.}}{{/a}}", "there is none"},
           {"{{#.}}{{/.}}", "there is none"},
           {"{{^urlencode}}{{/urlencode}}", "percent-encodes"},
           {"{{= | }}", "no closing"},
           {"{{= | =}}", "two words"},
           {"{{=| a=b=}}", "two words"},
           {"{{=a b c=}}", "two words"},
           {"{{$a}}{{/a}}", "blocks and parents"},
           {"{{<a}}{{/a}}", "blocks and parents"}}) {
    EXPECT_NE(error_of(source).find(word), std::string::npos) << source << ": " << error_of(source);
  }
}

TEST(Mustache, SectionsAreMarksInTurn) {
  const auto parsed = parse_mustache("f", "a\n{{# x }}\n  {{.}}{{^y}}b{{/y}}\n {{/x}}\nc");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->text, "a\n  b\nc");
  ASSERT_EQ(parsed->marks.size(), 5U);
  const struct {
    MarkKind kind;
    std::string name;
    size_t offset;
  } expected[] = {{MarkKind::kSection, "x", 2},
                  {MarkKind::kField, "x", 4},
                  {MarkKind::kInverted, "y", 4},
                  {MarkKind::kEnd, "y", 5},
                  {MarkKind::kEnd, "x", 6}};
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(parsed->marks[i].kind, expected[i].kind) << i;
    EXPECT_EQ(parsed->marks[i].name, expected[i].name) << i;
    EXPECT_EQ(parsed->marks[i].offset, expected[i].offset) << i;
    EXPECT_TRUE(parsed->marks[i].optional) << i;
  }
  EXPECT_EQ(parsed->position(6), "f:5:1");
}

TEST(Mustache, UrlencodeMarksItsFieldsAndIsNoSection) {
  const auto parsed = parse_mustache("f", "{{a}}{{#urlencode}}{{b}}{{/urlencode}}{{c}}");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ASSERT_EQ(parsed->marks.size(), 3U);
  EXPECT_FALSE(parsed->marks[0].url);
  EXPECT_TRUE(parsed->marks[1].url);
  EXPECT_FALSE(parsed->marks[1].optional);
  EXPECT_FALSE(parsed->marks[2].url);
}

TEST(Mustache, PartialsAreFoundBesideTheirMessage) {
  EXPECT_EQ(partial_paths("a/body.txt", "foot"),
            (std::vector<std::string>{"a/foot", "a/foot.mustache", "a/foot.txt"}));
  EXPECT_EQ(partial_paths("a.b/body", "foot"),
            (std::vector<std::string>{"a.b/foot", "a.b/foot.mustache"}));
  EXPECT_EQ(partial_names("{{> a}} {{>b}}{{=< >=}}<> a><> c >{{> d}}<!{{>e}}>{{"),
            (std::vector<std::string>{"a", "b", "c"}));
}

TEST(Mustache, PartialsNameTheirOwnPlaces) {
  const PartialFiles files = {{"d/foot.txt", "x\n  {{y}}{{#z}}\n"},
                              {"d/loop", "{{> two}}"},
                              {"d/two", "{{> loop}}"},
                              {"d/good.mustache", "\xEF\xBB\xBF{{y}}"}};
  const auto error = [&](std::string_view source) {
    const auto parsed = parse_mustache("d/body.txt", source, &files);
    return parsed.ok() ? "" : message_of(parsed.status());
  };
  EXPECT_EQ(error("a\n{{> foot}}").substr(0, 33), "d/foot.txt:2:8: section {{#z}} is");
  EXPECT_NE(error("{{> loop}}").find("never ends (d/loop > d/two > d/loop)"), std::string::npos);
  EXPECT_NE(error("{{> none}}").find("it looks for d/none, d/none.mustache, d/none.txt"),
            std::string::npos);
  const auto parsed = parse_mustache("d/body.txt", "a{{> good}}{{>good}}\nb", &files);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->text, "a\nb");
  ASSERT_EQ(parsed->marks.size(), 2U);
  EXPECT_EQ(parsed->position_in_source(parsed->marks[1].source), "d/good.mustache:1:1");
  EXPECT_EQ(parsed->position(2), "d/body.txt:2:1");
}

TEST(Mustache, PartialsThatGrowWithoutEndAreRefused) {
  PartialFiles files;
  for (int i = 0; i < 20; ++i) {
    const std::string next = "{{> p" + std::to_string(i + 1) + "}}";
    files["p" + std::to_string(i)] = next + next;
  }
  files["p20"] = "x";
  const auto parsed = parse_mustache("body.txt", "{{> p0}}", &files);
  ASSERT_FALSE(parsed.ok());
  EXPECT_NE(message_of(parsed.status()).find("more than 10,000 partials"), std::string::npos);
  std::string deep;
  for (int i = 0; i < 101; ++i) deep += "{{#a}}";
  EXPECT_NE(error_of(deep).find("more than 100 sections"), std::string::npos);
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
