// The judge of limits itself: what it lets pass and what it finds, against a count by hand.
#include "tests/sim/limit_book.h"

#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "tests/sim/world.h"

namespace sluice::sim {
namespace {

constexpr Duration kSecond = std::chrono::seconds(1);

// Some time that ends with the last event saw more than burst + rate * t.
bool is_too_many(const std::vector<Instant>& times, const Rate& rate) {
  const auto amount = static_cast<int64_t>(rate.amount);
  for (size_t first = 0; first < times.size(); ++first) {
    // A nanosecond that has begun counts.
    const int64_t passed = (times.back() - times[first]).count() + 1;
    const auto beyond_burst =
        static_cast<int64_t>(times.size() - first) - static_cast<int64_t>(rate.burst);
    if (beyond_burst * rate.period.count() > passed * amount) return true;
  }
  return false;
}

TEST(Bucket, FindsExactlyWhatCountingFinds) {
  Random random(1);
  uint32_t found = 0;
  for (int round = 0; round < 300; ++round) {
    const Rate rate{1 + random.below(70), kSecond, 1 + random.below(8)};
    const auto interval = static_cast<uint64_t>(rate.period.count()) / rate.amount;
    Bucket bucket(rate);
    std::vector<Instant> times = {Instant(std::chrono::hours(1))};
    ASSERT_TRUE(bucket.add(times.back()));
    for (int i = 0; i < 60; ++i) {
      // About as fast as is allowed, now and then to the nanosecond.
      const uint64_t wait =
          random.below(3) == 0 ? interval - random.below(2) : random.below(2 * interval);
      times.push_back(times.back() + Duration(static_cast<int64_t>(wait)));
      const bool too_many = is_too_many(times, rate);
      ASSERT_EQ(bucket.add(times.back()), !too_many) << "round " << round << ", event " << i;
      if (!too_many) continue;
      ++found;
      break;
    }
  }
  EXPECT_GT(found, 50U);
  EXPECT_LT(found, 300U);
}

// Two sources, three exchangers of which two belong to a provider.
class Book : public ::testing::Test {
 protected:
  static IpAddress ip(uint8_t last) {
    IpAddress address;
    address.octets = {10, 0, 0, last};
    return address;
  }
  static Line line(uint8_t from, uint8_t to) {
    Line out;
    out.from.ip = ip(from);
    out.to.ip = ip(to);
    return out;
  }
  void SetUp() override {
    provider_.exchangers = {ip(1), ip(2)};
    provider_.rate = Rate{1, kSecond, 2};
  }

  World world_{1};
  Network network_{world_};
  AllowedLimits allowed_;
  AllowedScope provider_;
  LimitBook book_{network_, allowed_};
};

TEST_F(Book, AProvidersMessagesAreCountedTogetherAndBySource) {
  allowed_.providers = {provider_};
  const Instant now = world_.now();
  EXPECT_FALSE(book_.on_message(line(100, 1), now));
  EXPECT_FALSE(book_.on_message(line(100, 2), now));
  EXPECT_FALSE(book_.on_message(line(101, 2), now)) << "another source";
  EXPECT_FALSE(book_.on_message(line(100, 3), now)) << "not the provider's";
  EXPECT_TRUE(book_.on_message(line(100, 1), now));
}

TEST_F(Book, ASitesMessagesAndDialsAreCountedByExchanger) {
  allowed_.site.rate = Rate{1, kSecond, 1};
  allowed_.site.dial_rate = Rate{1, kSecond, 1};
  const Instant now = world_.now();
  EXPECT_FALSE(book_.on_message(line(100, 1), now));
  EXPECT_FALSE(book_.on_dial(line(100, 1), now));
  EXPECT_FALSE(book_.on_message(line(100, 2), now));
  EXPECT_FALSE(book_.on_dial(line(100, 2), now));
  EXPECT_TRUE(book_.on_message(line(100, 1), now + kSecond / 2));
  EXPECT_TRUE(book_.on_dial(line(100, 2), now + kSecond / 2));
}

TEST_F(Book, AJobsRowsAreCountedByJob) {
  allowed_.jobs["slow"] = {{1, kSecond, 1}, 0};
  const Instant now = world_.now();
  EXPECT_FALSE(book_.on_row("slow", now));
  EXPECT_FALSE(book_.on_row("other", now));
  EXPECT_FALSE(book_.on_row("other", now));
  EXPECT_FALSE(book_.on_row("slow", now + kSecond));
  EXPECT_TRUE(book_.on_row("slow", now + kSecond * 3 / 2));
}

TEST_F(Book, ConnectionsOfAProviderAreCountedTogether) {
  struct Accepting final : Server {
    void on_connection(const LinePtr&) override {}
  } server;
  std::vector<std::optional<std::string>> said;
  network_.opened = [&](const Line& opened) { said.push_back(book_.on_line(opened)); };
  provider_.connections = 2;
  allowed_.providers = {provider_};
  std::vector<LinePtr> held;
  for (const uint8_t to : {1, 2, 3, 1}) {
    (void)network_.listen({ip(to), 25}, server);
    network_.connect({ip(100), 0}, {ip(to), 25}, this,
                     [&](IoError, const LinePtr& made) { held.push_back(made); });
    world_.advance_to(world_.next_event());
    ASSERT_TRUE(world_.run_due());
  }
  ASSERT_EQ(said.size(), 4U);
  EXPECT_FALSE(said[0] || said[1] || said[2]);
  EXPECT_TRUE(said[3]) << "the third of the provider";
}

}  // namespace
}  // namespace sluice::sim
