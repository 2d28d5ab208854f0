#include "engine/compose/message_template.h"

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

TEST_F(ComposeTest, WholeMessageToTheOctet) {
  input.text = "Hi {{name}},\nbye.\n";
  spec.reply_to = "help@example.com";
  spec.headers = {{"List-ID", "July {{x}} <july.news.example.com>"}};
  compile();
  EXPECT_EQ(compose("Zoe", "news").wire,
            "Date: Tue, 01 Dec 2026 09:01:07 +0000\r\n"
            "Message-ID: <42.july-20261201T080000-7@example.com>\r\n"
            "From: Example News <news@example.com>\r\n"
            "To: zoe@example.net\r\n"
            "Subject: Hello Zoe\r\n"
            "Reply-To: help@example.com\r\n"
            "List-ID: July news <july.news.example.com>\r\n"
            "MIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: quoted-printable\r\n"
            "\r\n"
            "Hi =\r\n=5Aoe=\r\n,\r\nbye.\r\n");
  EXPECT_EQ(sender(), "news@example.com");
  EXPECT_FALSE(message->eight_bit());
}

TEST_F(ComposeTest, TextAndHtmlAreAlternatives) {
  spec.message.html = "body.html";
  input.text = "T {{x}} {{{x}}}";
  input.html = "<p>{{x}} {{{x}}} {{&x}}</p>\n";
  compile();
  const Message m = compose("n", "<&\">'");
  const std::string type = m.header("Content-Type");
  EXPECT_THAT(type, StartsWith("multipart/alternative; boundary=\"=_"));
  const std::string boundary = type.substr(type.find('"') + 1, 34);
  const std::string open = "--" + boundary + "\r\n";
  ASSERT_THAT(m.body, StartsWith(open + "Content-Type: text/plain; charset=utf-8\r\n"));
  const size_t second = m.body.find(open, 10);
  ASSERT_NE(second, std::string::npos);
  // The line end before a delimiter belongs to the delimiter.
  const std::string text_part = m.body.substr(0, second - 2);
  EXPECT_EQ(decode_qp(text_part.substr(text_part.find("\r\n\r\n") + 4)), "T <&\">' <&\">'\r\n");
  const size_t close = m.body.find("--" + boundary + "--\r\n");
  ASSERT_NE(close, std::string::npos);
  EXPECT_EQ(close + boundary.size() + 6, m.body.size());
  const std::string html_part = m.body.substr(second, close - 2 - second);
  EXPECT_THAT(html_part, HasSubstr("Content-Type: text/html; charset=utf-8\r\n"));
  EXPECT_EQ(decode_qp(html_part.substr(html_part.find("\r\n\r\n") + 4)),
            "<p>&lt;&amp;&quot;&gt;&#39; <&\">' <&\">'</p>\r\n");
}

TEST_F(ComposeTest, NastyValuesComeBackWhole) {
  input.text = "{{x}}.a {{x}}\n{{x}}\nFrom {{x}}{{x}} \nlast {{x}}";
  spec.from = "{{name}} <news@example.com>";
  spec.subject = "{{x}}: caf\xC3\xA9 {{x}}!";
  spec.headers = {{"X-Value", "{{x}}"}};
  compile();
  for (const std::string& v : nasty_values()) {
    const Message m = compose(v, v);
    EXPECT_EQ(decode_qp(m.body),
              v + ".a " + v + "\r\n" + v + "\r\nFrom " + v + v + " \r\nlast " + v + "\r\n");
    const std::string subject = v + ": caf\xC3\xA9 " + v + "!";
    const auto begin = subject.find_first_not_of(" \t");
    EXPECT_EQ(m.header("Subject"), subject.substr(begin));
    std::string name = v;
    name.erase(0, std::min(name.find_first_not_of(" \t"), name.size()));
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.pop_back();
    std::string from = m.header("From");
    if (m.raw_header("From")[0] == '"') {
      std::string plain;
      size_t i = 1;
      for (; i < from.size() && from[i] != '"'; ++i) plain += from[i] == '\\' ? from[++i] : from[i];
      from = plain + from.substr(i + 1);
    }
    EXPECT_EQ(from, name.empty() ? "news@example.com" : name + " <news@example.com>");
  }
}

TEST_F(ComposeTest, ValuesWithLineBreaksStayInTheBody) {
  input.text = "{{x}}|\n";
  spec.subject = "s";
  compile();
  EXPECT_EQ(decode_qp(compose("n", "a\n.b\r\nc\rd\n").body), "a\r\n.b\r\nc\rd\r\n|\r\n");
}

