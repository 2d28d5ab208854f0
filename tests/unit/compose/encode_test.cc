#include "engine/compose/encode.h"

#include <gtest/gtest.h>

#include "tests/unit/compose/decode.h"

namespace sluice {
namespace {

using testing::decode_header;
using testing::decode_qp;
using testing::lines_of;
using testing::nasty_values;

std::string crlf(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) out += '\r';
    out += text[i];
  }
  return out;
}

TEST(QuotedPrintable, KnownForms) {
  const struct {
    std::string_view text, encoded;
  } cases[] = {
      {"plain", "plain"},
      {"a=b", "a=3Db"},
      {"\xC3\xBC", "=C3=BC"},
      {"end \nof\t\r\nline", "end=20\r\nof=09\r\nline"},
      {"lone\rcr", "lone=0Dcr"},
      {".dot\n.dot", "=2Edot\r\n=2Edot"},
      {"From a\nFrom b\nFrome", "=46rom a\r\n=46rom b\r\nFrome"},
      {std::string_view("nul\0", 4), "nul=00"},
  };
  for (const auto& c : cases) {
    std::string out;
    append_quoted_printable(out, c.text, 0);
    EXPECT_EQ(out, c.encoded);
  }
}

TEST(QuotedPrintable, DecodesBackWhateverTheValue) {
  std::vector<std::string> values = nasty_values();
  values.push_back("lines\nand\r\nlines\r\n\r\n.\n..\nFrom x\n \n");
  values.push_back(std::string(511, 'a') + "\r\n.b");
  values.push_back(std::string(512, 'a') + "\n.b");
  for (const std::string& value : values) {
    MessageBuffer buffer;
    const size_t column = append_quoted_printable(buffer, value, Html::kNo);
    std::string wire = testing::joined(buffer);
    if (column > 0) wire += "=\r\n";
    EXPECT_EQ(decode_qp(wire), crlf(value));
    for (const std::string& line : lines_of(wire)) {
      // Neither dots, "From " nor commands: what is first on a line never stands for itself.
      EXPECT_TRUE(line.empty() || line[0] == '=') << line;
    }
  }
}

