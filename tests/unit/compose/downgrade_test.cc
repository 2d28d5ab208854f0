// message.eml with 8-bit content for receivers that do not offer 8BITMIME.
#include <gmock/gmock.h>

#include "tests/unit/compose/decode.h"

namespace sluice {
namespace {

using testing::ComposeTest;
using testing::decode_base64;
using testing::decode_qp;
using ::testing::HasSubstr;
using testing::Message;
using ::testing::Not;

class DowngradeTest : public ComposeTest {
 protected:
  DowngradeTest() {
    spec.message = {};
    spec.message.eml = "m.eml";
    spec.subject = "s";
  }
  ComposeResult try_seven_bit() {
    fill_row("Zoe", "v");
    return message->compose(row, {.date = from_unix_seconds(1), .eight_bit = false}, buffer);
  }
  Message seven_bit() {
    const ComposeResult result = try_seven_bit();
    EXPECT_TRUE(result.ok()) << result.refusal.text;
    if (!result.ok()) return {};
    const std::string wire = testing::joined(buffer);
    EXPECT_TRUE(is_ascii(wire)) << wire;
    return testing::taken_apart(wire);
  }
};

TEST_F(DowngradeTest, TextBecomesQuotedPrintable) {
  input.eml =
      "MIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n"
      "Content-Transfer-Encoding: 8bit\n\na line of plain ASCII, and Zo\xEB \n.dot\nFrom x";
  compile();
  ASSERT_TRUE(message->eight_bit());
  EXPECT_THAT(compose("Zoe").unstuffed,
              HasSubstr("\r\n\r\na line of plain ASCII, and Zo\xEB \r\n.dot\r\nFrom x\r\n"));
  const Message made = seven_bit();
  EXPECT_EQ(made.header("Content-Transfer-Encoding"), "quoted-printable");
  EXPECT_EQ(made.header("Content-Type"), "text/plain; charset=iso-8859-1");
  EXPECT_EQ(decode_qp(made.body), "a line of plain ASCII, and Zo\xEB \r\n.dot\r\nFrom x\r\n");
}

TEST_F(DowngradeTest, TextThatIsMostlyNotAsciiAndWhatIsNoTextBecomeBase64) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "\xE6\x97\xA5\xE6\x9C\xAC\n";
  input.eml =
      "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n"
      "Content-Transfer-Encoding: 8bit\n\n--b\nContent-Type: text/plain; charset=utf-8\n"
      "Content-Transfer-Encoding: 8bit\n\n" +
      text + "\n--b\nContent-Type: application/xml\nContent-Transfer-Encoding: 8bit\n\n<\xE9/>\n" +
      "--b\nContent-Transfer-Encoding: 8bit\n\nonly ASCII\n--b--\n";
  compile();
  const Message made = seven_bit();
  EXPECT_THAT(made.wire, Not(HasSubstr("8bit")));
  EXPECT_EQ(made.header("Content-Transfer-Encoding"), "7bit");
  const auto encoded_behind = [&](const std::string& front) {
    const size_t begin = made.unstuffed.find(front) + front.size();
    std::string encoded =
        made.unstuffed.substr(begin, made.unstuffed.find("\r\n--b", begin) - begin);
    std::erase_if(encoded, [](char c) { return c == '\r' || c == '\n'; });
    std::string out = decode_base64(encoded);
    std::erase(out, '\r');
    return out;
  };
  EXPECT_EQ(encoded_behind("charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"), text);
  EXPECT_EQ(encoded_behind("application/xml\r\nContent-Transfer-Encoding: base64\r\n\r\n"),
            "<\xE9/>");
  EXPECT_THAT(made.unstuffed,
              HasSubstr("Content-Transfer-Encoding: 7bit\r\n\r\nonly ASCII\r\n--b--\r\n"));
}

TEST_F(DowngradeTest, PartsWithFieldsStandBesideOnesThatAreDowngraded) {
  input.eml =
      "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nHi {{name}}\n--b\n"
      "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\xC3\xA9\n"
      "--b--\n";
  compile();
  EXPECT_THAT(seven_bit().unstuffed,
              HasSubstr("Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9\r\n--b--"));
}

TEST_F(DowngradeTest, WhatMayNotChangeRefusesTheRow) {
  const std::string part = "--b\nContent-Transfer-Encoding: 8bit\n\n\xC3\xA9\n--b--\n";
  for (const std::string& eml : std::vector<std::string>{
           "Content-Type: multipart/signed; boundary=b\n\n" + part,
           "Content-Type: multipart/mixed; boundary=b\n\nbefore \xC3\xA9\n" + part,
           "Content-Type: message/rfc822\n\nSubject: x\n\n\xC3\xA9\n",
           "Content-Type: multipart/mixed; boundary=b\n\n--b\nX-Y: \xC3\xA9\n\nx\n--b--\n",
           "Content-Type: text/plain\nContent-Transfer-Encoding: x-own\n\n\xC3\xA9\n"}) {
    input.eml = eml;
    compile();
    EXPECT_TRUE(message->eight_bit());
    const ComposeResult result = try_seven_bit();
    EXPECT_EQ(to_string(result.refusal.enhanced), "5.6.3") << eml;
    EXPECT_TRUE(try_row("Zoe").ok());
  }
}

TEST_F(DowngradeTest, ASignedPartBesideKeepsEveryOctet) {
  const std::string own =
      "--s\nContent-Type: multipart/mixed; boundary=i\nContent-Transfer-Encoding: 8bit\n\n--i\n"
      "Content-Transfer-Encoding: 8bit\n\nASCII\n--i--\n--s\n\nsignature\n--s--\n";
  input.eml =
      "Content-Type: multipart/mixed; boundary=b\n\n--b\n"
      "Content-Type: multipart/signed; boundary=s\n\n" +
      own + "--b\nContent-Transfer-Encoding: 8bit\n\n\xC3\xA9\n--b--\n";
  compile();
  std::string unstuffed = seven_bit().unstuffed;
  std::erase(unstuffed, '\r');
  EXPECT_THAT(unstuffed, HasSubstr(own));
  EXPECT_THAT(unstuffed, HasSubstr("quoted-printable\n\n=C3=A9\n--b--"));
}

}  // namespace
}  // namespace sluice
