// The window against simulated receivers: what FEEDBACK.md promises, as bounds.
#include <gtest/gtest.h>

#include "bench/feedback_receivers.h"
#include "bench/feedback_rules.h"

namespace sluice::feedback {
namespace {

struct Result {
  Outcome ours;
  Outcome ideal;

  double share() const {
    return static_cast<double>(ours.deliveries) / static_cast<double>(ideal.deliveries);
  }
  // Delivered in so many seconds from then on, of the ideal.
  double share(size_t from, size_t seconds) const {
    uint64_t sum = 0;
    uint64_t goal = 0;
    for (size_t second = from; second < from + seconds; ++second) {
      sum += ours.delivered[second];
      goal += ideal.delivered[second];
    }
    return static_cast<double>(sum) / static_cast<double>(goal);
  }
};

Result send_to(const Receiver& receiver, uint64_t seed) {
  Ours ours(seed);
  Ideal ideal(receiver);
  return {Sender(receiver, ours, seed).run(), Sender(receiver, ideal, seed).run()};
}

class ConcurrencyReceivers : public ::testing::TestWithParam<uint64_t> {};

TEST_P(ConcurrencyReceivers, WithoutALimitAThousandAreOpenInSeconds) {
  const Result result = send_to(unlimited(), GetParam());
  EXPECT_EQ(result.ours.failures, 0U);
  EXPECT_GE(result.share(3, 60), 0.99);
}

TEST_P(ConcurrencyReceivers, AHiddenLimitIsUsedAndSeldomMet) {
  for (const Receiver& receiver : {hidden_limit(), hidden_limit_short()}) {
    SCOPED_TRACE(receiver.name);
    const Result result = send_to(receiver, GetParam());
    EXPECT_GE(result.share(), 0.99);
    EXPECT_LE(result.ours.failures, 240U) << "in an hour, four a minute at most";
  }
}

TEST_P(ConcurrencyReceivers, ALimitThatChangesIsFollowed) {
  const Result result = send_to(changing_limit(), GetParam());
  EXPECT_GE(result.share(630, 540), 0.95) << "while it is low";
  EXPECT_GE(result.share(1'560, 800), 0.95) << "six minutes after it rose";
  EXPECT_LE(result.ours.failures, 800U);
}

TEST_P(ConcurrencyReceivers, AMinuteOfRefusalsIsNoLimit) {
  for (const Receiver& receiver : {shedding(0.3), shedding_short(), shedding_few()}) {
    SCOPED_TRACE(receiver.name);
    const Result result = send_to(receiver, GetParam());
    EXPECT_GE(result.share(60, 60), 0.5) << "while it refuses";
    EXPECT_GE(result.share(150, 60), 0.95) << "half a minute after";
  }
}

TEST_P(ConcurrencyReceivers, ABrokenHostOfFourHoldsNobodyBackForGood) {
  const Result result = send_to(broken_host(50), GetParam());
  EXPECT_GE(result.share(600, 1'000), 0.9);
}

TEST_P(ConcurrencyReceivers, ASiteThatIsDownIsLeftAlone) {
  const Receiver receiver = dead();
  const Result result = send_to(receiver, GetParam());
  EXPECT_LE(result.ours.failures, 250U);
  EXPECT_GE(result.share(2'000, 300), 0.99);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ConcurrencyReceivers, ::testing::Values(1, 2));

}  // namespace
}  // namespace sluice::feedback