TEST(QuotedPrintable, EscapesHtmlFirst) {
  MessageBuffer buffer;
  append_quoted_printable(buffer, "<a href=\"x\">&'\n", Html::kYes);
  EXPECT_EQ(testing::joined(buffer), "&lt;a href=3D&quot;x&quot;&gt;&amp;&#39;\r\n");
  MessageBuffer large;
  append_quoted_printable(large, std::string(5'000, '"'), Html::kYes);
  EXPECT_EQ(decode_qp(testing::joined(large)).size(), 5'000U * 6);
}

TEST(QuotedPrintable, NoValueLooksLikeACommand) {
  for (const Html html : {Html::kNo, Html::kYes}) {
    for (size_t before = 0; before < 160; ++before) {
      for (const char* const gap : {"", " ", "\t", "\n", "\n "}) {
        const std::string value = std::string(before, 'x') + gap + "MAIL FROM:<a@b>\r\nQUIT\n";
        MessageBuffer buffer;
        append_quoted_printable(buffer, value, html);
        const std::string wire = testing::joined(buffer);
        EXPECT_EQ(decode_qp(wire).size(), crlf(value).size() + (html == Html::kYes ? 6 : 0));
        for (const std::string& line : lines_of(wire)) {
          EXPECT_TRUE(line.empty() || line[0] == '=' || line[0] == '&') << line;
        }
      }
    }
  }
}

TEST(HeaderText, NoFoldedLineBeginsWithACommand) {
  for (const char* const verb : {"MAIL", "quit", "Rset", "STARTTLS"}) {
    for (size_t before = 40; before < 160; ++before) {
      for (const std::string accent : {"", "\xC3\xA9 "}) {
        std::string text(before, 'x');
        for (size_t i = 9; i < text.size(); i += 10) text[i] = ' ';
        text += " " + accent + verb + " FROM:<a@b> " + verb + " end";
        std::string out = "Subject:";
        append_unstructured(out, out.size(), text);
        EXPECT_EQ(decode_header(out.substr(8)), " " + text);
        for (const std::string& line : lines_of(out)) {
          const size_t begin = line.find_first_not_of(" \t");
          EXPECT_FALSE(equals_ignore_case(line.substr(begin, std::string_view(verb).size()), verb))
              << line;
        }
        std::string phrase = std::string(70, 'x');
        append_phrase(phrase, phrase.size(), std::string(verb) + " me");
        EXPECT_NE(phrase.find("\r\n \""), std::string::npos) << phrase;
      }
    }
  }
}

TEST(HeaderText, DecodesBackAndFolds) {
  for (const std::string& value : nasty_values()) {
    for (const std::string prefix : {"", "Hello ", "\xC3\xA9 "}) {
      const std::string text = prefix + value + (prefix.empty() ? "" : "!");
      std::string out = "Subject:";
      append_unstructured(out, out.size(), text);
      const std::string_view trimmed = [&] {
        std::string_view t = text;
        while (!t.empty() && (t.front() == ' ' || t.front() == '\t')) t.remove_prefix(1);
        while (!t.empty() && (t.back() == ' ' || t.back() == '\t')) t.remove_suffix(1);
        return t;
      }();
      const std::string decoded = decode_header(out.substr(8));
      EXPECT_EQ(decoded, trimmed.empty() ? "" : " " + std::string(trimmed));
      for (const std::string& line : lines_of(out)) {
        EXPECT_NE(line.find_first_not_of(" \t"), std::string::npos);
        EXPECT_TRUE(is_ascii(line));
        const bool one_word =
            line.find(' ', 1) == std::string::npos || line.rfind(' ') == line.find(' ');
        EXPECT_LE(line.size(), line.find("=?") != std::string::npos ? 76U
                               : one_word                           ? 998U
                                                                    : 78U)
            << line;
      }
    }
  }
}

TEST(HeaderText, PlainTextStaysPlain) {
  std::string out = "Subject:";
  append_unstructured(out, out.size(), "Hello Zoe!");
  EXPECT_EQ(out, "Subject: Hello Zoe!");
  out = "Subject:";
  append_unstructured(out, out.size(), "Hello Zo\xC3\xAB!");
  EXPECT_EQ(out, "Subject: Hello =?utf-8?B?Wm/DqyE=?=");
}

TEST(HeaderText, Phrases) {
  const struct {
    std::string_view text, encoded;
  } cases[] = {
      {"Example News", " Example News"},
      {"Example, Inc.", " \"Example, Inc.\""},
      {"a \"b\" \\", " \"a \\\"b\\\" \\\\\""},
      {"x <evil@example.org>", " \"x <evil@example.org>\""},
      {"", ""},
      {"  ", ""},
      {"J\xC3\xBCrgen", " =?utf-8?Q?J=C3=BCrgen?="},
      {"=?utf-8?Q?x?=", " =?utf-8?B?PT91dGYtOD9RP3g/PQ==?="},
  };
  for (const auto& c : cases) {
    std::string out;
    append_phrase(out, 5, c.text);
    EXPECT_EQ(out, c.encoded);
  }
}

TEST(HeaderText, Addresses) {
  for (const std::string_view good :
       {"a@b", "a.b+c@example.com", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "o'x@xn--80ak.test"}) {
    EXPECT_TRUE(is_addr_spec(good)) << good;
  }
  for (const std::string_view bad :
       {"", "a", "@b", "a@", "a b@c", "a@b c", "a@b,c@d", "<a@b>", "a..b@c", ".a@b", "a@b.", "a@-b",
        "a@[1.2.3]", "a@b\r\n", "\xC3\xA9@b", "a@\xC3\xA9", "a@b>", "\"a\"@b"}) {
    EXPECT_FALSE(is_addr_spec(bad)) << bad;
  }
  EXPECT_FALSE(is_addr_spec(std::string(65, 'a') + "@b"));
}

}  // namespace
}  // namespace sluice
