#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compose/decode.h"

namespace sluice {
namespace {

using testing::ComposeTest;
using testing::decode_qp;
using ::testing::HasSubstr;
using testing::Message;
using testing::nasty_values;
using ::testing::StartsWith;

class EmlTest : public ComposeTest {
 protected:
  EmlTest() {
    spec.subject.clear();
    spec.message.text.clear();
    spec.message.eml = "m.eml";
  }
};

TEST_F(EmlTest, WhatHasNoFieldsStaysAsItIs) {
  input.eml =
      "From: Me <me@example.com>\nTo: list:;\nSubject: =?utf-8?Q?J=C3=BC?=\n  folded\n"
      "Date: Mon, 1 Jan 2024 00:00:00 +0000\nMessage-ID: <x@y>\nBcc: secret@example.com,\n"
      " other@example.com\n"
      "X-Odd:no blank\n\n.dot\n..two\n.\nFrom x \nlast";
  compile();
  EXPECT_EQ(compose("n").wire,
            "From: Me <me@example.com>\r\nTo: list:;\r\nSubject: =?utf-8?Q?J=C3=BC?=\r\n"
            "  folded\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <x@y>\r\n"
            "X-Odd:no blank\r\n\r\n..dot\r\n...two\r\n..\r\nFrom x \r\nlast\r\n");
  EXPECT_FALSE(message->eight_bit());
  EXPECT_EQ(sender(), "news@example.com");
}

TEST_F(EmlTest, CrlfFilesAreTheSame) {
  input.eml = "Subject: a\r\n\r\nbody\r\n.\r\n";
  compile();
  EXPECT_EQ(compose("n").body, "body\r\n.\r\n");
}

TEST_F(EmlTest, MissingHeadersComeFromTheJob) {
  spec.subject = "Job's {{name}}";
  spec.reply_to = "help@example.com";
  spec.headers = {{"X-Extra", "1"}};
  input.eml = "X-Own: 2\n\nbody\n";
  compile();
  EXPECT_EQ(compose("Zoe").wire,
            "Date: Tue, 01 Dec 2026 09:01:07 +0000\r\n"
            "Message-ID: <42.july-20261201T080000-7@example.com>\r\n"
            "From: Example News <news@example.com>\r\nTo: zoe@example.net\r\n"
            "Subject: Job's Zoe\r\nReply-To: help@example.com\r\nX-Extra: 1\r\nX-Own: 2\r\n\r\n"
            "body\r\n");
  spec.from.clear();
  EXPECT_THAT(error(), HasSubstr("no From header"));
  input.eml = "From: Own <own@example.org>\n\nbody\n";
  compile();
  EXPECT_EQ(sender(), "own@example.org");
}

TEST_F(EmlTest, HeadersWithFieldsAreEncodedAnew) {
  input.eml =
      "From: {{name}} <me@example.com>\nTo: \"{{name}}\" <{{email}}>\n"
      "Subject: Hi\n {{name}},\n gr\xC3\xBC\xC3\x9F"
      "e\n\nbody\n";
  compile();
  const Message m = compose("Zo\xC3\xAB, \"x\" <e@f>");
  EXPECT_EQ(m.header("From"), "Zo\xC3\xAB, \"x\" <e@f> <me@example.com>");
  EXPECT_EQ(m.header("To"), "Zo\xC3\xAB, \"x\" <e@f> <zoe@example.net>");
  EXPECT_EQ(m.header("Subject"),
            "Hi Zo\xC3\xAB, \"x\" <e@f>, gr\xC3\xBC\xC3\x9F"
            "e");
  EXPECT_FALSE(try_row("a\nb").ok());
  address = "zo\xC3\xAB@example.net";
  EXPECT_TRUE(try_row("n").ok()) << "the recipient's own address goes where an address goes";
}

TEST_F(EmlTest, PlainBodiesWithFieldsBecomeQuotedPrintable) {
  for (const std::string headers :
       {"", "Content-Type: text/plain\n", "Content-Type: text/plain; charset=US-ASCII\n",
        "MIME-Version: 1.0\nContent-Type: text/plain;\n charset=\"utf-8\"\n"
        "Content-Transfer-Encoding: 8bit\n",
        "Content-Transfer-Encoding: 7bit\n"}) {
    input.eml = "Subject: s\n" + headers + "\n{{x}}.\n.a {{x}} \n{{x}}\n\xC3\xA9 {{name}}";
    compile();
    EXPECT_FALSE(message->eight_bit());
    for (const std::string& v : nasty_values()) {
      const Message m = compose("n", v);
      EXPECT_EQ(m.header("Content-Transfer-Encoding"), "quoted-printable");
      EXPECT_THAT(m.header("Content-Type"), HasSubstr("utf-8"));
      EXPECT_EQ(m.header("MIME-Version"), "1.0");
      EXPECT_EQ(decode_qp(m.body), v + ".\r\n.a " + v + " \r\n" + v + "\r\n\xC3\xA9 n\r\n");
    }
  }
  input.eml = "\n{{x}}";
  spec.subject = "s";
  compile();
  EXPECT_EQ(compose("n", "v").header("Content-Transfer-Encoding"), "quoted-printable");
}

TEST_F(EmlTest, QuotedPrintableBodiesKeepTheirLiterals) {
  input.eml =
      "Subject: s\nContent-Type: text/html; charset=utf-8\n"
      "Content-Transfer-Encoding: Quoted-Printable\n\n"
      ".gr=C3=BC=C3=9Fe {{x}}{{{x}}}. soft=\n.{{x}}\n{{x}}";
  compile();
  const Message m = compose("n", "<.>");
  EXPECT_EQ(decode_qp(m.body),
            ".gr\xC3\xBC\xC3\x9F"
            "e &lt;.&gt;<.>. soft.&lt;.&gt;\r\n&lt;.&gt;\r\n");
  for (const std::string& v : nasty_values()) compose("n", v);
  input.eml =
      "Subject: s\nContent-Type: text/plain; charset=utf-8\n"
      "Content-Transfer-Encoding: quoted-printable\n\n{{x}}.\n{{x}}\n.{{x}}\n";
  compile();
  for (const std::string& v : nasty_values()) {
    EXPECT_EQ(decode_qp(compose("n", v).body), v + ".\r\n" + v + "\r\n." + v + "\r\n");
  }
}

constexpr std::string_view kMultipart =
    "Subject: s\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"out\"\n\n"
    "preamble\n--out\nContent-Type: multipart/alternative;\n boundary=in\n\n"
    "--in\n\nplain {{x}}\n--in\nContent-Type: text/html; charset=utf-8; format=flowed\n"
    "Content-Transfer-Encoding: 8bit\n\n<p>{{x}}\xC3\xA9</p> \n--in--\n\n"
    "--out\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\nAAAA\n"
    "--out--\nepilogue\n";

TEST_F(EmlTest, PartsAreFoundByTheirBoundaries) {
  input.eml = std::string(kMultipart);
  compile();
  EXPECT_EQ(compose("n", "<v>").body,
            "preamble\r\n--out\r\nContent-Type: multipart/alternative;\r\n boundary=in\r\n\r\n"
            "--in\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\nplain =\r\n=3Cv>=\r\n\r\n"
            "--in\r\nContent-Type: text/html; charset=utf-8; format=flowed\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>=\r\n&lt;v&gt;=\r\n=C3=A9</p>=20"
            "\r\n--in--\r\n\r\n--out\r\nContent-Type: application/pdf\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--out--\r\nepilogue\r\n");
}

TEST_F(EmlTest, FieldsWhereNoneCanBeAreRefusedByName) {
  const std::string base(kMultipart);
  const auto with = [&](std::string_view find, std::string_view replacement) {
    std::string text = base;
    const size_t at = text.find(find);
    EXPECT_NE(at, std::string::npos) << find;
    return text.replace(at, find.size(), replacement);
  };
  const struct {
    std::string eml, message;
  } cases[] = {
      {with("AAAA", "{{x}}"), "m.eml:24:1: a field in a part that is no text"},
      {with("application/pdf", "text/plain"), ""},
      {with("preamble", "{{x}}"), "outside the parts"},
      {with("epilogue", "{{x}}"), "outside the parts"},
      {with("text/html", "text/{{x}}"), "outside the parts"},
      {with("--in--", "--in--{{x}}"), "outside the parts"},
      {with("multipart/mixed", "multipart/{{x}}"), "a field in header Content-Type"},
      {with("multipart/alternative", "multipart/signed"), "signed or encrypted"},
      {with("\n\nplain {{x}}\n", "\nContent-Type: text/plain{{x}}\n"),
       "without an empty line behind its headers"},
      {with("utf-8", "iso-8859-1"), "charset iso-8859-1"},
      {"Subject: s\nContent-Transfer-Encoding: base64\n\n{{x}}\n", "a base64 part"},
      {"Subject: s\nContent-Type: text/plain; name=\xC3\xA9\n\n{{x}}\n",
       "m.eml:2:1: header Content-Type has 8-bit characters"},
      {with("text/html; charset=utf-8", "text/html; name=\xC3\xA9"),
       "m.eml:14:1: header Content-Type has 8-bit characters"},
      {"Subject: s\nContent-Type: message/rfc822\n\n{{x}}\n", "an attached message"},
      {"Subject{{x}}: s\n\nb\n", "where a header's name should"},
      {"Subject: s\n{{x}}X: y\n\nb\n", "where a header's name should"},
      {"Subject: s\nTo: {{x}}", "no empty line"},
      {"Subject: s\n{{x}}\nb\n", "m.eml:2:1: a field or section stands where"},
      {"Subject: =?utf-8?Q?a?= {{x}}\n\nb\n", "beside encoded words"},
      {"Subject: {{none}}\n\nb\n", "m.eml:1:10: no column named"},
      {"Subject: s\n\na\n b {{none}}\n", "m.eml:4:4: no column named"},
  };
  for (const auto& c : cases) {
    input.eml = c.eml;
    if (c.message.empty()) {
      EXPECT_EQ(error(), "");
    } else {
      EXPECT_THAT(error(), HasSubstr(c.message)) << c.eml;
    }
  }
}

TEST_F(EmlTest, MessagesThatAreNoneAreRefused) {
  const struct {
    std::string eml, message;
  } cases[] = {
      {"", "m.eml:1:1: no Subject header"},
      {"hello\n\nb\n", "m.eml:1:1: not a header line"},
      {"Subject: a\nSubject: b\n\nb\n", "m.eml:2:1: a second header Subject"},
      {"Subject: a\rb\n\nb\n", "m.eml:1:11: a CR without LF"},
      {std::string("A: b\n\n\0", 7), "m.eml:3:1: a NUL"},
      {"A: b\n\n" + std::string(999, 'x') + "\n", "m.eml:3:999: a line of more than 998"},
      {"Subject: s\nContent-Type: text/plain; name=\xC3\xA9\n\nb\n", "8-bit characters"},
      {"Subject: \xFF\n\nb\n", "not UTF-8"},
      {"Subject: s\n\t \n t\n\nb\n", "m.eml:2:1: a line of blanks inside header Subject"},
      {"X-Extra: b\n\nb\n", "also stands in [headers]"},
  };
  spec.headers = {{"X-Extra", "1"}};
  for (const auto& c : cases) {
    input.eml = c.eml;
    EXPECT_THAT(error(), HasSubstr(c.message)) << c.eml;
  }
  spec.subject = "s";
  input.eml = "A: b\n\n" + std::string(998, 'x') + "\n" + "." + std::string(997, 'x') + "\n";
  compile();
  compose("n");
  spec.message.text = "body.txt";
  EXPECT_THAT(error(), HasSubstr("remove \"text\""));
}

TEST_F(EmlTest, EightBitOnlyWhereItStays) {
  input.eml =
      "Subject: s\nMIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n"
      "Content-Transfer-Encoding: 8bit\n\nb\xE9\n";
  compile();
  EXPECT_TRUE(message->eight_bit());
  EXPECT_EQ(compose("n").body, "b\xE9\r\n");
}

TEST_F(EmlTest, DeepNestingEnds) {
  std::string eml = "Subject: s\n";
  for (int i = 0; i < 200; ++i) {
    const std::string b = "b" + std::to_string(i) + "x";
    eml += "Content-Type: multipart/mixed; boundary=" + b + "\n\n--" + b + "\n";
  }
  input.eml = eml + "\ntext {{x}}\n";
  EXPECT_THAT(error(), HasSubstr("a part that is no text"));
  std::string many = "Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n";
  for (int i = 0; i < 5'000; ++i) many += "--b\n\nx\n";
  input.eml = many + "--b--\n";
  EXPECT_EQ(error(), "");
}

}  // namespace
}  // namespace sluice
