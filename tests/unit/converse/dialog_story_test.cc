// Conversations as stories: what the receiver says, what is sent then, and what became of the
// messages. Every story is told twice: each saying in one piece, and octet by octet.
#include <gtest/gtest.h>

#include <optional>

#include "tests/unit/converse/driver.h"

namespace sluice {
namespace {

struct Exchange {
  std::string server;
  std::string client;
};

struct Story {
  const char* name;
  size_t messages;
  std::vector<Exchange> exchanges;
  std::optional<Fault> end;           // after the last exchange
  std::vector<std::string> verdicts;  // in order
  std::string failure;                // of the session; empty: none
  bool finished = true;
  bool pipelining = true;
  bool quit = false;  // said when idle
};

const std::string kEhlo = "EHLO me.example\r\n";
const std::string kGreeting = "220 mx ESMTP\r\n";
const std::string kOffer = "250-mx\r\n250 PIPELINING\r\n";
const std::string kFlight = "MAIL FROM:<s@x>\r\nRCPT TO:<r@y>\r\nDATA\r\n";
const std::string kOk = "250 ok\r\n";
const std::string kGo = "354 go\r\n";
const std::string kTaken = "250 2.0.0 queued\r\n";

std::string content(int ticket) { return "[content " + std::to_string(ticket) + "]\r\n.\r\n"; }

std::vector<Story> stories() {
  std::vector<Story> all;
  const Exchange hello = {kGreeting, kEhlo};
  const Exchange offer = {kOffer, kFlight};
  const std::string accepted = kOk + kOk + kGo;

  all.push_back({"one message, then QUIT",
                 1,
                 {hello, offer, {accepted, content(1)}, {kTaken, "QUIT\r\n"}, {"221 bye\r\n", ""}},
                 std::nullopt,
                 {"1 delivered recipient 250 2.0.0 ."},
                 "",
                 true,
                 true,
                 true});
  all.push_back({"three messages, one round trip each",
                 3,
                 {hello,
                  offer,
                  {accepted, content(1) + kFlight},
                  {kTaken + accepted, content(2) + kFlight},
                  {kTaken + accepted, content(3)},
                  {kTaken, ""}},
                 std::nullopt,
                 {"1 delivered recipient 250 2.0.0 .", "2 delivered recipient 250 2.0.0 .",
                  "3 delivered recipient 250 2.0.0 ."},
                 "",
                 false});
  all.push_back({"without PIPELINING, one command, one reply",
                 2,
                 {hello,
                  {"250 mx\r\n", "MAIL FROM:<s@x>\r\n"},
                  {kOk, "RCPT TO:<r@y>\r\n"},
                  {kOk, "DATA\r\n"},
                  {kGo, content(1)},
                  {kTaken, "MAIL FROM:<s@x>\r\n"},
                  {kOk, "RCPT TO:<r@y>\r\n"},
                  {"550 5.1.1 no\r\n", "RSET\r\n"},
                  {kOk, "QUIT\r\n"}},
                 Fault::kClosed,
                 {"1 delivered recipient 250 2.0.0 .", "2 bounced recipient 550 5.1.1 RCPT"},
                 "",
                 true,
                 true,
                 true});
  all.push_back({"PIPELINING offered and switched off",
                 1,
                 {hello, {kOffer, "MAIL FROM:<s@x>\r\n"}, {"450 later\r\n", "RSET\r\n"}, {kOk, ""}},
                 std::nullopt,
                 {"1 deferred source 450 MAIL"},
                 "",
                 false,
                 false});
  all.push_back({"HELO where EHLO is not known",
                 1,
                 {hello, {"502 what\r\n", "HELO me.example\r\n"}, {kOk, "MAIL FROM:<s@x>\r\n"}},
                 Fault::kReset,
                 {"1 deferred connection 0 4.4.2 MAIL"},
                 "deferred connection 0 4.4.2 MAIL"});

  all.push_back({"greeting refused",
                 2,
                 {{"554 5.7.1 go away\r\n", ""}},
                 std::nullopt,
                 {},
                 "deferred exchanger 554 5.7.1 banner"});
  all.push_back({"greeting 421",
                 2,
                 {{"421 busy\r\n", ""}},
                 std::nullopt,
                 {},
                 "deferred exchanger 421 banner"});
  all.push_back({"EHLO deferred",
                 2,
                 {hello, {"451 later\r\n", ""}},
                 std::nullopt,
                 {},
                 "deferred exchanger 451 EHLO"});
  all.push_back({"EHLO and HELO refused",
                 2,
                 {hello, {"550 no\r\n", "HELO me.example\r\n"}, {"550 no\r\n", ""}},
                 std::nullopt,
                 {},
                 "deferred exchanger 550 HELO"});
  all.push_back(
      {"no greeting in time", 2, {}, Fault::kTimedOut, {}, "deferred exchanger 0 4.4.2 banner"});
  all.push_back({"closed before EHLO is answered",
                 2,
                 {hello},
                 Fault::kClosed,
                 {},
                 "deferred exchanger 0 4.4.2 EHLO"});
  all.push_back({"not SMTP at all",
                 2,
                 {{"SSH-2.0-OpenSSH_9.2p1\r\n", ""}},
                 std::nullopt,
                 {},
                 "deferred exchanger 0 4.5.0 banner"});
  all.push_back({"greeting 354",
                 2,
                 {{"354 go\r\n", ""}},
                 std::nullopt,
                 {},
                 "deferred exchanger 0 4.5.0 banner"});

  all.push_back({"recipient refused in the middle of a flight",
                 3,
                 {hello,
                  offer,
                  {accepted, content(1) + kFlight},
                  {kTaken + kOk + "550 5.1.1 no\r\n503 5.5.1 no rcpt\r\n", "RSET\r\n" + kFlight},
                  {kOk + accepted, content(3)},
                  {kTaken, ""}},
                 std::nullopt,
                 {"1 delivered recipient 250 2.0.0 .", "2 bounced recipient 550 5.1.1 RCPT",
                  "3 delivered recipient 250 2.0.0 ."},
                 "",
                 false});
  all.push_back(
      {"sender refused: RCPT and DATA are no second verdict",
       1,
       {hello, offer, {"550 5.7.1 bad\r\n503 mail first\r\n554 no\r\n", "RSET\r\n"}, {kOk, ""}},
       std::nullopt,
       {"1 bounced source 550 5.7.1 MAIL"},
       "",
       false});
  all.push_back({"354 though the recipient is refused: a lone dot",
                 2,
                 {hello,
                  offer,
                  {kOk + "550 no\r\n" + kGo, ".\r\nRSET\r\n" + kFlight},
                  {"554 no recipients\r\n" + kOk + accepted, content(2)},
                  {kTaken, ""}},
                 std::nullopt,
                 {"1 bounced recipient 550 RCPT", "2 delivered recipient 250 2.0.0 ."},
                 "",
                 false});
  all.push_back({"the answer to the lone dot is ignored",
                 1,
                 {hello, offer, {kOk + "450 no\r\n" + kGo, ".\r\nRSET\r\n"}, {kTaken + kOk, ""}},
                 std::nullopt,
                 {"1 deferred recipient 450 RCPT"},
                 "",
                 false});
  all.push_back({"deferred at DATA",
                 1,
                 {hello, offer, {kOk + kOk + "451 4.3.0 later\r\n", "RSET\r\n"}, {kOk, ""}},
                 std::nullopt,
                 {"1 deferred message 451 4.3.0 DATA"},
                 "",
                 false});
  all.push_back(
      {"bounced at the dot, proved by RSET",
       1,
       {hello, offer, {accepted, content(1)}, {"554 5.6.0 spam\r\n", "RSET\r\n"}, {kOk, ""}},
       std::nullopt,
       {"1 bounced message 554 5.6.0 ."},
       "",
       false});
  all.push_back({"bounced at the dot, proved by the next 354",
                 2,
                 {hello,
                  offer,
                  {accepted, content(1) + kFlight},
                  {"554 spam\r\n" + accepted, content(2)},
                  {kTaken, ""}},
                 std::nullopt,
                 {"1 bounced message 554 .", "2 delivered recipient 250 2.0.0 ."},
                 "",
                 false});

  all.push_back({"421 to the dot: what lies behind was not attempted",
                 3,
                 {hello, offer, {accepted, content(1) + kFlight}, {"421 4.7.0 enough\r\n", ""}},
                 std::nullopt,
                 {"1 deferred connection 421 4.7.0 .", "2 waiting connection 421 4.7.0 ."},
                 "deferred connection 421 4.7.0 ."});
  all.push_back({"421 to the next MAIL: the delivery stands",
                 2,
                 {hello, offer, {accepted, content(1) + kFlight}, {kTaken + "421 bye\r\n", ""}},
                 std::nullopt,
                 {"1 delivered recipient 250 2.0.0 .", "2 deferred connection 421 MAIL"},
                 "deferred connection 421 MAIL"});
  all.push_back({"421 to DATA behind a refused recipient: the refusal stands",
                 1,
                 {hello, offer, {kOk + "550 no\r\n421 bye\r\n", ""}},
                 std::nullopt,
                 {"1 bounced recipient 550 RCPT"},
                 "deferred connection 421 DATA"});
  all.push_back({"421 between messages is a parting, not a failure",
                 1,
                 {hello, offer, {accepted, content(1)}, {kTaken, ""}, {"421 idle\r\n", ""}},
                 std::nullopt,
                 {"1 delivered recipient 250 2.0.0 ."},
                 ""});
  all.push_back({"closed between messages is a parting, not a failure",
                 1,
                 {hello, offer, {accepted, content(1)}, {kTaken, ""}},
                 Fault::kClosed,
                 {"1 delivered recipient 250 2.0.0 ."},
                 ""});
  all.push_back({"closed before the first message is a failure",
                 0,
                 {hello, {kOffer, ""}},
                 Fault::kClosed,
                 {},
                 "deferred connection 0 4.4.2 MAIL"});
  all.push_back({"421 to RSET after a refusal is a parting",
                 1,
                 {hello, offer, {kOk + "550 no\r\n503 no\r\n", "RSET\r\n"}, {"421 bye\r\n", ""}},
                 std::nullopt,
                 {"1 bounced recipient 550 RCPT"},
                 ""});

  all.push_back({"closed after the dot: maybe delivered",
                 2,
                 {hello, offer, {accepted, content(1) + kFlight}},
                 Fault::kClosed,
                 {"1 deferred connection 0 4.4.2 . maybe", "2 deferred connection 0 4.4.2 MAIL"},
                 "deferred connection 0 4.4.2 ."});
  all.push_back({"no answer to the dot in time",
                 1,
                 {hello, offer, {accepted, content(1)}},
                 Fault::kTimedOut,
                 {"1 deferred connection 0 4.4.2 . maybe"},
                 "deferred connection 0 4.4.2 ."});
  all.push_back({"half a reply to the dot, then closed",
                 1,
                 {hello, offer, {accepted, content(1)}, {"250-2.0.0 que", ""}},
                 Fault::kClosed,
                 {"1 deferred connection 0 4.4.2 . maybe"},
                 "deferred connection 0 4.4.2 ."});
  all.push_back({"broken before DATA is answered",
                 1,
                 {hello, offer, {kOk + kOk, ""}},
                 Fault::kReset,
                 {"1 deferred connection 0 4.4.2 DATA"},
                 "deferred connection 0 4.4.2 DATA"});
  all.push_back({"broken behind a refusal: the refusal stands",
                 1,
                 {hello, offer, {kOk + "550 5.1.1 no\r\n", ""}},
                 Fault::kReset,
                 {"1 bounced recipient 550 5.1.1 RCPT"},
                 "deferred connection 0 4.4.2 DATA"});
  all.push_back({"silence behind a refusal: it may have answered another command",
                 1,
                 {hello, offer, {kOk + "554 5.5.1 no valid recipients\r\n", ""}},
                 Fault::kTimedOut,
                 {"1 deferred connection 0 4.4.2 DATA"},
                 "deferred connection 0 4.4.2 DATA"});
  all.push_back({"earlier answers count when the connection breaks later",
                 2,
                 {hello, offer, {accepted, content(1) + kFlight}, {kTaken + kOk, ""}},
                 Fault::kReset,
                 {"1 delivered recipient 250 2.0.0 .", "2 deferred connection 0 4.4.2 RCPT"},
                 "deferred connection 0 4.4.2 RCPT"});

  all.push_back({"garbage in the middle",
                 2,
                 {hello, offer, {accepted, content(1) + kFlight}, {kTaken + "what?\r\n", ""}},
                 std::nullopt,
                 {"1 delivered recipient 250 2.0.0 .", "2 deferred connection 0 4.5.0 MAIL"},
                 "deferred connection 0 4.5.0 MAIL"});
  all.push_back({"garbage after the dot",
                 1,
                 {hello, offer, {accepted, content(1)}, {"ok, taken\r\n", ""}},
                 std::nullopt,
                 {"1 deferred connection 0 4.5.0 . maybe"},
                 "deferred connection 0 4.5.0 ."});
  all.push_back({"endless reply",
                 1,
                 {hello, offer, {std::string(5'000, '2'), ""}},
                 std::nullopt,
                 {"1 deferred connection 0 4.5.0 MAIL"},
                 "deferred connection 0 4.5.0 MAIL"});
  all.push_back(
      {"two answers to the dot: nobody is believed",
       2,
       {hello, offer, {accepted, content(1) + kFlight}, {kTaken + kTaken + kOk + kOk, ""}},
       std::nullopt,
       {"1 deferred connection 0 4.5.0 . maybe", "2 deferred connection 0 4.5.0 DATA"},
       "deferred connection 0 4.5.0 DATA"});
  all.push_back({"a refusal that belongs elsewhere bounces nobody",
                 1,
                 {hello, offer, {kOk + "550 no\r\n503 no\r\n", "RSET\r\n"}, {"354 go\r\n", ""}},
                 std::nullopt,
                 {"1 deferred connection 0 4.5.0 ."},
                 "deferred connection 0 4.5.0 RSET"});
  all.push_back({"RSET not known here",
                 1,
                 {hello, offer, {kOk + "550 no\r\n503 no\r\n", "RSET\r\n"}, {"502 no\r\n", ""}},
                 std::nullopt,
                 {"1 deferred connection 0 4.5.0 ."},
                 "deferred connection 0 4.5.0 RSET"});
  all.push_back({"refused, and then DATA said 250",
                 1,
                 {hello, offer, {kOk + "550 no\r\n" + kOk, ""}},
                 std::nullopt,
                 {"1 deferred connection 0 4.5.0 DATA"},
                 "deferred connection 0 4.5.0 DATA"});
  all.push_back({"MAIL not known here",
                 1,
                 {hello, offer, {"500 what\r\n", ""}},
                 std::nullopt,
                 {"1 deferred connection 0 4.5.0 MAIL"},
                 "deferred connection 0 4.5.0 MAIL"});
  all.push_back({"MAIL out of sequence",
                 1,
                 {hello, offer, {"503 hello first\r\n", ""}},
                 std::nullopt,
                 {"1 deferred source 503 MAIL"},
                 "deferred source 503 MAIL"});
  all.push_back({"an answer to nothing, between messages",
                 1,
                 {hello, offer, {accepted, content(1)}, {kTaken, ""}, {kOk, ""}},
                 std::nullopt,
                 {"1 delivered recipient 250 2.0.0 ."},
                 "deferred connection 0 4.5.0 MAIL"});
  all.push_back({"no answer to QUIT",
                 1,
                 {hello, offer, {accepted, content(1)}, {kTaken, "QUIT\r\n"}},
                 Fault::kTimedOut,
                 {"1 delivered recipient 250 2.0.0 ."},
                 "",
                 true,
                 true,
                 true});
  return all;
}

void tell(const Story& story, bool octet_by_octet) {
  SCOPED_TRACE(std::string(story.name) + (octet_by_octet ? " (octet by octet)" : ""));
  DialogOptions options = options_for_tests();
  options.enable_pipelining = story.pipelining;
  Driver driver(options);
  driver.add_mail(story.messages);
  for (const Exchange& exchange : story.exchanges) {
    driver.output.clear();
    driver.says(exchange.server, octet_by_octet);
    if (story.quit && driver.mail.empty() && driver.dialog.idle()) {
      driver.dialog.quit();
      driver.work();
    }
    EXPECT_EQ(driver.output, exchange.client) << "after " << exchange.server;
  }
  if (story.end) driver.fails(*story.end);
  EXPECT_EQ(driver.verdicts, story.verdicts);
  EXPECT_EQ(driver.dialog.finished(), story.finished);
  const Verdict* failure = driver.dialog.session_failure();
  EXPECT_EQ(failure == nullptr ? "" : describe(*failure), story.failure);
  if (story.finished) {
    EXPECT_FALSE(driver.dialog.awaits_reply());
    EXPECT_FALSE(driver.dialog.wants_message());
  }
}

TEST(DialogStory, InOnePieceAndOctetByOctet) {
  for (const Story& story : stories()) {
    tell(story, false);
    tell(story, true);
  }
}

}  // namespace
}  // namespace sluice
