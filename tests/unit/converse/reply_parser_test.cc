#include "engine/converse/reply_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using Status = ReplyParser::Status;

// All replies of a stream as "code|enhanced|text", then "error: ..." where it ends so.
std::vector<std::string> replies_of(const std::vector<std::string_view>& chunks,
                                    const ReplyLimits& limits) {
  ReplyParser parser(limits);
  std::vector<std::string> out;
  for (std::string_view bytes : chunks) {
    for (;;) {
      const Status status = parser.parse(bytes);
      if (status == Status::kNeedMore) {
        EXPECT_TRUE(bytes.empty());
        break;
      }
      if (status == Status::kError) {
        out.push_back("error: " + std::string(parser.error()));
        return out;
      }
      const Reply& reply = parser.reply();
      out.push_back(std::to_string(reply.code) + "|" + to_string(reply.enhanced) + "|" +
                    reply.text);
    }
  }
  return out;
}

std::string_view operator""_view(const char* text, size_t size) { return {text, size}; }

struct Case {
  std::string_view stream;
  std::vector<std::string> replies;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {"220 mx.example ESMTP\r\n", {"220||mx.example ESMTP"}},
      {"250\r\n", {"250||"}},
      {"250 \r\n", {"250||"}},
      {"250\n354 go\n", {"250||", "354||go"}},
      {"250-a\r\n250-b\r\n250 c\r\n", {"250||a\nb\nc"}},
      {"250-\r\n250-\r\n250 x\r\n", {"250||\n\nx"}},
      {"250-a\r\n250\r\n", {"250||a\n"}},
      {"250-a\n250 b\r\n221 bye\r\n", {"250||a\nb", "221||bye"}},
      {"550 5.1.1 no such user\r\n", {"550|5.1.1|no such user"}},
      {"550-5.1.1 no\r\n550 5.1.1 user\r\n", {"550|5.1.1|no\nuser"}},
      {"550-5.1.1 no\r\n550 5.7.26 user\r\n", {"550|5.7.26|no\nuser"}},
      {"550-5.1.1 no\r\n550 user\r\n", {"550||no\nuser"}},
      {"550 5.1.1\r\n", {"550|5.1.1|"}},
      {"550 5.1.1000 x\r\n", {"550||5.1.1000 x"}},
      {"550 5.1. x\r\n", {"550||5.1. x"}},
      {"550 5.1.1: x\r\n", {"550||5.1.1: x"}},
      {"550 3.1.1 x\r\n", {"550||3.1.1 x"}},
      {"550 005.1.1 x\r\n", {"550||005.1.1 x"}},
      {"550 5.01.1 x\r\n", {"550|5.1.1|x"}},
      {"450 4.999.999 x\r\n", {"450|4.999.999|x"}},
      {"250 a\rb\r\r\n", {"250||a\rb\r"}},
      {"250 \xC3\xA4\xFF\x7F\r\n", {"250||\xC3\xA4\xFF\x7F"}},
      {"599 x\r\n200 y\r\n", {"599||x", "200||y"}},
      {"250-a\r\n251 b\r\n", {"error: lines of one reply with different codes"}},
      {"\r\n", {"error: a line that is no reply"}},
      {"\n", {"error: a line that is no reply"}},
      {"25\r\n", {"error: a line that is no reply"}},
      {"2x0 a\r\n", {"error: a line that is no reply"}},
      {"150 a\r\n", {"error: a line that is no reply"}},
      {"600 a\r\n", {"error: a line that is no reply"}},
      {"250+a\r\n", {"error: a line that is no reply"}},
      {"2500 a\r\n", {"error: a line that is no reply"}},
      {" 250 a\r\n", {"error: a line that is no reply"}},
      {"HTTP/1.1 400 Bad Request\r\n", {"error: a line that is no reply"}},
      {"250 ok\r\ngarbage\r\n250 ok\r\n", {"250||ok", "error: a line that is no reply"}},
      {"250-half", {}},
      {"250-half\r\n", {}},
      {"", {}},
  };
  return kCases;
}

