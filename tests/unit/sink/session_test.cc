#include "tools/sink/session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::sink {
namespace {

class Keeper : public Recorder {
 public:
  void accept(const Message& message) override {
    std::string line = std::string(message.sender) + " ->";
    for (uint32_t i = 0; i < message.recipient_count; ++i) line += " " + message.recipients[i];
    line += " #" + std::to_string(message.bytes);
    if (!message.identity.empty()) line += " id " + std::string(message.identity);
    if (!message.content.empty()) content = std::string(message.content);
    messages.push_back(line);
  }
  std::vector<std::string> messages;
  std::string content;
};

struct Talk {
  explicit Talk(SinkOptions o = {}) : options(std::move(o)) {
    next = session.greet(out);
    greeting.swap(out);
  }
  std::string say(std::string_view text) {
    out.clear();
    next = session.feed(text, out);
    return out;
  }
  // The codes of the replies to `text`, final lines only.
  std::string codes(std::string_view text) {
    const std::string replies = say(text);
    std::string all;
    for (size_t at = 0; at < replies.size(); at = replies.find('\n', at) + 1) {
      if (replies[at + 3] == ' ') all += (all.empty() ? "" : " ") + replies.substr(at, 3);
    }
    return all;
  }

  SinkOptions options;
  FirstAttempts first_attempts;
  Faults faults{options, first_attempts, 0};
  Keeper keeper;
  SessionContext context{options.session, faults, keeper};
  Session session{context};
  std::string out;
  std::string greeting;
  Next next = Next::kGoOn;
};

constexpr std::string_view kWholeTalk =
    "EHLO me\r\nMAIL FROM:<a@x.example> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<b@Y.example>\r\n"
    "RCPT TO:<nobody>\r\nDATA\r\n"
    "Subject: x\r\n\r\n..dot\r\n.\n.\r.\r\n\r\n.\r\n"
    "RSET\r\nMAIL FROM:<>\r\nRCPT TO:<c@y.example>\r\nBDAT 5\r\n.\r\n\r\nBDAT 3 LAST\r\nabc"
    "MAIL FROM:<d@x.example>\r\nRCPT TO:<e@y.example>\r\nDATA\r\n.\r\nNOOP\r\nQUIT\r\n";

TEST(Session, GreetsAndOffersWhatItCan) {
  Talk talk;
  EXPECT_EQ(talk.greeting, "220 mx.sink.example ESMTP sluice sink\r\n");
  EXPECT_EQ(talk.say("EHLO me\r\n"),
            "250-mx.sink.example\r\n250-PIPELINING\r\n250-SIZE 67108864\r\n250-CHUNKING\r\n"
            "250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n");
}

TEST(Session, OffersOnlyWhatIsSwitchedOn) {
  SinkOptions options;
  SessionOptions& s = options.session;
  s.pipelining = s.chunking = s.size = s.eight_bit_mime = s.smtputf8 = s.enhanced_codes = false;
  s.messages_max = 5;
  s.recipients_max = 2;
  Talk talk(options);
  EXPECT_EQ(talk.say("EHLO me\r\n"), "250-mx.sink.example\r\n250 LIMITS MAILMAX=5 RCPTMAX=2\r\n");
  EXPECT_EQ(talk.say("MAIL FROM:<a@x.example>\r\n"), "250 OK\r\n");
  EXPECT_EQ(talk.codes("BDAT 3 LAST\r\n"), "502");
}

TEST(Session, FallsBackToHelo) {
  SinkOptions options;
  options.session.ehlo = false;
  Talk talk(options);
  EXPECT_EQ(talk.codes("EHLO me\r\nHELO me\r\nMAIL FROM:<a@x.example>\r\n"), "502 250 250");
}

TEST(Session, WholeConversation) {
  Talk talk;
  EXPECT_EQ(talk.codes(kWholeTalk),
            "250 250 250 501 354 250 250 250 250 250 250 250 250 354 250 250 221");
  EXPECT_EQ(talk.next, Next::kClose);
  const std::vector<std::string> expected = {"a@x.example -> b@y.example #30", " -> c@y.example #8",
                                             "d@x.example -> e@y.example #0"};
  EXPECT_EQ(talk.keeper.messages, expected);
}

TEST(Session, SameRepliesHoweverTheInputIsCut) {
  Talk whole;
  const std::string expected = whole.say(kWholeTalk);
  for (size_t piece = 1; piece <= 64; ++piece) {
    Talk cut;
    std::string all;
    for (size_t at = 0; at < kWholeTalk.size(); at += piece) {
      all += cut.say(kWholeTalk.substr(at, piece));
    }
    EXPECT_EQ(all, expected) << piece;
    EXPECT_EQ(cut.keeper.messages, whole.keeper.messages) << piece;
  }
}

TEST(Session, OrderOfCommandsIsChecked) {
  Talk talk;
  EXPECT_EQ(talk.codes("MAIL FROM:<a@x.example>\r\nEHLO\r\nEHLO me\r\nRCPT TO:<a@b.example>\r\n"
                       "DATA\r\nMAIL FROM:<a@x.example>\r\nMAIL FROM:<a@x.example>\r\nDATA\r\n"
                       "FOO\r\nVRFY x\r\nHELP\r\n"),
            "503 501 250 503 503 250 503 554 502 252 214");
}

TEST(Session, ParametersAndPathsAreChecked) {
  SinkOptions options;
  options.session.size_max = 1'000;
  Talk talk(options);
  talk.say("EHLO me\r\n");
  EXPECT_EQ(talk.codes("MAIL FROM:<a@x.example> SIZE=1001\r\n"), "552");
  EXPECT_EQ(talk.codes("MAIL FROM:<a@x.example> SIZE=x\r\n"), "501");
  EXPECT_EQ(talk.codes("MAIL FROM:<a@x.example> BODY=BINARYMIME\r\n"), "555");
  EXPECT_EQ(talk.codes("MAIL FROM:a@x.example\r\n"), "501");
  EXPECT_EQ(talk.codes("MAIL FROM:<\xC3\xA4@x.example>\r\n"), "553");
  EXPECT_EQ(talk.codes("mail from: <\xC3\xA4@x.example> smtputf8\r\n"), "250");
  EXPECT_EQ(talk.codes("RCPT TO:<>\r\nRCPT TO:<a@b.example> NOTIFY=NEVER\r\n"), "501 555");
  EXPECT_EQ(talk.codes("RCPT TO:<\"a> b\"@c.example>\r\nRCPT TO:<@r.example:d@e.example>\r\n"),
            "250 250");
}

TEST(Session, LongLinesAreSkipped) {
  for (const size_t piece : {7UL, 4'096UL}) {
    Talk cut;
    const std::string text = "EHLO me\r\nNOOP " + std::string(20'000, 'x') + "\r\nNOOP\r\n";
    std::string all;
    for (size_t at = 0; at < text.size(); at += piece) all += cut.codes(text.substr(at, piece));
    EXPECT_TRUE(all == "250500250" || all == "250500 250") << all;
  }
  Talk talk;
  EXPECT_EQ(talk.codes("EHLO me\r\nNOOP " + std::string(20'000, 'x') + "\r\nNOOP\r\n"),
            "250 500 250");
}

TEST(Session, RefusedChunkIsSwallowed) {
  Talk talk;
  EXPECT_EQ(talk.codes("EHLO me\r\nRSET\r\nBDAT 12 LAST\r\nNOOP\r\nNOOP\r\nNOOP\r\n"),
            "250 250 503 250");
  EXPECT_EQ(talk.codes("MAIL FROM:<a@x.example>\r\nBDAT 6 LAST\r\nNOOP\r\nRSET\r\n"),
            "250 503 250");
}

TEST(Session, LargeMessagesAreRefused) {
  SinkOptions options;
  options.session.size_max = 10;
  Talk talk(options);
  talk.say("EHLO me\r\n");
  EXPECT_EQ(talk.codes("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n"
                       "01234567890\r\n.\r\n"),
            "250 250 354 552");
  EXPECT_EQ(talk.codes("MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nBDAT 11 LAST\r\n"
                       "01234567890NOOP\r\n"),
            "250 250 552 250");
  EXPECT_TRUE(talk.keeper.messages.empty());
}

TEST(Session, LimitsOfAConnection) {
  SinkOptions options;
  options.session.messages_max = 1;
  options.session.recipients_max = 1;
  Talk talk(options);
  EXPECT_EQ(talk.codes("EHLO me\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n"
                       "RCPT TO:<c@y.example>\r\nDATA\r\n.\r\nMAIL FROM:<a@x.example>\r\nNOOP\r\n"),
            "250 250 250 452 354 250 421");
  EXPECT_EQ(talk.next, Next::kClose);
}

TEST(Session, StoresContentWithoutStuffing) {
  for (size_t piece = 1; piece < 12; ++piece) {
    SinkOptions options;
    options.session.store = true;
    Talk talk(options);
    const std::string text =
        "EHLO me\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n"
        "A: b\r\n\r\n..a\r\n...\r\nb.\r\n.\r\n";
    for (size_t at = 0; at < text.size(); at += piece) talk.say(text.substr(at, piece));
    EXPECT_EQ(talk.keeper.content, "A: b\r\n\r\n.a\r\n..\r\nb.\r\n");
  }
}

TEST(Session, IdentityFromAField) {
  SinkOptions options;
  ASSERT_TRUE(parse_identity("header:X-Id", options.session).ok());
  Talk talk(options);
  talk.say("EHLO me\r\n");
  const std::string envelope = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n";
  talk.say(envelope + "DATA\r\nX-Idle: 1\r\nx-id:\r\n  seven \r\nTo: x\r\n\r\nX-Id: 8\r\n.\r\n");
  talk.say(envelope + "BDAT 21 LAST\r\nTo: x\r\n\r\nX-Id: nine\r\n");
  ASSERT_EQ(talk.keeper.messages.size(), 2U);
  EXPECT_NE(talk.keeper.messages[0].find(" id seven"), std::string::npos);
  EXPECT_EQ(talk.keeper.messages[1].find(" id "), std::string::npos);
}

TEST(Session, FaultsStrike) {
  struct Case {
    const char* odds;
    const char* codes;
    Next next;
  };
  const std::string talk_text =
      "EHLO me\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n";
  const Case cases[] = {
      {"MAIL:451=1", "250 451 503 503", Next::kGoOn},
      {"RCPT:550/5.1.1=1", "250 250 550 554", Next::kGoOn},
      {"RCPT:421=1", "250 250 421", Next::kClose},
      {"RCPT:drop=1", "250 250", Next::kClose},
      {"DATA:reset=1", "250 250 250", Next::kReset},
      {"DATA:hang=1", "250 250 250", Next::kHang},
      {"EHLO:554=1", "554 503 503 503", Next::kGoOn},
  };
  for (const Case& c : cases) {
    SinkOptions options;
    ASSERT_TRUE(parse_odds(c.odds, options.odds).ok());
    Talk talk(options);
    EXPECT_EQ(talk.codes(talk_text), c.codes) << c.odds;
    EXPECT_EQ(talk.next, c.next) << c.odds;
  }
  SinkOptions options;
  ASSERT_TRUE(parse_odds("CONNECT:554=1", options.odds).ok());
  EXPECT_EQ(Talk(options).greeting.substr(0, 4), "554 ");
}

TEST(Session, FaultsAtTheDot) {
  const std::string text =
      "EHLO me\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n.\r\nNOOP\r\n";
  SinkOptions refusing;
  ASSERT_TRUE(parse_odds("DOT:554=1", refusing.odds).ok());
  Talk refused(refusing);
  EXPECT_EQ(refused.codes(text), "250 250 250 354 554 250");
  EXPECT_TRUE(refused.keeper.messages.empty());
  SinkOptions losing;
  ASSERT_TRUE(parse_odds("DOT:lose-reply=1", losing.odds).ok());
  Talk lost(losing);
  EXPECT_EQ(lost.codes(text), "250 250 250 354");
  EXPECT_EQ(lost.next, Next::kClose);
  EXPECT_EQ(lost.keeper.messages.size(), 1U);
  const std::pair<Command, uint16_t> key{Command::kDot, 0};
  EXPECT_EQ(lost.context.counts.refused.at(key), 1U);
}

TEST(Session, RecipientRulesCanBeForetold) {
  SinkOptions options;
  ASSERT_TRUE(parse_recipient_rule("refuse:0.3", options.recipient_rules).ok());
  ASSERT_TRUE(parse_recipient_rule("defer-once:0.3", options.recipient_rules).ok());
  Talk talk(options);
  talk.say("EHLO me\r\n");
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string address = "User" + std::to_string(i) + "@y.example";
    const std::string text = "MAIL FROM:<a@x.example>\r\nRCPT TO:<" + address + ">\r\nRSET\r\n";
    const double fraction = recipient_fraction(address, options.seed);
    const std::string first = fraction < 0.3 ? "550" : fraction < 0.6 ? "451" : "250";
    refused += fraction < 0.3 ? 1 : 0;
    EXPECT_EQ(talk.codes(text), "250 " + first + " 250") << address;
    EXPECT_EQ(talk.codes(text), std::string("250 ") + (fraction < 0.3 ? "550" : "250") + " 250");
  }
  EXPECT_GT(refused, 40);
  EXPECT_LT(refused, 80);
}

TEST(Session, CountsPipeliningThatWasNotOffered) {
  SinkOptions options;
  options.session.pipelining = false;
  Talk talk(options);
  talk.say("EHLO me\r\n");
  EXPECT_EQ(talk.context.counts.pipelined_unasked, 0U);
  talk.say("NOOP\r\nNOOP\r\n");
  EXPECT_EQ(talk.context.counts.pipelined_unasked, 1U);
}

}  // namespace
}  // namespace sluice::sink