TEST_F(ComposeTest, NoValueAddsAHeaderLine) {
  input.text = "t\n";
  compile();
  for (const std::string& bad : {std::string("a\r\nBcc: x@y"), std::string("a\n"),
                                 std::string("\r"), std::string("a\0b", 3)}) {
    EXPECT_EQ(check_row(bad).refusal.text, try_row(bad).refusal.text);
    const ComposeResult result = try_row(bad);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.refusal.enhanced, (EnhancedCode{5, 6, 0}));
    EXPECT_EQ(result.refusal.text,
              "the value of {{name}} in header Subject holds a line break or NUL");
  }
  EXPECT_TRUE(check_row("fine").ok());
  EXPECT_TRUE(try_row("fine").ok()) << "the buffer goes on working";
}

TEST_F(ComposeTest, NoValueAddsAnAddress) {
  input.text = "t\n";
  spec.from = "{{name}} <news@example.com>";
  spec.reply_to = "\"{{name}} (help)\" <{{x}}@example.com>, other@example.com";
  spec.subject = "s";
  compile();
  const Message m = compose("a\" <evil@example.org>, \"b", "help");
  EXPECT_EQ(m.raw_header("From"), "\"a\\\" <evil@example.org>, \\\"b\" <news@example.com>");
  EXPECT_EQ(m.raw_header("Reply-To"),
            "\"a\\\" <evil@example.org>, \\\"b (help)\" <help@example.com>,\r\n other@example.com");
  for (const std::string_view bad : {"x@y.example, z", "a b", "", ">", "x\"", "\xC3\xA9"}) {
    const ComposeResult result = try_row("n", bad);
    ASSERT_FALSE(result.ok()) << bad;
    EXPECT_EQ(result.refusal.enhanced, (EnhancedCode{5, 6, 0}));
  }
}

TEST_F(ComposeTest, FieldsOfTheRowAndColumnsThatHideThem) {
  input.columns = {"mail", "name", "x"};
  spec.list.address = "mail";
  spec.subject = "s";
  input.text = "{{email}} {{local_part}} {{domain}} {{job}} {{row}}\n";
  compile();
  EXPECT_EQ(decode_qp(compose("n").body),
            "zoe@example.net zoe example.net july-20261201T080000-7 42\r\n");
  input.columns = {"mail", "row", "token"};
  input.text = "{{row}} {{token}}\n";
  compile();
  EXPECT_EQ(decode_qp(compose("mine", "tok").body), "mine tok\r\n");
}

TEST_F(ComposeTest, TemplateErrorsNameTheirPlace) {
  input.text = "a\nb {{nam}}\n";
  EXPECT_THAT(error(), StartsWith("body.txt:2:3: no column named \"nam\"; did you mean \"name\"?"));
  input.text = "{{emial}}";
  EXPECT_THAT(error(), HasSubstr("did you mean \"email\"?"));
  input.text = "{{#if}}";
  EXPECT_THAT(error(), StartsWith("body.txt:1:1: section {{#if}} is never closed"));
  input.text = "ok\n\xC3\x28\n";
  EXPECT_THAT(error(), StartsWith("body.txt:2:1: this line is not UTF-8"));
  input.text = "ok\n";
  spec.subject = "Hello {{nobody}}";
  EXPECT_THAT(error(), StartsWith("job.toml [subject]:1:7: no column named"));
  spec.subject = "two\nlines";
  EXPECT_THAT(error(), StartsWith("job.toml [subject]:1:4: header Subject holds a line break"));
}

TEST_F(ComposeTest, SendersAreChecked) {
  input.text = "t\n";
  const struct {
    std::string from, message;
  } cases[] = {
      {"", "\"from\" is missing"},
      {"nobody", "is no address"},
      {"A <a@b.example", "without its \">\""},
      {"A <a@b.example> x", "text behind an address"},
      {"a@b.example, c@d.example", "one address, please"},
      {"M\xC3\xBCller, Hans <a@b.example>", "is no address"},
      {"a@m\xC3\xBCller.example", "xn-- form"},
      {"\"open <a@b.example>", "never closes"},
      {"Name (x) <a@b.example>", "put the name in double quotes"},
      {"<{{x}}@b.example>", "set \"envelope_sender\""},
  };
  for (const auto& c : cases) {
    spec.from = c.from;
    EXPECT_THAT(error(), HasSubstr(c.message)) << c.from;
  }
  spec.from = "<{{x}}@b.example>";
  spec.envelope_sender = "bounce@b.example";
  compile();
  EXPECT_EQ(sender(), "bounce@b.example");
  EXPECT_EQ(compose("n", "me").header("From"), "me@b.example");
  spec.envelope_sender = "<>";
  compile();
  EXPECT_EQ(sender(), "");
  EXPECT_EQ(compose("n", "me").raw_header("Message-ID"), "<42.july-20261201T080000-7@localhost>");
  spec.envelope_sender = "{{x}}@b.example";
  EXPECT_THAT(error(), HasSubstr("[envelope_sender]"));
}

