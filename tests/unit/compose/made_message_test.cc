// The MIME structure of messages that are made: attachments, inline images, the text from HTML.
#include <gmock/gmock.h>

#include "engine/compose/attachment.h"
#include "engine/compose/base64.h"
#include "tests/unit/compose/decode.h"

namespace sluice {
namespace {

using testing::ComposeTest;
using testing::decode_base64;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class MadeMessageTest : public ComposeTest {
 protected:
  void attach(const std::string& path, std::string contents) {
    spec.message.attachments.push_back(path);
    input.attachments.push_back(std::move(contents));
  }
  // The Content-Type lines of a message, in order, without parameters.
  static std::vector<std::string> types(const std::string& wire) {
    std::vector<std::string> found;
    for (const std::string& line : testing::lines_of(wire)) {
      if (line.substr(0, 14) != "Content-Type: ") continue;
      found.push_back(
          line.substr(14, line.find(';') == line.npos ? line.npos : line.find(';') - 14));
    }
    return found;
  }
  static std::string between(const std::string& text, const std::string& front,
                             const std::string& back) {
    const size_t begin = text.find(front);
    if (begin == std::string::npos) return "<none>";
    const size_t end = text.find(back, begin + front.size());
    return text.substr(begin + front.size(), end - begin - front.size());
  }
};

TEST_F(MadeMessageTest, AttachmentsStandBehindTheText) {
  std::string octets;
  for (int i = 0; i < 1'000; ++i) octets += static_cast<char>(i * 7);
  input.text = "Dear {{name}}\n";
  attach("files/terms.PDF", octets);
  attach("leer.txt", "");
  compile();
  const std::string wire = compose("Zoe").unstuffed;
  EXPECT_THAT(types(wire),
              ElementsAre("multipart/mixed", "text/plain", "application/pdf", "text/plain"));
  EXPECT_THAT(wire, HasSubstr("Content-Disposition: attachment;\r\n filename=\"terms.PDF\"\r\n"));
  std::string encoded = between(wire, "\"terms.PDF\"\r\n\r\n", "\r\n\r\n--");
  for (const std::string& line : testing::lines_of(encoded)) EXPECT_LE(line.size(), 76U);
  std::erase_if(encoded, [](char c) { return c == '\r' || c == '\n'; });
  EXPECT_EQ(decode_base64(encoded), octets);
  EXPECT_FALSE(message->eight_bit());
}

TEST_F(MadeMessageTest, AnImageThatTheHtmlNamesStandsBesideIt) {
  spec.message.html = "body.html";
  input.text = "t\n";
  input.html = "<img src=\"cid:logo.png\"> <img src='cid:logo.pn'> {{name}}";
  attach("logo.png", "PNG");
  attach("logo.pn2", "other");
  compile();
  const std::string wire = compose("Zoe").unstuffed;
  EXPECT_THAT(types(wire), ElementsAre("multipart/mixed", "multipart/alternative", "text/plain",
                                       "multipart/related", "text/html", "image/png",
                                       "application/octet-stream"));
  EXPECT_THAT(wire, HasSubstr("Content-ID: <logo.png>\r\nContent-Disposition: inline;"));
  EXPECT_THAT(message->warnings(),
              ElementsAre(HasSubstr("body.html:1:36: \"cid:logo.pn\" names no file")));
}

TEST_F(MadeMessageTest, ConstantTextThatIsMostlyNotAsciiIsBase64) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\n";
  input.text = text;
  compile();
  const auto constant = compose("Zoe");
  EXPECT_EQ(constant.header("Content-Transfer-Encoding"), "base64");
  std::string encoded = constant.body;
  std::erase_if(encoded, [](char c) { return c == '\r' || c == '\n'; });
  std::string decoded = decode_base64(encoded);
  std::erase(decoded, '\r');
  EXPECT_EQ(decoded, text);
  input.text = text + "{{name}}\n";
  compile();
  EXPECT_EQ(compose("Zoe").header("Content-Transfer-Encoding"), "quoted-printable");
  input.text = "ASCII = ASCII\n";
  compile();
  EXPECT_EQ(compose("Zoe").header("Content-Transfer-Encoding"), "quoted-printable");
}

TEST_F(MadeMessageTest, TextIsMadeFromHtmlOnRequest) {
  spec.message.text.clear();
  spec.message.html = "body.html";
  input.html =
      "<h1>Hello {{name}}</h1><p>&lt;{{{x}}}&gt; <a href=\"https://e.example/\">go</a></p>";
  compile();
  EXPECT_THAT(message->warnings(), ElementsAre(HasSubstr("body.html: HTML without a text part")));
  spec.message.text_from_html = true;
  compile();
  EXPECT_THAT(message->warnings(), IsEmpty());
  const std::string wire = compose("<Zoe>", "v").unstuffed;
  EXPECT_THAT(types(wire), ElementsAre("multipart/alternative", "text/plain", "text/html"));
  const std::string text = between(wire, "quoted-printable\r\n\r\n", "\r\n\r\n--=_");
  EXPECT_EQ(testing::decode_qp(text), "Hello <Zoe>\r\n\r\n<v> go <https://e.example/>");
}

TEST_F(MadeMessageTest, FindingsNameTheirPlace) {
  spec.headers = {{"X-Link", "http://e.example/"}};
  input.text =
      "https://a.example\nsee http://b.example/x\nhttp://c.example {{#vip}}{{nam}}{{/vip}}\n";
  compile();
  EXPECT_THAT(
      message->warnings(),
      ElementsAre(HasSubstr("job.toml [headers] X-Link:1:1: a link without https"),
                  HasSubstr("body.txt:3:18: no column named \"vip\""),
                  HasSubstr("body.txt:3:26: no column named \"nam\""),
                  HasSubstr("body.txt:2:5: a link without https: http://b.example/x (2 such")));
  input.text = "<html xmlns=\"http://www.w3.org/1999/xhtml\">{{#name}}{{x}}{{/name}}\n";
  spec.headers.clear();
  compile();
  EXPECT_THAT(message->warnings(), IsEmpty());
}

TEST_F(MadeMessageTest, WhatIsTooLargeIsRefused) {
  input.text = "t\n";
  attach("a.bin", std::string(3'000, 'x'));
  input.message_bytes_max = 4'000;
  EXPECT_THAT(error(), HasSubstr("octets without any row's values, and may have 4,000; attach"));
  input.message_bytes_max = 5'000;
  EXPECT_THAT(error(), IsEmpty());
}

TEST_F(MadeMessageTest, TwoAttachmentsOfOneNameAreRefused) {
  input.text = "t\n";
  attach("a/x.pdf", "1");
  attach("b/x.pdf", "2");
  EXPECT_THAT(error(), HasSubstr("two files named \"x.pdf\""));
}

TEST(Attachment, TypesGoByExtension) {
  EXPECT_EQ(content_type_of("a.PNG", ""), "image/png");
  EXPECT_EQ(content_type_of("a.b.txt", "\xC3\xA9"), "text/plain; charset=utf-8");
  EXPECT_EQ(content_type_of("a.txt", "\xE9"), "text/plain");
  EXPECT_EQ(content_type_of("a", ""), "application/octet-stream");
  EXPECT_EQ(content_type_of("a.unknown", ""), "application/octet-stream");
  EXPECT_EQ(content_type_of("a.eml", ""), "application/octet-stream");
}

TEST(Attachment, NamesAreEncodedAsRfc2231Says) {
  EXPECT_EQ(disposition_header("inline", "a b.png"),
            "Content-Disposition: inline;\r\n filename=\"a b.png\"\r\n");
  EXPECT_EQ(disposition_header("attachment", "\xC3\xBC.pdf"),
            "Content-Disposition: attachment;\r\n filename*=utf-8''%C3%BC.pdf\r\n");
  EXPECT_EQ(disposition_header("attachment", "a\"b\r\n.pdf"),
            "Content-Disposition: attachment;\r\n filename*=utf-8''a%22b%0D%0A.pdf\r\n");
  std::string name;
  for (int i = 0; i < 40; ++i)
    name += "\xE6\x97\xA5" + std::string(static_cast<size_t>(i % 3), 'x');
  const std::string header = disposition_header("attachment", name);
  std::string encoded;
  size_t piece = 0;
  for (const std::string& line : testing::lines_of(header)) {
    EXPECT_LE(line.size(), 78U);
    if (piece++ == 0) continue;
    const std::string front = " filename*" + std::to_string(piece - 2) + "*=";
    EXPECT_EQ(line.substr(0, front.size()), front);
    std::string value = line.substr(front.size());
    if (value.ends_with(';')) value.pop_back();
    EXPECT_TRUE(piece == 2 || value.find("''") == std::string::npos);
    encoded += value;
  }
  ASSERT_EQ(encoded.substr(0, 7), "utf-8''");
  std::string decoded;
  for (size_t i = 7; i < encoded.size(); ++i) {
    if (encoded[i] != '%') {
      decoded += encoded[i];
      continue;
    }
    decoded += static_cast<char>(testing::hex_value(encoded[i + 1]) * 16 +
                                 testing::hex_value(encoded[i + 2]));
    i += 2;
  }
  EXPECT_EQ(decoded, name);
}

TEST(Base64, EndsAsTheOctetsDo) {
  for (const auto& [octets, text] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}}) {
    std::string out;
    append_base64(out, octets);
    EXPECT_EQ(out, text);
  }
  for (size_t length = 0; length < 300; ++length) {
    std::string out;
    append_base64_lines(out, std::string(length, '\xFF'));
    EXPECT_EQ(out.size(), base64_lines_length(length)) << length;
  }
}

}  // namespace
}  // namespace sluice
