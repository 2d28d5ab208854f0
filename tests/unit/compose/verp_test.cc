// What names the recipient: the envelope sender, {{token}} and List-Unsubscribe.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/compose/decode.h"

namespace sluice {
namespace {

using testing::ComposeTest;
using testing::decode_qp;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using testing::Message;

class VerpTest : public ComposeTest {
 protected:
  VerpTest() {
    input.text = "Hi.\n";
    auto keys = TokenKeys::parse(std::string(64, '1'), std::string(64, '2'));
    EXPECT_TRUE(keys.ok());
    input.token_keys = *keys;
  }
  std::string token_of(TokenKind kind, uint64_t number) {
    return std::string(text_of(TokenMaker(input.token_keys, input.job_id).make(kind, number)));
  }
};

TEST_F(VerpTest, EachRecipientHasASenderOfItsOwn) {
  spec.envelope_sender = "bounce@example.com";
  compile();
  compose("Zoe");
  EXPECT_EQ(sender(), "bounce@example.com");
  spec.verp = true;
  compile();
  compose("Zoe");
  const std::string first = sender();
  EXPECT_EQ(first, "bounce+" + token_of(TokenKind::kBounce, 42) + "@example.com");
  row.number = 43;
  EXPECT_NE(sender(), first);
  EXPECT_TRUE(message->has_tokens());
  input.verp_delimiter = "-";
  compile();
  EXPECT_THAT(sender(), MatchesRegex("bounce-[a-z2-7]+@example\\.com"));
}

TEST_F(VerpTest, SharesNoTransaction) {
  spec.subject = "s";
  spec.from = "news@example.com";
  spec.message.text.clear();
  spec.message.eml = "m.eml";
  input.eml = "From: news@example.com\nTo: all@example.com\nSubject: s\n\nHi.\n";
  compile();
  EXPECT_TRUE(message->is_shared());
  const Message shared = compose("");
  spec.verp = true;
  compile();
  EXPECT_FALSE(message->is_shared());
  EXPECT_NE(compose("").header("Message-ID"), shared.header("Message-ID"));
}

TEST_F(VerpTest, WhatLeavesNoRoomForTheTokenIsRefused) {
  spec.verp = true;
  spec.envelope_sender = std::string(31, 'a') + "@example.com";
  compile();
  compose("Zoe");
  EXPECT_EQ(sender().rfind('@'), 64U);
  spec.envelope_sender = std::string(32, 'a') + "@example.com";
  EXPECT_THAT(error(), HasSubstr("at most 31 of its 64 octets"));
  spec.envelope_sender = "<>";
  EXPECT_THAT(error(), HasSubstr("the null sender cannot name a recipient"));
}

TEST_F(VerpTest, TheFieldIsTheUnsubscribeTokenEverywhere) {
  spec.subject = "{{token}}";
  spec.message.html = "body.html";
  input.text = "{{#token}}{{token}}{{/token}}\n";
  input.html = "<a href=\"https://x.example/{{token}}\">\n";
  compile();
  const std::string token = token_of(TokenKind::kUnsubscribe, 42);
  const Message m = compose("Zoe");
  EXPECT_EQ(m.header("Subject"), token);
  const size_t text = m.body.find("\r\n\r\n") + 4;
  const size_t end = m.body.find("\r\n--", text);
  EXPECT_EQ(decode_qp(m.body.substr(text, end - text)), token + "\r\n");
  EXPECT_TRUE(message->has_tokens());
  EXPECT_FALSE(message->is_shared());
  input.token_keys = nullptr;
  compile();
  EXPECT_EQ(compose("Zoe").header("Subject"), std::string(32, 'x'));
}

TEST_F(VerpTest, OneClickUnsubscribe) {
  spec.subject = "s";
  spec.unsubscribe.url = "https://example.com/u/{{token}}?n={{name}}";
  spec.unsubscribe.mailto = "un+sub@example.com";
  compile();
  const std::string token = token_of(TokenKind::kUnsubscribe, 42);
  const Message m = compose("Zo\xC3\xAB & <x>\r\nX: y");
  EXPECT_EQ(m.raw_header("List-Unsubscribe"), "<https://example.com/u/" + token +
                                                  "?n=Zo%C3%AB%20%26%20%3Cx%3E%0D%0AX%3A%20y>,\r\n"
                                                  " <mailto:un%2Bsub@example.com?subject=" +
                                                  token + ">");
  EXPECT_EQ(m.raw_header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
  spec.unsubscribe.url.clear();
  compile();
  EXPECT_EQ(compose("Zoe").raw_header("List-Unsubscribe-Post"), "<none>");
}

TEST_F(VerpTest, UnsubscribeThatCannotWorkIsRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"http://example.com/{{token}}", "does not begin with https://"},
      {"https://example.com/", "is the same for everybody"},
      {"https://example.com/a b{{token}}", "is not of the form"},
      {"https://example.com/{{tokn}}", "did you mean \"token\"?"},
      {"https://example.com/{{token}}>", "is not of the form"},
  };
  for (const auto& [url, words] : cases) {
    spec.unsubscribe.url = url;
    EXPECT_THAT(error(), HasSubstr(words)) << url;
  }
  spec.unsubscribe = {"", "nobody"};
  EXPECT_THAT(error(), HasSubstr("is no address"));
  spec.unsubscribe = {"https://example.com/{{token}}", ""};
  spec.headers = {{"list-unsubscribe-POST", "x"}};
  EXPECT_THAT(error(), HasSubstr("[unsubscribe] makes it"));
}

TEST_F(VerpTest, ListHeadersOfTheJobAreUrisToo) {
  spec.headers = {
      {"List-Unsubscribe", "<{{x}}>, <https://example.com/" + std::string(100, 'a') + "/{{name}}>"},
      {"List-Post", "NO"}};
  compile();
  const std::string link = "https://link.example/?a=1&b=2";
  const Message m = compose("Zoe M", link);
  EXPECT_EQ(m.raw_header("List-Unsubscribe"),
            "<" + link + ">,\r\n <https://example.com/" + std::string(100, 'a') + "/Zoe%20M>");
  EXPECT_EQ(m.raw_header("List-Post"), "NO");
  for (const std::string& bad :
       {std::string("a b"), std::string("a>b"), std::string(), std::string(1'000, 'a')}) {
    const ComposeResult result = try_row("Zoe", bad);
    EXPECT_FALSE(result.ok()) << bad;
    EXPECT_THAT(result.refusal.text, HasSubstr("no URI of at most 990 octets"));
  }
  spec.headers = {{"List-Unsubscribe", "<https://a.example/> https://b.example"}};
  EXPECT_THAT(error(), HasSubstr("is not of the form"));
}

}  // namespace
}  // namespace sluice