TEST_F(ComposeTest, ReservedHeadersAreRefused) {
  input.text = "t\n";
  for (const std::string name :
       {"from", "TO", "Subject", "Date", "Message-Id", "MIME-Version", "Content-Type", "content-x",
        "Bcc", "bad name", "b:c", "", "\xC3\xA9", ".x"}) {
    spec.headers = {{name, "v"}};
    EXPECT_THAT(error(), StartsWith("job.toml [headers] ")) << name;
  }
  spec.headers = {{"X-A", "1"}, {"x-a", "2"}};
  EXPECT_THAT(error(), HasSubstr("set twice"));
  spec.headers = {{"Reply-To", "a@b.example"}};
  EXPECT_EQ(error(), "");
  spec.reply_to = "a@b.example";
  EXPECT_THAT(error(), HasSubstr("reply_to"));
}

TEST_F(ComposeTest, MessageIdIsStableAndADotAtom) {
  input.text = "t\n";
  input.job_id = "a b..c@d=\xC3\xA9";
  compile();
  const std::string first = compose("n").raw_header("Message-ID");
  EXPECT_EQ(first, "<42.a=20b=2E=2Ec=40d=3D=C3=A9@example.com>");
  EXPECT_EQ(compose("other").raw_header("Message-ID"), first);
  input.job_id = std::string(500, '.');
  compile();
  EXPECT_LE(compose("n").raw_header("Message-ID").size(), 80U);
}

TEST_F(ComposeTest, SizeIsBounded) {
  input.text = "{{x}}\n";
  compile();
  const std::string large(3'000, 'x');
  MessageBuffer small(2'000);
  values = {address, "n", large};
  row.address = address;
  row.values = values;
  const ComposeResult result = message->compose(row, {}, small);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.refusal.enhanced, (EnhancedCode{5, 3, 4}));
  values[2] = "fits";
  EXPECT_TRUE(message->compose(row, {}, small).ok());
}

TEST_F(ComposeTest, LongConstantPartsAreSharedNotCopied) {
  input.text = std::string(5'000, 'x') + "{{name}}" + std::string(5'000, 'y') + "\n";
  compile();
  compose("n");
  std::vector<const void*> first;
  for (const iovec& piece : buffer.pieces()) first.push_back(piece.iov_base);
  ASSERT_EQ(first.size(), 4U);  // headers, constant, value, constant
  MessageBuffer other;
  ASSERT_TRUE(message->compose(row, {}, other).ok());
  EXPECT_EQ(other.pieces()[1].iov_base, first[1]);
  EXPECT_EQ(other.pieces()[3].iov_base, first[3]);
  compose("longer name");
  EXPECT_EQ(buffer.pieces()[1].iov_base, first[1]);
  EXPECT_EQ(buffer.pieces()[3].iov_base, first[3]);
}

TEST_F(ComposeTest, LargeValuesSurviveTheArenasGrowth) {
  input.text = "{{x}}|{{x}}|{{x}}\n";
  spec.subject = "s";
  compile();
  std::string large;
  for (int i = 0; i < 20'000; ++i) large += std::to_string(i) + " \xC3\xA9\n";
  std::string crlf;
  for (const char c : large) crlf += c == '\n' ? "\r\n" : std::string(1, c);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(decode_qp(compose("n", large).body), crlf + "|" + crlf + "|" + crlf + "\r\n");
  }
}

TEST_F(ComposeTest, AddressesWithUtf8GoIntoTo) {
  input.text = "t\n";
  compile();
  address = "zo\xC3\xAB@example.net";
  ASSERT_TRUE(try_row("n").ok());
  EXPECT_THAT(testing::joined(buffer), HasSubstr("\r\nTo: zo\xC3\xAB@example.net\r\n"));
}

TEST(MessageBuffer, DatesOfManyKinds) {
  MessageBuffer buffer;
  EXPECT_EQ(buffer.date_text(from_unix_seconds(0)), "Thu, 01 Jan 1970 00:00:00 +0000");
  EXPECT_EQ(buffer.date_text(from_unix_seconds(951782399)), "Mon, 28 Feb 2000 23:59:59 +0000");
  EXPECT_EQ(buffer.date_text(from_unix_seconds(951782400)), "Tue, 29 Feb 2000 00:00:00 +0000");
  EXPECT_EQ(buffer.date_text(from_unix_seconds(4107542399)), "Sun, 28 Feb 2100 23:59:59 +0000");
  EXPECT_EQ(buffer.date_text(from_unix_seconds(-1)), "Wed, 31 Dec 1969 23:59:59 +0000");
}

}  // namespace
}  // namespace sluice
