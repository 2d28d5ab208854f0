// Sections, percent-encoding and partials in all places of a message.
#include <gmock/gmock.h>

#include "tests/unit/compose/decode.h"

namespace sluice {
namespace {

using testing::ComposeTest;
using testing::decode_qp;
using ::testing::HasSubstr;
using testing::nasty_values;
using ::testing::StartsWith;

class SectionTest : public ComposeTest {
 protected:
  std::string text(std::string_view name, std::string_view x = "") {
    return decode_qp(compose(name, x).body);
  }
};

TEST_F(SectionTest, AnEmptyValueAloneIsFalse) {
  spec.subject = "s";
  input.text = "a{{#name}}[{{.}}]{{/name}}{{^name}}none{{/name}}b\n";
  compile();
  EXPECT_EQ(text(""), "anoneb\r\n");
  for (const std::string_view shown : {"Zoe", "0", "false", " ", "\n"}) {
    const std::string end = shown == "\n" ? "\r\n" : std::string(shown);
    EXPECT_EQ(text(shown), "a[" + end + "]b\r\n");
  }
}

TEST_F(SectionTest, NestAndFollowEachOther) {
  input.text =
      "Dear {{name}}{{^name}}reader{{/name}},\n"
      "{{#name}}\n"
      "  yes\n"
      "  {{#x}}\n"
      "  x is {{x}}\n"
      "  {{/x}}\n"
      "{{/name}}\n"
      "{{^x}}\nno x\n{{/x}}\n"
      "{{#x}}{{/x}}end{{#x}}.{{/x}}";
  compile();
  EXPECT_EQ(text("Zoe", "1"), "Dear Zoe,\r\n  yes\r\n  x is 1\r\nend.\r\n");
  EXPECT_EQ(text("Zoe"), "Dear Zoe,\r\n  yes\r\nno x\r\nend\r\n");
  EXPECT_EQ(text("", "1"), "Dear reader,\r\nend.\r\n");
  EXPECT_EQ(text(""), "Dear reader,\r\nno x\r\nend\r\n");
}

TEST_F(SectionTest, UnknownNamesAreEmptyInSections) {
  input.text = "{{#vip}}{{title}} {{name}}{{/vip}}{{^vip}}{{name}}{{/vip}}\n";
  compile();
  EXPECT_EQ(text("Zoe"), "Zoe\r\n");
  input.text = "{{#vip}}{{/vip}}{{title}}";
  EXPECT_THAT(error(), HasSubstr("body.txt:1:17: no column named \"title\""));
}

TEST_F(SectionTest, EveryEdgeIsWellFormedWithEveryValue) {
  spec.message.html = "body.html";
  input.text = ".{{#x}}.{{/x}}.From {{^x}}From {{/x}} {{#name}} \n{{/name}}\t{{#x}}\n.\n{{/x}}" +
               std::string(80, 'a') + "{{#name}}" + std::string(80, 'b') + "{{{x}}}{{/name}}";
  input.html = "<p>{{#name}}{{{.}}} {{x}}{{/name}}</p>";
  compile();
  for (const std::string& name : nasty_values()) {
    for (const std::string_view x : {"", ".", "From x", "MAIL FROM:<a@b>"}) {
      if (name.find('\n') == std::string::npos) compose(name, x);
    }
  }
}

TEST_F(SectionTest, StandInHeaders) {
  spec.subject = "Hello{{#name}}, {{.}}{{/name}}{{^name}} reader{{/name}}!";
  spec.from = "{{#x}}{{x}} of {{/x}}\"News, daily\" <{{#x}}vip{{/x}}{{^x}}news{{/x}}@example.com>";
  spec.envelope_sender = "bounce@example.com";
  spec.headers = {{"X-Url", "<https://e.example/?n={{#urlencode}}{{name}}{{/urlencode}}>"}};
  input.text = "t\n";
  compile();
  EXPECT_EQ(compose("Zo\xC3\xAB").header("Subject"), "Hello, Zo\xC3\xAB!");
  EXPECT_EQ(compose("").header("Subject"), "Hello reader!");
  EXPECT_EQ(compose("", "Ann").header("From"), "\"Ann of News, daily\" <vip@example.com>");
  EXPECT_EQ(compose("").header("From"), "\"News, daily\" <news@example.com>");
  spec.subject = "s";
  compile();
  EXPECT_EQ(compose("Zo\xC3\xAB &\r\n").header("X-Url"),
            "<https://e.example/?n=Zo%C3%AB%20%26%0D%0A>");
}

TEST_F(SectionTest, CannotCrossThePlacesOfAHeader) {
  input.text = "t\n";
  spec.reply_to = "{{#x}}a@b.example, {{/x}}c@d.example";
  EXPECT_THAT(error(), HasSubstr("job.toml [reply_to]:1:1: section \"x\" in header Reply-To"));
  spec.reply_to = "A {{#x}}<a{{/x}}@b.example>";
  EXPECT_THAT(error(), HasSubstr("close it in the same one"));
  spec.reply_to.clear();
  spec.subject = "a {{> part}}";
  EXPECT_THAT(error(), HasSubstr("partials stand in the files of [message]"));
}

TEST_F(SectionTest, ValuesThatAreNotShownMayHoldAnything) {
  spec.subject = "s{{#x}} {{name}}{{/x}}";
  input.text = "t\n";
  compile();
  EXPECT_TRUE(check_row("a\nb").ok());
  EXPECT_TRUE(try_row("a\nb").ok());
  EXPECT_FALSE(check_row("a\nb", "1").ok());
  EXPECT_FALSE(try_row("a\nb", "1").ok());
}

TEST_F(SectionTest, UrlencodePercentEncodesValuesOnly) {
  input.text = "https://e.example/?q={{#urlencode}}{{name}}&r={{#x}}{{{x}}}{{/x}}{{/urlencode}}\n";
  compile();
  EXPECT_EQ(text("a b&c=\xC3\xA9~-._Z9", "/"),
            "https://e.example/?q=a%20b%26c%3D%C3%A9~-._Z9&r=%2F\r\n");
  const std::string long_value(5'000, '<');
  std::string encoded;
  for (int i = 0; i < 5'000; ++i) encoded += "%3C";
  EXPECT_EQ(text(long_value), "https://e.example/?q=" + encoded + "&r=\r\n");
  input.columns[2] = "urlencode";
  input.text = "{{#urlencode}}{{name}}{{/urlencode}}";
  EXPECT_THAT(error(), HasSubstr("the list has a column \"urlencode\"; rename the column"));
}

TEST_F(SectionTest, PartialsAreEncodedForTheirPlace) {
  spec.message.html = "d/body.html";
  input.text = "  {{> foot}}\nend\n";
  input.html = "<p>{{> foot}}</p>";
  input.partials = {{"foot.txt", "Dear {{name}}\n\n.x\n"}, {"d/foot.html", "<b>{{name}}</b>"}};
  compile();
  const std::string wire = compose("<Zoe>").unstuffed;
  EXPECT_THAT(wire, HasSubstr("\r\n\r\n  Dear =\r\n=3CZoe>=\r\n\r\n\r\n  .x\r\nend\r\n"));
  EXPECT_THAT(wire, HasSubstr("<p><b>=\r\n&lt;Zoe&gt;=\r\n</b></p>\r\n"));
  input.partials.erase("foot.txt");
  EXPECT_THAT(error(), StartsWith("body.txt:1:3: {{> foot}}: the job has no such file"));
}

class EmlSectionTest : public SectionTest {
 protected:
  EmlSectionTest() {
    spec.message = {};
    spec.message.eml = "m.eml";
    spec.subject.clear();
  }
};

TEST_F(EmlSectionTest, StandInHeadersAndTextParts) {
  input.eml = "Subject: Hi{{#name}} {{name}}{{/name}}\n\n{{#x}}\n.dot {{x}}\n{{/x}}\n{{> foot}}\n";
  input.partials = {{"foot.eml", "bye\r\n"}};
  compile();
  EXPECT_EQ(compose("Zoe").header("Subject"), "Hi Zoe");
  EXPECT_EQ(compose("").header("Subject"), "Hi");
  EXPECT_EQ(text("", "v"), ".dot v\r\nbye\r\n");
  EXPECT_EQ(text(""), "bye\r\n");
  input.eml =
      "Subject: s\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
      "Content-Transfer-Encoding: quoted-printable\n\na=3D{{#x}}=C3=A9{{x}}{{/x}}\n{{^x}}\n.no\n"
      "{{/x}}\n.end\n";
  compile();
  EXPECT_EQ(text("", "1"),
            "a=\xC3\xA9"
            "1\r\n.end\r\n");
  EXPECT_EQ(text(""), "a=\r\n.no\r\n.end\r\n");
}

TEST_F(EmlSectionTest, CannotCrossHeadersOrParts) {
  input.eml = "Subject: a {{#x}}b\nX-Y: {{/x}}c\n\nt\n";
  EXPECT_THAT(error(), StartsWith("m.eml:2:6: section \"x\" begins and ends in different"));
  input.eml = "Subject: s\n{{#x}}\nX-Y: c\n{{/x}}\n\nt\n";
  EXPECT_THAT(error(), StartsWith("m.eml:2:1: a field or section stands where"));
  input.eml =
      "Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n1{{#x}}\n--b\n\n2{{/x}}\n"
      "--b--\n";
  EXPECT_THAT(error(), StartsWith("m.eml:9:2: section \"x\" begins and ends in different"));
}

}  // namespace
}  // namespace sluice
