#include "engine/converse/verdict.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

struct Case {
  Step step;
  uint16_t code;
  EnhancedCode enhanced;
  bool refused_before;
  Ruling ruling;
  State state;
  Scope scope;
};

constexpr EnhancedCode kNone = {};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {Step::kBanner, 220, kNone, false, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
      {Step::kBanner, 421, kNone, false, Ruling::kSessionFailure, State::kDeferred,
       Scope::kExchanger},
      {Step::kBanner, 450, kNone, false, Ruling::kSessionFailure, State::kDeferred,
       Scope::kExchanger},
      {Step::kBanner,
       554,
       {5, 7, 1},
       false,
       Ruling::kSessionFailure,
       State::kDeferred,
       Scope::kExchanger},
      {Step::kBanner, 354, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kEhlo, 500, kNone, false, Ruling::kFallBack, State::kWaiting, Scope::kRecipient},
      {Step::kEhlo, 550, {5, 7, 1}, false, Ruling::kFallBack, State::kWaiting, Scope::kRecipient},
      {Step::kEhlo, 451, kNone, false, Ruling::kSessionFailure, State::kDeferred,
       Scope::kExchanger},
      {Step::kEhlo, 421, kNone, false, Ruling::kSessionFailure, State::kDeferred,
       Scope::kExchanger},
      {Step::kHelo, 550, kNone, false, Ruling::kSessionFailure, State::kDeferred,
       Scope::kExchanger},

      {Step::kMail, 250, kNone, false, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
      {Step::kMail, 421, kNone, false, Ruling::kRefuseAndClose, State::kDeferred,
       Scope::kConnection},
      {Step::kMail, 451, {4, 7, 1}, false, Ruling::kRefuse, State::kDeferred, Scope::kSource},
      {Step::kMail, 550, kNone, false, Ruling::kRefuse, State::kBounced, Scope::kSource},
      {Step::kMail, 552, {5, 3, 4}, false, Ruling::kRefuse, State::kBounced, Scope::kSource},
      {Step::kMail, 530, {5, 7, 0}, false, Ruling::kRefuse, State::kDeferred, Scope::kSource},
      {Step::kMail, 503, kNone, false, Ruling::kRefuseAndClose, State::kDeferred, Scope::kSource},
      {Step::kMail, 500, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kMail, 502, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kMail,
       501,
       {5, 1, 7},
       false,
       Ruling::kRefuseParameters,
       State::kBounced,
       Scope::kSource},
      {Step::kMail, 555, kNone, false, Ruling::kRefuseParameters, State::kBounced, Scope::kSource},
      {Step::kMail, 354, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},

      {Step::kRcpt, 251, kNone, false, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
      {Step::kRcpt, 450, {4, 2, 1}, false, Ruling::kRefuse, State::kDeferred, Scope::kRecipient},
      {Step::kRcpt, 452, {4, 5, 3}, false, Ruling::kRefuse, State::kDeferred, Scope::kRecipient},
      {Step::kRcpt, 550, {5, 1, 1}, false, Ruling::kRefuse, State::kBounced, Scope::kRecipient},
      {Step::kRcpt, 550, {5, 7, 1}, false, Ruling::kRefuse, State::kBounced, Scope::kSource},
      {Step::kRcpt, 450, {4, 7, 1}, false, Ruling::kRefuse, State::kDeferred, Scope::kRecipient},
      {Step::kRcpt,
       421,
       {4, 7, 0},
       false,
       Ruling::kRefuseAndClose,
       State::kDeferred,
       Scope::kConnection},
      {Step::kRcpt, 503, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kRcpt, 503, kNone, true, Ruling::kIgnore, State::kWaiting, Scope::kRecipient},
      {Step::kRcpt, 250, kNone, true, Ruling::kIgnore, State::kWaiting, Scope::kRecipient},
      {Step::kRcpt, 421, kNone, true, Ruling::kRefuseAndClose, State::kDeferred,
       Scope::kConnection},
      {Step::kRcpt, 354, kNone, true, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},

      {Step::kData, 354, kNone, false, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
      {Step::kData, 250, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kData, 451, kNone, false, Ruling::kRefuse, State::kDeferred, Scope::kMessage},
      {Step::kData, 554, kNone, false, Ruling::kRefuse, State::kBounced, Scope::kMessage},
      {Step::kData, 500, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kData, 502, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kData, 503, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kData, 503, kNone, true, Ruling::kIgnore, State::kWaiting, Scope::kRecipient},
      {Step::kData, 554, {5, 5, 1}, true, Ruling::kIgnore, State::kWaiting, Scope::kRecipient},
      {Step::kData, 354, kNone, true, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
      {Step::kData, 250, kNone, true, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},

      {Step::kDot, 250, {2, 0, 0}, false, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
      {Step::kDot, 451, kNone, false, Ruling::kRefuse, State::kDeferred, Scope::kMessage},
      {Step::kDot, 554, {5, 6, 0}, false, Ruling::kRefuse, State::kBounced, Scope::kMessage},
      {Step::kDot, 550, {5, 7, 26}, false, Ruling::kRefuse, State::kBounced, Scope::kSource},
      {Step::kDot, 354, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kDot, 554, kNone, true, Ruling::kIgnore, State::kWaiting, Scope::kRecipient},
      {Step::kDot, 250, kNone, true, Ruling::kIgnore, State::kWaiting, Scope::kRecipient},
      {Step::kDot, 421, kNone, false, Ruling::kRefuseAndClose, State::kDeferred,
       Scope::kConnection},

      {Step::kRset, 250, kNone, false, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
      {Step::kRset, 251, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kRset, 500, kNone, false, Ruling::kDesynchronised, State::kDeferred,
       Scope::kConnection},
      {Step::kRset, 421, kNone, false, Ruling::kRefuseAndClose, State::kDeferred,
       Scope::kConnection},

      {Step::kQuit, 221, kNone, false, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
      {Step::kQuit, 421, kNone, false, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
      {Step::kQuit, 500, kNone, false, Ruling::kProceed, State::kWaiting, Scope::kRecipient},
  };
  return kCases;
}

TEST(Verdict, Table) {
  for (const Case& c : cases()) {
    const Judgement j = judge(c.step, {c.code, c.enhanced, ""}, c.refused_before);
    const std::string where = std::string(name_of(c.step)) + " " + std::to_string(c.code) + " " +
                              to_string(c.enhanced) + (c.refused_before ? " behind refusal" : "");
    EXPECT_EQ(j.ruling, c.ruling) << where;
    EXPECT_EQ(j.state, c.state) << where;
    EXPECT_EQ(j.scope, c.scope) << where;
  }
}

// Whatever the code: nothing is delivered by the table alone, only 5xx bounces, and every refusal
// says deferred or bounced.
TEST(Verdict, NoCodeFallsThrough) {
  for (int step = static_cast<int>(Step::kBanner); step < kSteps; ++step) {
    for (uint16_t code = 200; code < 600; ++code) {
      for (const bool refused_before : {false, true}) {
        const Judgement j = judge(static_cast<Step>(step), {code, {}, ""}, refused_before);
        if (j.state == State::kBounced) {
          EXPECT_GE(code, 500);
          EXPECT_TRUE(j.ruling == Ruling::kRefuse || j.ruling == Ruling::kRefuseParameters);
          EXPECT_FALSE(refused_before);
        }
        if (j.ruling == Ruling::kRefuse || j.ruling == Ruling::kRefuseAndClose) {
          EXPECT_GE(code, 400);
          EXPECT_NE(j.state, State::kWaiting);
        }
        if (code == 421 && static_cast<Step>(step) != Step::kQuit) {
          EXPECT_TRUE(j.ruling == Ruling::kRefuseAndClose || j.ruling == Ruling::kSessionFailure);
        }
      }
    }
  }
}

TEST(Verdict, Faults) {
  Verdict v;
  judge_fault(Step::kConnect, Fault::kConnectRefused, v);
  EXPECT_EQ(v.state, State::kDeferred);
  EXPECT_EQ(v.scope, Scope::kExchanger);
  EXPECT_EQ(v.reply.code, 0);
  EXPECT_EQ(v.reply.enhanced, (EnhancedCode{4, 4, 1}));
  EXPECT_EQ(v.reply.text, "connection refused");
  EXPECT_STREQ(v.command, "connect");
  judge_fault(Step::kConnect, Fault::kTimedOut, v);
  EXPECT_EQ(v.reply.enhanced, (EnhancedCode{4, 4, 1}));
  judge_fault(Step::kBanner, Fault::kTimedOut, v);
  EXPECT_EQ(v.scope, Scope::kExchanger);
  EXPECT_EQ(v.reply.enhanced, (EnhancedCode{4, 4, 2}));
  for (const Fault fault : {Fault::kTimedOut, Fault::kReset, Fault::kClosed, Fault::kStopped}) {
    judge_fault(Step::kDot, fault, v);
    EXPECT_EQ(v.state, State::kDeferred);
    EXPECT_EQ(v.scope, Scope::kConnection);
    EXPECT_EQ(v.reply.enhanced, (EnhancedCode{4, 4, 2}));
  }
  for (const Fault fault : {Fault::kProtocolError, Fault::kDesynchronised}) {
    judge_fault(Step::kRcpt, fault, v);
    EXPECT_EQ(v.reply.enhanced, (EnhancedCode{4, 5, 0}));
    EXPECT_STREQ(v.command, "RCPT");
  }
}

TEST(Step, NamesAndTimeouts) {
  SmtpTimeouts timeouts;
  EXPECT_EQ(timeout_of(Step::kBanner, timeouts), timeouts.banner);
  EXPECT_EQ(timeout_of(Step::kDot, timeouts), timeouts.data_dot);
  EXPECT_EQ(timeout_of(Step::kQuit, timeouts), timeouts.quit);
  EXPECT_STREQ(name_of(Step::kDot), ".");
  EXPECT_STREQ(name_of(Step::kRcpt), "RCPT");
}

}  // namespace
}  // namespace sluice