TEST(ReplyParser, WholeStreams) {
  for (const Case& c : cases()) EXPECT_EQ(replies_of({c.stream}, {}), c.replies) << c.stream;
}

TEST(ReplyParser, EverySplitPointGivesTheSame) {
  for (const Case& c : cases()) {
    std::vector<std::string_view> octets;
    for (size_t i = 0; i < c.stream.size(); ++i) octets.push_back(c.stream.substr(i, 1));
    EXPECT_EQ(replies_of(octets, {}), c.replies) << c.stream;
    for (size_t i = 0; i <= c.stream.size(); ++i) {
      for (size_t k = i; k <= c.stream.size(); ++k) {
        EXPECT_EQ(
            replies_of({c.stream.substr(0, i), c.stream.substr(i, k - i), c.stream.substr(k)}, {}),
            c.replies)
            << c.stream << " cut at " << i << " and " << k;
      }
    }
  }
}

TEST(ReplyParser, KeepsNul) {
  EXPECT_EQ(replies_of({"250 a\0b\r\n"_view}, {}),
            (std::vector<std::string>{std::string("250||a\0b"_view)}));
}

TEST(ReplyParser, LineLimitIsExactWhereverItIsCut) {
  const ReplyLimits limits{10, 1'000};
  const std::string fits = "250 123456\r\n";
  const std::string over = "250 1234567\r\n";
  const std::string endless = "250 12345678901234567890";
  const std::vector<std::string> too_long = {"error: reply line too long"};
  for (size_t i = 0; i <= fits.size(); ++i) {
    EXPECT_EQ(
        replies_of({std::string_view(fits).substr(0, i), std::string_view(fits).substr(i)}, limits),
        (std::vector<std::string>{"250||123456"}));
  }
  for (size_t i = 0; i <= over.size(); ++i) {
    EXPECT_EQ(
        replies_of({std::string_view(over).substr(0, i), std::string_view(over).substr(i)}, limits),
        too_long);
  }
  for (size_t i = 0; i <= endless.size(); ++i) {
    EXPECT_EQ(
        replies_of({std::string_view(endless).substr(0, i), std::string_view(endless).substr(i)},
                   limits),
        too_long);
  }
}

TEST(ReplyParser, ReplyLimit) {
  const ReplyLimits limits{10, 15};
  EXPECT_EQ(replies_of({"250-1\r\n250-2\r\n250 3\r\n"}, limits),
            (std::vector<std::string>{"250||1\n2\n3"}));
  EXPECT_EQ(replies_of({"250-1\r\n250-2\r\n250 34\r\n"}, limits),
            (std::vector<std::string>{"error: reply too long"}));
  std::string endless;
  for (int i = 0; i < 20'000; ++i) endless += "250-on and on\r\n";
  EXPECT_EQ(replies_of({endless}, {}), (std::vector<std::string>{"error: reply too long"}));
}

TEST(ReplyParser, LongRepliesAreTakenAndTheirMemoryGivenBack) {
  ReplyParser parser({});
  std::string stream = "250-" + std::string(4'092, 'x') + "\r\n250 y\r\n250 z\r\n";
  std::string_view bytes = stream;
  ASSERT_EQ(parser.parse(bytes), Status::kReply);
  EXPECT_EQ(parser.reply().text.size(), 4'094U);
  ASSERT_EQ(parser.parse(bytes), Status::kReply);
  EXPECT_EQ(parser.reply().text, "z");
  EXPECT_LT(parser.reply().text.capacity(), 1'024U);
}

TEST(ReplyParser, StaysBroken) {
  ReplyParser parser({});
  std::string_view bytes = "nonsense\r\n250 ok\r\n";
  EXPECT_EQ(parser.parse(bytes), Status::kError);
  bytes = "250 ok\r\n";
  EXPECT_EQ(parser.parse(bytes), Status::kError);
}

}  // namespace
}  // namespace sluice
