// Scanner, options, identities, replies, windows: the small parts.
#include <gtest/gtest.h>

#include <sstream>

#include "tools/sink/content_scan.h"
#include "tools/sink/identity.h"
#include "tools/sink/ledger.h"
#include "tools/sink/options.h"
#include "tools/sink/path.h"
#include "tools/sink/replies.h"

namespace sluice::sink {
namespace {

// How many octets end the content, by the definition.
size_t end_by_definition(std::string_view text) {
  const std::string whole = "\r\n" + std::string(text);
  const size_t at = whole.find("\r\n.\r\n");
  return at == std::string::npos ? 0 : at + 3;
}

TEST(ContentScan, AgreesWithTheDefinitionOnAllShortTexts) {
  constexpr std::string_view kAlphabet = "\r\n.x";
  for (uint32_t number = 0; number < 1U << 16; ++number) {
    std::string text;
    for (uint32_t i = 0; i < 8; ++i) text += kAlphabet[number >> (2 * i) & 3];
    for (const size_t piece : {1UL, 3UL, 8UL}) {
      ContentScan scan;
      scan.begin();
      bool ended = false;
      size_t used = 0;
      for (size_t at = 0; at < text.size() && !ended; at += piece) {
        used += scan.feed(std::string_view(text).substr(at, piece), ended);
      }
      ASSERT_EQ(ended ? used : 0, end_by_definition(text)) << number << " in " << piece;
    }
  }
}

TEST(ContentScan, FindsTheEndAnywhereInALongPiece) {
  for (size_t before = 0; before < 100; ++before) {
    const std::string text = std::string(before, 'x') + "\n.\r\n..\r\n\r\n.\r\nNOOP\r\n";
    ContentScan scan;
    scan.begin();
    bool ended = false;
    EXPECT_EQ(scan.feed(text, ended), end_by_definition(text));
    EXPECT_TRUE(ended);
  }
}

TEST(Options, Listen) {
  std::vector<SocketAddress> out;
  ASSERT_TRUE(parse_listen("127.0.1.250-127.0.2.3:2525", out).ok());
  ASSERT_EQ(out.size(), 10U);
  EXPECT_EQ(to_string(out[6]), "127.0.2.0:2525");
  out.clear();
  ASSERT_TRUE(parse_listen("[::1]-[::3]:25", out).ok());
  EXPECT_EQ(out.size(), 3U);
  for (const char* bad : {"", "127.0.0.1", "127.0.0.9-127.0.0.1:25", "127.0.0.1-[::1]:25",
                          "10.0.0.0-11.0.0.0:25", "x:25"}) {
    out.clear();
    EXPECT_FALSE(parse_listen(bad, out).ok()) << bad;
  }
}

TEST(Options, OddsAndRules) {
  std::vector<OddsRule> odds;
  EXPECT_TRUE(parse_odds("rcpt:452/4.2.2=0.25", odds).ok());
  EXPECT_EQ(odds[0].command, Command::kRcpt);
  EXPECT_EQ(odds[0].fault.code, 452);
  EXPECT_EQ(odds[0].fault.enhanced, "4.2.2");
  EXPECT_TRUE(parse_odds("any:reset=0.1", odds).ok());
  EXPECT_EQ(odds.size(), 1 + kCommands);
  for (const char* bad :
       {"", "RCPT", "RCPT:550", "RCPT:250=0.1", "RCPT:550=2", "RCPT:550=x", "FOO:550=0.1",
        "RCPT:550/4.1.1=0.1", "RCPT:lose-reply=0.1", "RCPT:550=nan", "RCPT=1:550"}) {
    EXPECT_FALSE(parse_odds(bad, odds).ok()) << bad;
  }
  std::vector<RecipientRule> rules;
  EXPECT_FALSE(parse_recipient_rule("sometimes:0.1", rules).ok());
  EXPECT_FALSE(parse_recipient_rule("refuse", rules).ok());
  EXPECT_EQ(*parse_duration("1.5ms"), 1500us);
  EXPECT_EQ(*parse_size("64KiB"), 65'536U);
  EXPECT_FALSE(parse_duration("100").ok());
  EXPECT_FALSE(parse_duration("2h").ok());
  EXPECT_FALSE(parse_size("10 apples").ok());
}

TEST(Options, SumsAreChecked) {
  SinkOptions options;
  EXPECT_FALSE(check_options(options).ok());
  ASSERT_TRUE(parse_listen("127.0.0.1:25", options.listen).ok());
  EXPECT_TRUE(check_options(options).ok());
  ASSERT_TRUE(parse_odds("RCPT:550=0.6", options.odds).ok());
  ASSERT_TRUE(parse_odds("RCPT:451=0.6", options.odds).ok());
  EXPECT_FALSE(check_options(options).ok());
  options.odds.clear();
  options.identities_file = "x";
  EXPECT_FALSE(check_options(options).ok());
}

TEST(Path, Forms) {
  EXPECT_EQ(parse_path("FROM:<a@b.example> X=1", "FROM:").parameters, "X=1");
  EXPECT_TRUE(parse_path("TO:<postmaster>", "TO:").ok);
  for (const char* bad : {"", "TO:", "TO:<a@b", "TO:<a b@c>", "TO:<a@>", "TO:<@b>", "TO:<a@b>x",
                          "TO:<\"a@b>", "TO:<a\x01@b>"}) {
    EXPECT_FALSE(parse_path(bad, "TO:").ok) << bad;
  }
}

TEST(Identity, LostOnceTwiceMore) {
  for (const bool exact : {false, true}) {
    IdentityTable table(exact);
    for (const char* name : {"a", "b", "b", "c", "c", "c", "d"}) table.add(name);
    const IdentitySummary sum = table.summary();
    EXPECT_EQ(sum.distinct, 4U);
    EXPECT_EQ(sum.once, 2U);
    EXPECT_EQ(sum.twice, 1U);
    EXPECT_EQ(sum.more, 1U);
    EXPECT_EQ(sum.repeated, (std::vector<std::string>{"b", "c"}));
    std::istringstream lines("a\r\nb\nz\n\na\nc\n");
    const Expectation e = table.compare(lines);
    EXPECT_EQ(e.expected, 4U);
    EXPECT_EQ(e.lost, 1U);
    EXPECT_EQ(e.unexpected, 1U);
    EXPECT_EQ(e.missed, std::vector<std::string>{"z"});
    if (exact) {
      std::ostringstream out;
      table.write(out);
      EXPECT_EQ(out.str(), "a 1\nb 2\nc 3\nd 1\n");
    }
  }
}

TEST(Replies, EveryLineHasTheCode) {
  for (uint16_t code = 400; code < 600; ++code) {
    for (size_t command = 0; command < kCommands; ++command) {
      for (uint64_t pick = 0; pick < 4; ++pick) {
        std::string out;
        append_fault_reply(out, static_cast<Command>(command), code, "", pick, true);
        ASSERT_TRUE(out.size() > 6 && out.substr(out.size() - 2) == "\r\n");
        for (size_t at = 0; at < out.size(); at = out.find("\r\n", at) + 2) {
          ASSERT_EQ(out.substr(at, 3), std::to_string(code));
          const bool last = out.find("\r\n", at) + 2 == out.size();
          ASSERT_EQ(out[at + 3], last ? ' ' : '-');
        }
      }
    }
  }
  std::string out;
  append_fault_reply(out, Command::kRcpt, 550, "5.1.1", 0, false);
  EXPECT_EQ(out.substr(0, 8), "550-The ");
  out.clear();
  append_fault_reply(out, Command::kRcpt, 550, "5.9.9", 0, true);
  EXPECT_EQ(out, "550 5.9.9 Requested action not taken\r\n");
}

TEST(RateSeries, MostInAWindow) {
  RateSeries series;
  RateSeries other;
  for (uint32_t ms = 0; ms < 3'000; ms += 10) (ms % 20 == 0 ? series : other).add(ms);
  series.merge(other);
  EXPECT_EQ(series.most_in(1'000), 100U);
  EXPECT_EQ(series.most_in(10), 1U);
  EXPECT_EQ(series.by_second(10), (std::vector<uint64_t>{100, 100, 100}));
  EXPECT_EQ(RateSeries().most_in(1'000), 0U);
}

TEST(Gauge, KeepsItsPeakAndLimit) {
  Gauge gauge;
  EXPECT_TRUE(gauge.try_raise(2));
  EXPECT_TRUE(gauge.try_raise(2));
  EXPECT_FALSE(gauge.try_raise(2));
  gauge.lower();
  EXPECT_EQ(gauge.value(), 1U);
  EXPECT_EQ(gauge.peak(), 2U);
  EXPECT_TRUE(gauge.try_raise(0));
}

}  // namespace
}  // namespace sluice::sink
