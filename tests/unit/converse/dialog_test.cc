#include "engine/converse/dialog.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "engine/base/random.h"
#include "engine/converse/commands.h"
#include "tests/unit/converse/driver.h"

namespace sluice {
namespace {

// Greeted, with the given EHLO lines ("250-SIZE 100\r\n" ...), output cleared.
void greet(Driver& driver, const std::string& keywords) {
  driver.says("220 mx\r\n", false);
  driver.says("250-mx\r\n" + keywords + "250 PIPELINING\r\n", false);
  driver.output.clear();
}

std::string one_message(const std::string& keywords, const Envelope& envelope) {
  Driver driver(options_for_tests());
  greet(driver, keywords);
  driver.mail.push_back(envelope);
  driver.work();
  EXPECT_EQ(driver.output.empty(), !driver.verdicts.empty());
  return driver.verdicts.empty() ? driver.output.substr(0, driver.output.find('\r'))
                                 : driver.verdicts[0];
}

TEST(Dialog, Parameters) {
  EXPECT_EQ(one_message("", {"s@x", "r@y", 10, false, false}), "MAIL FROM:<s@x>");
  EXPECT_EQ(one_message("", {"", "r@y", 10, false, false}), "MAIL FROM:<>");
  EXPECT_EQ(one_message("250-SIZE\r\n", {"s@x", "r@y", 10, false, false}),
            "MAIL FROM:<s@x> SIZE=10");
  EXPECT_EQ(one_message("250-SIZE 10\r\n", {"s@x", "r@y", 10, false, false}),
            "MAIL FROM:<s@x> SIZE=10");
  EXPECT_EQ(one_message("250-SIZE\r\n", {"s@x", "r@y", 0, false, false}), "MAIL FROM:<s@x>");
  EXPECT_EQ(one_message("250-8BITMIME\r\n", {"s@x", "r@y", 10, true, false}),
            "MAIL FROM:<s@x> BODY=8BITMIME");
  EXPECT_EQ(one_message("250-8BITMIME\r\n250-SMTPUTF8\r\n250-SIZE 0\r\n",
                        {"s@x", "\xC3\xA4@y", 7, true, false}),
            "MAIL FROM:<s@x> SIZE=7 BODY=8BITMIME SMTPUTF8");
  EXPECT_EQ(one_message("250-SMTPUTF8\r\n", {"s@x", "r@y", 7, false, true}),
            "MAIL FROM:<s@x> SMTPUTF8");
}

TEST(Dialog, WhatTheReceiverCannotTakeIsNotSent) {
  EXPECT_EQ(one_message("250-SIZE 10\r\n", {"s@x", "r@y", 11, false, false}),
            "1 bounced message 0 5.3.4");
  EXPECT_EQ(one_message("", {"s@x", "\xC3\xA4@y", 7, false, false}), "1 bounced recipient 0 5.6.7");
  EXPECT_EQ(one_message("", {"s@x", "r@y", 7, false, true}), "1 bounced recipient 0 5.6.7");
  EXPECT_EQ(one_message("", {"s@x", "r@y", 7, true, false}), "1 bounced message 0 5.6.3");
}

TEST(Dialog, NothingIsInjectedIntoACommand) {
  using namespace std::string_view_literals;
  for (const std::string_view bad : {"a@b\r\nRCPT TO:<x@y>"sv, "a@b\n"sv, "a@b\r"sv, "a\0@b"sv,
                                     "a@b>"sv, "<a@b"sv, "a\t@b"sv, "a\x7f@b"sv}) {
    EXPECT_EQ(one_message("", {"s@x", bad, 0, false, false}), "1 bounced recipient 0 5.1.3");
    EXPECT_EQ(one_message("", {bad, "r@y", 0, false, false}), "1 bounced message 0 5.1.7");
  }
  const std::string long_address(kAddressBytesMax + 1, 'a');
  EXPECT_EQ(one_message("", {"s@x", long_address, 0, false, false}), "1 bounced recipient 0 5.1.3");
  EXPECT_EQ(one_message("", {"s@x", "", 0, false, false}), "1 bounced recipient 0 5.1.3");
}

TEST(Dialog, RefusedUnsentMessagesDoNotStopTheOthers) {
  Driver driver(options_for_tests());
  greet(driver, "250-SIZE 10\r\n");
  for (int i = 0; i < 50; ++i) driver.mail.push_back({"s@x", "r@y", 11, false, false});
  driver.mail.push_back({"s@x", "r@y", 5, false, false});
  driver.work();
  EXPECT_EQ(driver.verdicts.size(), 50U);
  EXPECT_EQ(driver.output, "MAIL FROM:<s@x> SIZE=5\r\nRCPT TO:<r@y>\r\nDATA\r\n");
}

// Says yes to everything, all due replies of a flight in one piece; returns the flights.
size_t say_yes_until_idle(Driver& driver) {
  size_t flights = 0;
  for (; !driver.dialog.idle() && flights < 1'000; ++flights) {
    std::string answers = driver.dialog.waiting_for() == std::string(".") ? "250 done\r\n" : "";
    if (driver.output.find("MAIL") != std::string::npos) answers += "250 a\r\n250 b\r\n354 c\r\n";
    driver.output.clear();
    driver.says(answers, false);
  }
  return flights;
}

TEST(Dialog, DeliveriesMaxAndMailmax) {
  for (const bool by_receiver : {false, true}) {
    DialogOptions options = options_for_tests();
    options.in_flight_max = 1;
    options.deliveries_max = by_receiver ? 5 : 3;
    Driver driver(options);
    greet(driver, by_receiver ? "250-LIMITS MAILMAX=3\r\n" : "");
    driver.add_mail(9);
    driver.work();
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(driver.dialog.exhausted(), i == 2);
      driver.says("250 a\r\n250 b\r\n354 c\r\n", false);
      driver.says("250 d\r\n", false);
    }
    EXPECT_TRUE(driver.dialog.idle());
    EXPECT_TRUE(driver.dialog.exhausted());
    EXPECT_EQ(driver.dialog.transactions(), 3U);
    EXPECT_EQ(driver.verdicts.size(), 3U);
    EXPECT_EQ(driver.mail.size(), 6U);
  }
}

TEST(Dialog, RecipientDomainsAreLimitedWhereTheReceiverSaysSo) {
  Driver driver(options_for_tests());
  greet(driver, "250-LIMITS RCPTDOMAINMAX=2\r\n");
  for (const char* recipient : {"a@one", "b@two", "c@ONE", "d@three", "e@one"}) {
    driver.mail.push_back({"s@x", recipient, 0, false, false});
  }
  driver.work();
  say_yes_until_idle(driver);
  EXPECT_TRUE(driver.dialog.exhausted());
  EXPECT_EQ(driver.mail.size(), 1U);
  EXPECT_EQ(driver.dialog.transactions(), 3U);
  EXPECT_NE(std::find(driver.verdicts.begin(), driver.verdicts.end(), "4 waiting connection 0"),
            driver.verdicts.end());
}

TEST(Dialog, ByDataOneEnvelopeStandsBehindAContent) {
  DialogOptions options = options_for_tests();
  options.in_flight_max = 4;
  Driver driver(options);
  greet(driver, "");
  driver.add_mail(6);
  driver.work();
  EXPECT_EQ(driver.mail.size(), 4U);
  EXPECT_EQ(say_yes_until_idle(driver), 7U);
  EXPECT_EQ(driver.verdicts.size(), 6U);
  for (const std::string& verdict : driver.verdicts) {
    EXPECT_NE(verdict.find("delivered recipient 250 ."), std::string::npos) << verdict;
  }
}

TEST(Dialog, RefusedSizeIsLeftOut) {
  const std::string flight = "MAIL FROM:<s@x>\r\nRCPT TO:<r@y>\r\nDATA\r\n";
  for (const bool octet_by_octet : {false, true}) {
    Driver driver(options_for_tests());
    greet(driver, "250-SIZE 1000\r\n");
    for (int i = 0; i < 3; ++i) driver.mail.push_back({"s@x", "r@y", 100, false, false});
    driver.work();
    driver.output.clear();
    driver.says("555 no parameters\r\n503 no\r\n503 no\r\n", octet_by_octet);
    EXPECT_EQ(driver.output, "RSET\r\n" + flight);
    driver.output.clear();
    driver.says("250 ok\r\n250 a\r\n250 b\r\n354 c\r\n", octet_by_octet);
    EXPECT_EQ(driver.output, "[content 1]\r\n.\r\n" + flight);
    driver.output.clear();
    driver.says("250 d\r\n501 who?\r\n503 no\r\n503 no\r\n", octet_by_octet);
    EXPECT_EQ(driver.output, "RSET\r\n" + flight);
    driver.says("250 ok\r\n", octet_by_octet);
    EXPECT_EQ(driver.verdicts, (std::vector<std::string>{"1 delivered recipient 250 .",
                                                         "2 bounced source 501 MAIL"}));
  }
}

// The refusal overtakes the end of the send: the line's bytes cannot change any more.
TEST(Dialog, SizeRefusedWhileTheEnvelopeIsOnItsWayDefers) {
  for (const bool octet_by_octet : {false, true}) {
    Driver driver(options_for_tests());
    greet(driver, "250-SIZE 1000\r\n");
    driver.hold_sends = true;
    driver.mail.push_back({"s@x", "r@y", 100, false, false});
    driver.work();
    driver.output.clear();
    driver.says("555 no parameters\r\n", octet_by_octet);
    driver.send_done();
    driver.says("503 no\r\n503 no\r\n", octet_by_octet);
    EXPECT_EQ(driver.output, "RSET\r\n");
    driver.mail.push_back({"s@x", "r@y", 100, false, false});
    driver.hold_sends = false;
    driver.send_done();
    driver.says("250 ok\r\n", octet_by_octet);
    EXPECT_EQ(driver.output, "RSET\r\nMAIL FROM:<s@x>\r\nRCPT TO:<r@y>\r\nDATA\r\n");
    EXPECT_EQ(driver.verdicts, (std::vector<std::string>{"1 deferred connection 555 MAIL"}));
  }
}

TEST(Dialog, RefusedSizeWithoutPipelining) {
  DialogOptions options = options_for_tests();
  options.enable_pipelining = false;
  Driver driver(options);
  greet(driver, "250-SIZE\r\n");
  driver.mail.push_back({"s@x", "r@y", 100, false, false});
  driver.work();
  EXPECT_EQ(driver.output, "MAIL FROM:<s@x> SIZE=100\r\n");
  driver.output.clear();
  for (const char* reply :
       {"501 no\r\n", "250 ok\r\n", "250 a\r\n", "250 b\r\n", "354 c\r\n", "250 d\r\n"}) {
    driver.says(reply, false);
  }
  EXPECT_EQ(driver.output,
            "RSET\r\nMAIL FROM:<s@x>\r\nRCPT TO:<r@y>\r\nDATA\r\n[content 1]\r\n.\r\n");
  EXPECT_EQ(driver.verdicts, (std::vector<std::string>{"1 delivered recipient 250 ."}));
}

TEST(Dialog, NamesWhatItWaitsFor) {
  DialogOptions options = options_for_tests();
  Driver driver(options);
  EXPECT_STREQ(driver.dialog.waiting_for(), "banner");
  EXPECT_EQ(driver.dialog.reply_timeout(), options.timeouts.banner);
  driver.says("220 x\r\n", false);
  EXPECT_STREQ(driver.dialog.waiting_for(), "EHLO");
  driver.says("250-x\r\n250 PIPELINING\r\n", false);
  EXPECT_FALSE(driver.dialog.awaits_reply());
  EXPECT_EQ(driver.dialog.reply_timeout(), Duration::zero());
  EXPECT_STREQ(driver.dialog.waiting_for(), "");
  EXPECT_TRUE(driver.dialog.idle());
  driver.add_mail(1);
  driver.work();
  EXPECT_STREQ(driver.dialog.waiting_for(), "MAIL");
  driver.says("250 x\r\n", false);
  EXPECT_STREQ(driver.dialog.waiting_for(), "RCPT");
  driver.says("250 x\r\n", false);
  EXPECT_STREQ(driver.dialog.waiting_for(), "DATA");
  EXPECT_EQ(driver.dialog.reply_timeout(), options.timeouts.data);
  driver.says("354 x\r\n", false);
  EXPECT_STREQ(driver.dialog.waiting_for(), ".");
  EXPECT_EQ(driver.dialog.reply_timeout(), options.timeouts.data_dot);
  driver.says("550 x\r\n", false);
  EXPECT_STREQ(driver.dialog.waiting_for(), "RSET");
  driver.says("250 x\r\n", false);
  driver.dialog.quit();
  driver.work();
  EXPECT_STREQ(driver.dialog.waiting_for(), "QUIT");
  EXPECT_EQ(driver.dialog.reply_timeout(), options.timeouts.quit);
  EXPECT_FALSE(driver.dialog.idle());
}

TEST(Dialog, QuitLetsWhatIsTakenEnd) {
  Driver driver(options_for_tests());
  greet(driver, "");
  driver.add_mail(3);
  driver.work();
  driver.dialog.quit();
  EXPECT_FALSE(driver.dialog.wants_message());
  driver.says("250 a\r\n250 b\r\n354 c\r\n", false);
  driver.says("250 d\r\n250 a\r\n250 b\r\n354 c\r\n", false);
  driver.output.clear();
  driver.says("250 d\r\n", false);
  EXPECT_EQ(driver.output, "QUIT\r\n");
  EXPECT_EQ(driver.verdicts.size(), 2U);
  driver.says("221 bye\r\n", false);
  EXPECT_TRUE(driver.dialog.finished());
  EXPECT_EQ(driver.dialog.session_failure(), nullptr);
}

TEST(Dialog, ReplyBeforeItsCommand) {
  Dialog dialog(options_for_tests());
  dialog.receive("220 mx\r\n250-mx\r\n250 PIPELINING\r\n");
  EXPECT_TRUE(dialog.finished());
  EXPECT_TRUE(dialog.desynchronised());
  ASSERT_NE(dialog.session_failure(), nullptr);
  EXPECT_EQ(describe(*dialog.session_failure()), "deferred exchanger 0 4.5.0 EHLO");
  dialog.receive("250 more\r\n");
  dialog.fail(Fault::kReset);
  dialog.quit();
  Dialog::Output out[4];
  EXPECT_EQ(dialog.gather(out), 0U);
}

// A send that was cut in the content: the dot never left, so nothing was delivered.
TEST(Dialog, CutInTheContentIsNotMaybeDelivered) {
  for (const bool dot_left : {false, true}) {
    Driver driver(options_for_tests());
    greet(driver, "");
    driver.add_mail(2);
    driver.work();
    driver.hold_sends = true;
    driver.says("250 a\r\n250 b\r\n354 c\r\n", false);
    EXPECT_EQ(driver.under_way, 3U);  // content, dot, the next envelope
    driver.dialog.sent(dot_left ? 2 : 0);
    driver.dialog.not_sent();
    driver.fails(Fault::kTimedOut);
    EXPECT_EQ(driver.verdicts[0], dot_left ? "1 deferred connection 0 4.4.2 . maybe"
                                           : "1 deferred connection 0 4.4.2 .");
    driver.dialog.sent(dot_left ? 1 : 3);
  }
}

TEST(Dialog, TakenButNothingHandedOutIsNotAttempted) {
  Dialog dialog(options_for_tests());
  Dialog::Output out[8];
  dialog.receive("220 mx\r\n");
  dialog.sent(dialog.gather(out));
  dialog.receive("250-mx\r\n250 PIPELINING\r\n");
  dialog.take(7, {"s@x", "r@y", 0, false, false});
  dialog.take(8, {"s@x", "r@y", 0, false, false});
  EXPECT_FALSE(dialog.wants_message());
  dialog.fail(Fault::kReset);
  for (const uint64_t ticket : {7, 8}) {
    const DialogVerdict* verdict = dialog.next_verdict();
    ASSERT_NE(verdict, nullptr);
    EXPECT_EQ(verdict->ticket, ticket);
    EXPECT_EQ(verdict->verdict.state, State::kWaiting);
  }
  EXPECT_EQ(dialog.next_verdict(), nullptr);
}

// The memory of a command is not reused while its bytes may still be read by the kernel.
TEST(Dialog, BytesStayWhileTheirSendIsUnderWay) {
  DialogOptions options = options_for_tests();
  options.in_flight_max = 2;
  Dialog dialog(options);
  Dialog::Output out[8];
  dialog.receive("220 mx\r\n");
  dialog.sent(dialog.gather(out));
  dialog.receive("250-mx\r\n250 PIPELINING\r\n");
  std::vector<std::pair<std::string_view, std::string>> handed_out;
  uint64_t ticket = 0;
  size_t verdicts = 0;
  for (int round = 0; round < 12; ++round) {
    while (dialog.wants_message()) {
      const std::string recipient = "recipient" + std::to_string(ticket) + "@example.com";
      dialog.take(++ticket, {"s@x", recipient, 0, false, false});
    }
    const size_t count = dialog.gather(out);
    for (size_t i = 0; i < count; ++i) {
      handed_out.emplace_back(out[i].bytes, std::string(out[i].bytes));
    }
    const bool dot = dialog.waiting_for() == std::string(".");
    dialog.receive(dot ? "250 d\r\n" : "250 a\r\n250 b\r\n354 c\r\n");
    while (dialog.next_verdict() != nullptr) ++verdicts;
    for (const auto& [now, then] : handed_out) EXPECT_EQ(now, then);
  }
  EXPECT_GT(verdicts, 0U);
  EXPECT_FALSE(dialog.wants_message());  // all memory is with the kernel
  dialog.sent(handed_out.size());
  EXPECT_TRUE(dialog.wants_message());
}

TEST(Dialog, LongReplyTextIsCutInTheVerdict) {
  DialogOptions options = options_for_tests();
  options.verdict_text_bytes_max = 20;
  Dialog dialog(options);
  dialog.receive("554 " + std::string(3'000, 'x') + "\r\n");
  ASSERT_NE(dialog.session_failure(), nullptr);
  EXPECT_EQ(dialog.session_failure()->reply.text, std::string(20, 'x'));
}

// A receiver that answers anything at all, a driver with any habit: each message taken has exactly
// one verdict, delivered only where its own dot could have been answered, and nothing aborts.
class AnyReceiver : public ::testing::TestWithParam<uint64_t> {};

TEST_P(AnyReceiver, ExactlyOneVerdictEach) {
  static constexpr const char* kReplies[] = {
      "250 ok\r\n",  "250 ok\r\n",    "250 ok\r\n",         "354 go\r\n",  "354 go\r\n",
      "550 no\r\n",  "451 later\r\n", "503 seq\r\n",        "421 bye\r\n", "500 what\r\n",
      "221 bye\r\n", "555 no\r\n",    "250-a\r\n250 b\r\n", "x\r\n",       "550 5.7.1 z\r\n"};
  Random random(GetParam());
  std::array<size_t, kStates> seen{};
  size_t maybe_count = 0;
  for (int round = 0; round < 2'000; ++round) {
    DialogOptions options = options_for_tests();
    options.in_flight_max = static_cast<uint32_t>(1 + random.below(4));
    options.deliveries_max = static_cast<uint32_t>(random.below(6));
    options.enable_pipelining = random.below(4) != 0;
    Dialog dialog(options);
    std::vector<int> verdicts;
    std::vector<bool> contents;
    size_t under_way = 0;
    Dialog::Output out[8];
    dialog.receive("220 x\r\n");
    dialog.sent(dialog.gather(out));
    dialog.receive("250-x\r\n250-SIZE\r\n250 PIPELINING\r\n");
    const uint64_t helpful = random.below(16);
    for (int step = 0; step < 60 && !dialog.finished(); ++step) {
      if (dialog.wants_message() && random.below(3) != 0) {
        dialog.take(verdicts.size(), {"s@x", "r@y", random.below(2) * 9, false, false});
        verdicts.push_back(0);
        contents.push_back(false);
      }
      const size_t count = dialog.gather({out, 1 + random.below(8)});
      for (size_t i = 0; i < count; ++i) {
        if (out[i].kind == Dialog::Output::Kind::kContent) {
          ASSERT_FALSE(contents[out[i].ticket]) << "content sent twice";
          contents[out[i].ticket] = true;
        }
      }
      under_way += count;
      const size_t done = random.below(under_way + 1);
      dialog.sent(done);
      under_way -= done;
      const std::string waiting = dialog.waiting_for();
      if (!waiting.empty() && random.below(16) < helpful) {
        dialog.receive(waiting == "DATA" ? "354 go\r\n" : "250 ok\r\n");
      } else if (random.below(waiting.empty() ? 200 : 4) == 0) {
        dialog.receive(kReplies[random.below(std::size(kReplies))]);
      }
      if (random.below(100) == 0) dialog.quit();
      if (random.below(100) == 0) {
        if (random.below(2) == 0) dialog.not_sent();
        dialog.fail(static_cast<Fault>(1 + random.below(6)));
      }
      while (random.below(2) == 0) {
        const DialogVerdict* verdict = dialog.next_verdict();
        if (verdict == nullptr) break;
        ++verdicts[verdict->ticket];
        ++seen[static_cast<size_t>(verdict->verdict.state)];
        if (verdict->verdict.maybe_delivered) ++maybe_count;
        if (verdict->verdict.state == State::kDelivered || verdict->verdict.maybe_delivered) {
          ASSERT_TRUE(contents[verdict->ticket]);
        }
      }
    }
    dialog.fail(Fault::kClosed);
    ASSERT_TRUE(dialog.finished());
    while (const DialogVerdict* verdict = dialog.next_verdict()) {
      ++verdicts[verdict->ticket];
      if (verdict->verdict.maybe_delivered) ++maybe_count;
    }
    for (const int count : verdicts) ASSERT_EQ(count, 1);
    dialog.sent(under_way);
  }
  // The receiver was neither too kind nor too mad to show something.
  EXPECT_GT(seen[static_cast<size_t>(State::kDelivered)], 300U);
  EXPECT_GT(seen[static_cast<size_t>(State::kBounced)], 100U);
  EXPECT_GT(seen[static_cast<size_t>(State::kDeferred)], 100U);
  EXPECT_GT(maybe_count, 20U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, AnyReceiver, ::testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace sluice
