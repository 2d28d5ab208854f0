#include "engine/model/policy.h"

#include <gtest/gtest.h>

#include "engine/model/reply.h"
#include "engine/model/state.h"

namespace sluice {
namespace {

TEST(Policy, ARuleSetsWhatItNamesAndLeavesTheRest) {
  SitePolicy policy;
  ShapingKeys nothing;
  nothing.apply(policy);
  EXPECT_EQ(policy.connection_limit, SitePolicy{}.connection_limit);
  EXPECT_FALSE(policy.max_message_rate);

  ShapingKeys rule;
  rule.connection_limit = 3;
  rule.max_message_rate = Rate{100, std::chrono::seconds(1), 5};
  rule.idle_timeout = Duration(1min);
  rule.data_dot_timeout = Duration(7min);
  rule.smtp_port = 2525;
  rule.enable_pipelining = false;
  rule.apply(policy);
  EXPECT_EQ(policy.connection_limit, 3U);
  EXPECT_EQ(policy.max_message_rate, (Rate{100, std::chrono::seconds(1), 5}));
  EXPECT_EQ(policy.idle_timeout, Duration(1min));
  EXPECT_EQ(policy.timeouts.data_dot, Duration(7min));
  EXPECT_EQ(policy.timeouts.banner, SmtpTimeouts{}.banner);
  EXPECT_EQ(policy.smtp_port, 2525);
  EXPECT_FALSE(policy.enable_pipelining);
  EXPECT_EQ(policy.max_in_flight, SitePolicy{}.max_in_flight);

  ShapingKeys later;
  later.connection_limit = 7;
  later.apply(policy);
  EXPECT_EQ(policy.connection_limit, 7U);
  EXPECT_EQ(policy.smtp_port, 2525);
}

TEST(Policy, EveryKeyReachesThePolicy) {
  ShapingKeys rule;
  rule.max_connection_rate = Rate{1, std::chrono::minutes(1), 1};
  rule.max_deliveries_per_connection = 11;
  rule.consecutive_connection_failures_before_delay = 12;
  rule.connect_timeout = Duration(1s);
  rule.banner_timeout = Duration(2s);
  rule.ehlo_timeout = Duration(3s);
  rule.mail_from_timeout = Duration(4s);
  rule.rcpt_to_timeout = Duration(5s);
  rule.data_timeout = Duration(6s);
  rule.rset_timeout = Duration(7s);
  rule.max_in_flight = 13;
  SitePolicy policy;
  rule.apply(policy);
  EXPECT_EQ(policy.max_connection_rate, (Rate{1, std::chrono::minutes(1), 1}));
  EXPECT_EQ(policy.max_deliveries_per_connection, 11U);
  EXPECT_EQ(policy.consecutive_connection_failures_before_delay, 12U);
  EXPECT_EQ(policy.timeouts.connect, Duration(1s));
  EXPECT_EQ(policy.timeouts.banner, Duration(2s));
  EXPECT_EQ(policy.timeouts.ehlo, Duration(3s));
  EXPECT_EQ(policy.timeouts.mail_from, Duration(4s));
  EXPECT_EQ(policy.timeouts.rcpt_to, Duration(5s));
  EXPECT_EQ(policy.timeouts.data, Duration(6s));
  EXPECT_EQ(policy.timeouts.rset, Duration(7s));
  EXPECT_EQ(policy.max_in_flight, 13U);
}

TEST(Policy, PrintsRates) {
  EXPECT_EQ(to_string(Rate{100, std::chrono::seconds(1), 1}), "100/s");
  EXPECT_EQ(to_string(Rate{20, std::chrono::minutes(1), 1}), "20/min");
  EXPECT_EQ(to_string(Rate{500'000, std::chrono::hours(1), 1}), "500000/h");
  EXPECT_EQ(to_string(Rate{3, std::chrono::hours(24), 1}), "3/d");
  EXPECT_EQ(to_string(Rate{3, std::chrono::seconds(90), 1}), "3/90s");
}

TEST(State, NamesGoBothWays) {
  for (size_t i = 0; i < kStates; ++i) {
    const auto state = static_cast<State>(i);
    EXPECT_EQ(parse_state(name_of(state)), state);
  }
  EXPECT_FALSE(parse_state("lost"));
  EXPECT_FALSE(parse_state(""));
  EXPECT_FALSE(is_final(State::kInFlight));
  EXPECT_TRUE(is_final(State::kDelivered));
  EXPECT_TRUE(is_final(State::kDuplicate));
}

TEST(Reply, PrintsEnhancedCodes) {
  EXPECT_EQ(to_string(EnhancedCode{5, 1, 1}), "5.1.1");
  EXPECT_EQ(to_string(EnhancedCode{4, 20, 300}), "4.20.300");
  EXPECT_EQ(to_string(EnhancedCode{}), "");
}

TEST(TlsPolicy, TheStrictestAsksForAllThatEitherDoes) {
  using enum TlsPolicy;
  EXPECT_EQ(strictest(kNone, kOpportunistic), kOpportunistic);
  EXPECT_EQ(strictest(kRequired, kOpportunistic), kRequired);
  EXPECT_EQ(strictest(kVerifiedIfOffered, kOpportunistic), kVerifiedIfOffered);
  EXPECT_EQ(strictest(kVerifiedIfOffered, kRequired), kVerified);
  EXPECT_EQ(strictest(kRequired, kVerifiedIfOffered), kVerified);
  for (const TlsPolicy each : {kNone, kOpportunistic, kVerifiedIfOffered, kRequired, kVerified}) {
    EXPECT_EQ(strictest(each, each), each);
    EXPECT_EQ(strictest(each, kNone), each);
    EXPECT_EQ(strictest(kVerified, each), kVerified);
    EXPECT_STRNE(name_of(each), "");
  }
}

}  // namespace
}  // namespace sluice
