#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/unit/converse/driver.h"

namespace sluice {
namespace {

constexpr std::string_view kOffer = "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n";
constexpr std::string_view kNoOffer = "220 mx\r\n250-mx\r\n250 PIPELINING\r\n";
constexpr std::string_view kMail = "MAIL FROM:<s@x>\r\nRCPT TO:<r@y>\r\nDATA\r\n";

DialogOptions with(StartTls starttls) {
  DialogOptions options = options_for_tests();
  options.starttls = starttls;
  return options;
}

// Each reply when it is asked for, as a receiver in step gives it.
void greet(Driver& driver, std::string_view replies) {
  while (!replies.empty() && !driver.dialog.finished()) {
    // A reply ends with the line that has a space behind its code.
    size_t begin = 0;
    while (replies[begin + 3] == '-') begin = replies.find("\r\n", begin) + 2;
    const size_t end = replies.find("\r\n", begin) + 2;
    driver.says(replies.substr(0, end), false);
    replies.remove_prefix(end);
  }
}

// Who is in step gets QUIT (RFC 5321 §4.1.1.10).
void end_in_order(Driver& driver, bool in_step) {
  EXPECT_EQ(driver.dialog.finished(), !in_step);
  EXPECT_EQ(driver.output.ends_with("QUIT\r\n"), in_step);
  if (in_step) driver.says("221 bye\r\n", false);
}

TEST(StartTlsDialog, IsSaidBehindTheFirstEhloAndEhloOnceMoreWithin) {
  for (const StartTls starttls : {StartTls::kIfOffered, StartTls::kRequired}) {
    Driver driver(with(starttls));
    driver.add_mail(1);
    greet(driver, kOffer);
    EXPECT_EQ(driver.output, "EHLO me.example\r\nSTARTTLS\r\n");
    EXPECT_FALSE(driver.dialog.ready());
    EXPECT_STREQ(driver.dialog.waiting_for(), "STARTTLS");
    driver.output.clear();
    driver.says("220 go ahead\r\n", false);
    ASSERT_TRUE(driver.dialog.wants_handshake());
    EXPECT_FALSE(driver.dialog.awaits_reply());
    EXPECT_EQ(driver.output, "");
    driver.dialog.on_encrypted();
    driver.work();
    EXPECT_EQ(driver.output, "EHLO me.example\r\n");
    EXPECT_FALSE(driver.dialog.wants_handshake());
    driver.output.clear();
    // It is not said again, whatever is offered.
    driver.says("250-mx\r\n250-STARTTLS\r\n250 PIPELINING\r\n", false);
    EXPECT_TRUE(driver.dialog.encrypted());
    EXPECT_EQ(driver.output, kMail);
  }
}

TEST(StartTlsDialog, NothingThatWasLearntInClearCounts) {
  Driver driver(with(StartTls::kIfOffered));
  driver.mail.push_back({"s@x", "r@y", 10, true, false});
  greet(driver,
        "220 mx\r\n250-mx\r\n250-PIPELINING\r\n250-SIZE 5\r\n250-8BITMIME\r\n250 STARTTLS\r\n");
  driver.says("220 go ahead\r\n", false);
  driver.dialog.on_encrypted();
  driver.work();
  driver.output.clear();
  driver.says("250 mx\r\n", false);
  EXPECT_EQ(driver.dialog.capabilities(), parse_capabilities("mx"));
  EXPECT_EQ(driver.dialog.identity(), "mx");
  ASSERT_EQ(driver.verdicts.size(), 1U);
  EXPECT_EQ(driver.verdicts[0], "1 bounced message 0 5.6.3");
}

TEST(StartTlsDialog, WhereItIsNotOfferedOrRefusedOpportunisticMailGoesInClear) {
  for (const std::string_view greeting : {kNoOffer, kOffer}) {
    for (const std::string_view refusal : {"454 not now\r\n", "502 what?\r\n", "501 no\r\n"}) {
      Driver driver(with(StartTls::kIfOffered));
      driver.add_mail(1);
      greet(driver, greeting);
      if (greeting == kOffer) driver.says(refusal, false);
      EXPECT_TRUE(driver.output.ends_with(kMail)) << driver.output;
      EXPECT_FALSE(driver.dialog.encrypted());
      EXPECT_EQ(driver.dialog.tls_refusal().substr(0, 3),
                greeting == kOffer ? refusal.substr(0, 3) : "");
    }
  }
}

TEST(StartTlsDialog, NothingIsSaidInClearWhereItIsRequired) {
  struct Case {
    std::string_view greeting;
    std::string_view reply;
    std::string_view failure;
  };
  for (const Case& c : {
           Case{kNoOffer, "", "deferred exchanger 0 4.7.4 EHLO"},
           Case{"220 mx\r\n500 what?\r\n250 mx\r\n", "", "deferred exchanger 0 4.7.4 HELO"},
           Case{kOffer, "454 4.7.0 not now\r\n", "deferred exchanger 454 4.7.0 STARTTLS"},
           Case{kOffer, "502 what?\r\n", "deferred exchanger 502 4.7.4 STARTTLS"},
           Case{kOffer, "421 bye\r\n", "deferred exchanger 421 STARTTLS"},
           Case{kOffer, "250 fine\r\n", "deferred exchanger 0 4.5.0 STARTTLS"},
           Case{kOffer, "nonsense\r\n", "deferred exchanger 0 4.5.0 STARTTLS"},
       }) {
    Driver driver(with(StartTls::kRequired));
    driver.add_mail(1);
    greet(driver, c.greeting);
    if (!c.reply.empty()) driver.says(c.reply, false);
    end_in_order(driver, c.failure.find(" 4.7.") != std::string_view::npos);
    ASSERT_TRUE(driver.dialog.finished()) << c.failure;
    EXPECT_FALSE(driver.dialog.ready());
    ASSERT_NE(driver.dialog.session_failure(), nullptr) << c.failure;
    EXPECT_EQ(describe(*driver.dialog.session_failure()), c.failure);
    EXPECT_EQ(driver.output.find("MAIL"), std::string::npos);
  }
}

// Else one forged refusal would do away with it.
TEST(StartTlsDialog, WhereItIsOfferedARefusalIsNoWayOut) {
  Driver refused(with(StartTls::kWhereOffered));
  refused.add_mail(1);
  greet(refused, kOffer);
  refused.says("454 4.7.0 not now\r\n", false);
  end_in_order(refused, true);
  ASSERT_TRUE(refused.dialog.finished());
  EXPECT_EQ(describe(*refused.dialog.session_failure()), "deferred exchanger 454 4.7.0 STARTTLS");
  EXPECT_EQ(refused.output.find("MAIL"), std::string::npos);
  Driver without(with(StartTls::kWhereOffered));
  without.add_mail(1);
  greet(without, kNoOffer);
  EXPECT_TRUE(without.dialog.ready());
  EXPECT_NE(without.output.find("MAIL"), std::string::npos);
}

TEST(StartTlsDialog, ASecondBannerWithinTlsIsNoReplyToEhlo) {
  Driver driver(with(StartTls::kIfOffered));
  driver.add_mail(1);
  greet(driver, kOffer);
  driver.says("220 go ahead\r\n", false);
  driver.dialog.on_encrypted();
  driver.work();
  driver.says("220 mx.example ESMTP once more\r\n", false);
  ASSERT_TRUE(driver.dialog.finished());
  EXPECT_EQ(describe(*driver.dialog.session_failure()), "deferred exchanger 0 4.5.0 EHLO");
  EXPECT_EQ(driver.output.find("MAIL"), std::string::npos);
}

TEST(StartTlsDialog, WhyTlsBrokeIsTold) {
  Driver driver(with(StartTls::kIfOffered));
  greet(driver, kOffer);
  driver.says("220 go ahead\r\n", false);
  driver.dialog.on_encrypted();
  driver.work();
  driver.dialog.fail(Fault::kTlsBroken, "tlsv13 alert certificate required");
  EXPECT_EQ(describe(*driver.dialog.session_failure()), "deferred exchanger 0 4.7.5 EHLO");
  EXPECT_EQ(driver.dialog.session_failure()->reply.text,
            "the TLS session broke: tlsv13 alert certificate required");
}

TEST(StartTlsDialog, WhatComesBehindTheReplyEndsTheSession) {
  for (const std::string_view injected : {"220 go\r\n250 mx\r\n", "220 go\r\n250-mx\r\n250 AUTH",
                                          "220 go\r\n\x16\x03\x03", "220 go\r\n\r\n"}) {
    for (const StartTls starttls : {StartTls::kIfOffered, StartTls::kRequired}) {
      Driver driver(with(starttls));
      driver.add_mail(1);
      greet(driver, kOffer);
      driver.output.clear();
      driver.says(injected, false);
      EXPECT_TRUE(driver.dialog.finished());
      EXPECT_TRUE(driver.dialog.injected());
      EXPECT_FALSE(driver.dialog.wants_handshake());
      ASSERT_NE(driver.dialog.session_failure(), nullptr);
      EXPECT_EQ(describe(*driver.dialog.session_failure()), "deferred exchanger 0 4.5.0 STARTTLS");
      EXPECT_EQ(driver.output, "");
      EXPECT_TRUE(driver.verdicts.empty());
    }
  }
}

TEST(StartTlsDialog, AHandshakeThatFailsIsASessionThatFails) {
  Driver driver(with(StartTls::kRequired));
  driver.add_mail(1);
  greet(driver, kOffer);
  driver.says("220 go\r\n", false);
  driver.dialog.on_handshake_failed("certificate has expired");
  driver.work();
  EXPECT_TRUE(driver.dialog.finished());
  EXPECT_FALSE(driver.dialog.encrypted());
  ASSERT_NE(driver.dialog.session_failure(), nullptr);
  EXPECT_EQ(describe(*driver.dialog.session_failure()), "deferred exchanger 0 4.7.5 STARTTLS");
  EXPECT_EQ(driver.dialog.session_failure()->reply.text, "certificate has expired");
  EXPECT_TRUE(driver.verdicts.empty());
}

TEST(StartTlsDialog, AConnectionThatBreaksInTheHandshakeIsNoOneElsesFailure) {
  for (const Fault fault : {Fault::kReset, Fault::kTimedOut, Fault::kStopped}) {
    Driver driver(with(StartTls::kIfOffered));
    driver.add_mail(1);
    greet(driver, kOffer);
    driver.says("220 go\r\n", false);
    driver.fails(fault);
    EXPECT_TRUE(driver.dialog.finished());
    EXPECT_FALSE(driver.dialog.wants_handshake());
    ASSERT_NE(driver.dialog.session_failure(), nullptr);
    EXPECT_EQ(driver.dialog.session_failure()->scope, Scope::kExchanger);
    EXPECT_TRUE(driver.verdicts.empty());
  }
}

TEST(StartTlsDialog, IsNotSaidWhereItIsNotWanted) {
  Driver driver(with(StartTls::kNever));
  driver.add_mail(1);
  greet(driver, kOffer);
  EXPECT_EQ(driver.output, "EHLO me.example\r\n" + std::string(kMail));
}

}  // namespace
}  // namespace sluice
