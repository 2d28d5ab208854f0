#include "engine/compose/html_text.h"

#include <gtest/gtest.h>

#include "engine/compose/html_entity.h"

namespace sluice {
namespace {

// The text with its tags written back, sections as #name and /name, fields as the name.
std::string shown(const ParsedText& text) {
  std::string out;
  size_t at = 0;
  for (const Mark& mark : text.marks) {
    out += text.text.substr(at, mark.offset - at);
    at = mark.offset;
    const char* sigil = mark.kind == MarkKind::kSection    ? "#"
                        : mark.kind == MarkKind::kInverted ? "^"
                        : mark.kind == MarkKind::kEnd      ? "/"
                                                           : "";
    out += "{" + (sigil + mark.name) + "}";
  }
  return out + text.text.substr(at);
}

std::string text_of(std::string_view html) {
  const auto parsed = parse_mustache("body.html", html);
  if (!parsed.ok()) return message_of(parsed.status());
  const auto text = text_of_html(*parsed);
  return text.ok() ? shown(*text) : message_of(text.status());
}

TEST(HtmlText, BlocksBecomeLines) {
  const struct {
    std::string_view html, text;
  } cases[] = {
      {"", "\n"},
      {"plain", "plain\n"},
      {"  two\n  words ", "two words\n"},
      {"<p>one</p><p>two</p>", "one\n\ntwo\n"},
      {"<p>one\n</p>\n\n<p>\ntwo</p>\n", "one\n\ntwo\n"},
      {"<h1>Head</h1>text", "Head\n\ntext\n"},
      {"<div>a</div><div><div>b</div></div>c", "a\nb\nc\n"},
      {"a<br>b<br/>c<BR />\nd", "a\nb\nc\nd\n"},
      {"a<hr>b", "a\n----\nb\n"},
      {"<b>a</b><i>b</i> <u>c</u>", "ab c\n"},
      {"<ul><li>a<li>b</ul>c", "- a\n- b\n\nc\n"},
      {"<ol><li>a</li><li>b<ul><li>x</li></ul></li></ol>", "1. a\n2. b\n  - x\n"},
      {"<table><tr><td>a</td><td>b</td></tr><tr><th>c</th> <th></th><td>d</td></tr></table>",
       "a | b\nc | d\n"},
      {"<pre>a  b\n  c</pre>d", "a  b\n  c\n\nd\n"},
      {"<blockquote>q</blockquote>r", "q\n\nr\n"},
  };
  for (const auto& c : cases) EXPECT_EQ(text_of(c.html), c.text) << c.html;
}

TEST(HtmlText, WhatIsNoTextIsLeftOut) {
  const struct {
    std::string_view html, text;
  } cases[] = {
      {"<!DOCTYPE html><html><head><title>t</title></head><body>b</body></html>", "b\n"},
      {"<style>a > b { {{x}} }</style>b", "b\n"},
      {"<script>if (a < b) '</p>'</script >b", "b\n"},
      {"a<!-- <p>no {{x}}</p> -->b", "ab\n"},
      {"<!--[if mso]><td>no</td><![endif]-->b<![if !mso]>c<![endif]>", "bc\n"},
      {"<p class='{{x}}' title=\"a > b\">b</p>", "b\n"},
      {"a <!-- never closed", "a\n"},
      {"<style>never closed", "\n"},
      {"1 < 2 <3 <", "1 < 2 <3 <\n"},
      {"<p unclosed", "<p unclosed\n"},
  };
  for (const auto& c : cases) EXPECT_EQ(text_of(c.html), c.text) << c.html;
}

TEST(HtmlText, LinksAndImagesSayWhereTheyGo) {
  const struct {
    std::string_view html, text;
  } cases[] = {
      {"<a href=\"https://e.example/?a=1&amp;b=2\">Shop</a>!",
       "Shop <https://e.example/?a=1&b=2>!\n"},
      {"<a href='https://e.example/'>https://e.example/</a>", "https://e.example/\n"},
      {"<a href=https://e.example/>x</a>", "x <https://e.example/>\n"},
      {"<a href=\"#top\">up</a> <a name=x>y</a> <a href=''>z</a>", "up y z\n"},
      {"<a href=\"mailto:a@b.example\">a@b.example</a>", "a@b.example\n"},
      {"<a href=\"mailto:a@b.example\">write</a>", "write <a@b.example>\n"},
      {"<a href=\"https://e.example/\"><img src=x alt=\"Our &lt;logo&gt;\"></a>",
       "Our <logo> <https://e.example/>\n"},
      {"<a href=\"https://e.example/\"><img src=x></a>", "<https://e.example/>\n"},
      {"<a href=\"https://e.example/{{id}}?u={{#u}}{{u}}{{/u}}\">{{name}}</a>",
       "{name} <https://e.example/{id}?u={#u}{u}{/u}>\n"},
      {"<a href=\"{{url}}\">{{url}}</a>", "{url} <{url}>\n"},
      {"<img alt='{{name}}'>", "{name}\n"},
  };
  for (const auto& c : cases) EXPECT_EQ(text_of(c.html), c.text) << c.html;
}

TEST(HtmlText, SectionsKeepTheirLines) {
  const struct {
    std::string_view html, text;
  } cases[] = {
      {"<p>Hi {{name}}, {{#x}}yes{{/x}}{{^x}}no{{/x}}.</p>", "Hi {name}, {#x}yes{/x}{^x}no{/x}.\n"},
      {"<p>a</p>\n{{#x}}\n<p>b</p>\n{{/x}}\n<p>c</p>", "a\n\n{#x}b\n\n{/x}c\n"},
      {"<ul>\n{{#x}}\n<li>{{x}}</li>\n{{/x}}\n<li>b</li></ul>", "{#x}- {x}\n{/x}- b\n"},
      {"{{#x}}<a href=\"https://e.example/\">{{x}}</a>{{/x}}",
       "{#x}{x} <https://e.example/>{/x}\n"},
      {"<td {{#x}}class=\"{{x}}\"{{/x}}>a</td>", "a\n"},
  };
  for (const auto& c : cases) EXPECT_EQ(text_of(c.html), c.text) << c.html;
  EXPECT_EQ(text_of("<td {{#x}}class=a>a{{/x}}</td>").substr(0, 60),
            "body.html:1:20: section \"x\" begins or ends inside a tag, whi");
  EXPECT_EQ(text_of("{{#x}}<td {{/x}}>a</td>").substr(0, 26), "body.html:1:1: section \"x\"");
}

TEST(HtmlText, PlacesAreThoseOfTheHtml) {
  const auto html = parse_mustache("body.html", "<p>a</p>\n<p>b {{x}} <b>c</b></p>\n");
  ASSERT_TRUE(html.ok());
  const auto text = text_of_html(*html);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->text, "a\n\nb  c\n");
  EXPECT_EQ(text->position(3), "body.html:2:4");
  EXPECT_EQ(text->position(6), "body.html:2:15");
}

TEST(HtmlText, EntitiesAreCharacters) {
  const struct {
    std::string_view html, text;
  } cases[] = {
      {"&amp;&lt;&gt;&quot;&apos;&nbsp;.", "&<>\"' .\n"},
      {"&eacute;&euro;&#8364;&#x20ac;&#X1F600;",
       "\xC3\xA9\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xF0\x9F\x98\x80\n"},
      {"a&shy;b&#8203;c&zwnj;&#847;&#xFEFF;", "abc\n"},
      {"&unknown; & &; &#; &#x; &#0; &#xD800; &#x110000; &#99999999; &amp",
       "&unknown; & &; &#; &#x; &#0; &#xD800; &#x110000; &#99999999; &amp\n"},
      {"&amp;lt;", "&lt;\n"},
  };
  for (const auto& c : cases) EXPECT_EQ(text_of(c.html), c.text) << c.html;
}

}  // namespace
}  // namespace sluice
