#include "engine/shard/targets.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice {
namespace {

using Addresses = std::vector<std::string>;

constexpr Instant kNow{std::chrono::hours(1)};

Exchanger exchanger(std::string name, uint16_t preference, const Addresses& addresses) {
  Exchanger made{std::move(name), preference, {}};
  for (const std::string& address : addresses) made.addresses.push_back(*parse_ip(address));
  return made;
}

class Targets : public ::testing::Test {
 protected:
  void has(const Addresses& addresses) { route_.exchangers = {exchanger("mx", 10, addresses)}; }
  Addresses found() {
    Addresses addresses;
    for (const Target& target : targets_of(route_, site_, source_, kNow, random_)) {
      addresses.push_back(to_string(target.address));
    }
    return addresses;
  }

  Route route_;
  Site site_;
  Source source_;
  Random random_{1};
};

TEST_F(Targets, AsTheRouteHasThem) {
  has({"2a0e::1", "11.0.0.1", "2a0e::2", "11.0.0.2"});
  EXPECT_EQ(found(), (Addresses{"2a0e::1", "11.0.0.1", "2a0e::2", "11.0.0.2"}));
  has({"11.0.0.1", "11.0.0.2", "2a0e::1"});
  EXPECT_EQ(found(), (Addresses{"11.0.0.1", "11.0.0.2", "2a0e::1"}));
}

TEST_F(Targets, TheFamilyThatAnsweredLastComesFirst) {
  has({"2a0e::1", "11.0.0.1", "2a0e::2", "11.0.0.2", "11.0.0.3"});
  site_.families.remember(route_, "mx", Family::kIpv4);
  EXPECT_EQ(found(), (Addresses{"11.0.0.1", "2a0e::1", "11.0.0.2", "2a0e::2", "11.0.0.3"}));
  site_.families.remember(route_, "mx", Family::kIpv6);
  EXPECT_EQ(found(), (Addresses{"2a0e::1", "11.0.0.1", "2a0e::2", "11.0.0.2", "11.0.0.3"}));
}

TEST_F(Targets, AnotherExchangersFamilyDoesNotMatter) {
  route_.exchangers = {exchanger("mx1", 10, {"2a0e::1", "11.0.0.1"}),
                       exchanger("mx2", 20, {"2a0e::2", "11.0.0.2"})};
  site_.families.remember(route_, "mx2", Family::kIpv4);
  EXPECT_EQ(found(), (Addresses{"2a0e::1", "11.0.0.1", "11.0.0.2", "2a0e::2"}));
}

TEST_F(Targets, RestedOnesComeLast) {
  has({"2a0e::1", "11.0.0.1", "2a0e::2"});
  site_.families.remember(route_, "mx", Family::kIpv4);
  site_.on_failed(*parse_ip("11.0.0.1"), 1, kNow, kNow + std::chrono::minutes(1));
  EXPECT_EQ(found(), (Addresses{"2a0e::1", "2a0e::2", "11.0.0.1"}));
}

TEST_F(Targets, OneFailureAmongSeveralRestsNobody) {
  has({"11.0.0.1", "11.0.0.2"});
  const IpAddress first = *parse_ip("11.0.0.1");
  const Instant until = kNow + std::chrono::minutes(1);
  site_.on_failed(first, 3, kNow, until);
  site_.on_failed(first, 3, kNow, until);
  EXPECT_FALSE(site_.is_rested(first, kNow));
  site_.on_answered(first);
  site_.on_failed(first, 2, kNow, until);
  EXPECT_FALSE(site_.is_rested(first, kNow)) << "what was answered in between begins anew";
  site_.on_failed(first, 2, kNow, until);
  EXPECT_EQ(found(), (Addresses{"11.0.0.2", "11.0.0.1"}));
  EXPECT_FALSE(site_.is_rested(first, until));
}

TEST_F(Targets, ASourceDialsItsOwnFamiliesAlone) {
  has({"2a0e::1", "11.0.0.1"});
  source_.addresses = {*parse_ip("11.9.9.9")};
  EXPECT_EQ(found(), (Addresses{"11.0.0.1"}));
}

TEST_F(Targets, EqualsAreShuffled) {
  route_.exchangers = {exchanger("a", 10, {"11.0.0.1"}), exchanger("b", 10, {"11.0.0.2"}),
                       exchanger("c", 20, {"11.0.0.3"})};
  std::map<std::string, int> first;
  for (int i = 0; i < 1'000; ++i) {
    const Addresses addresses = found();
    ++first[addresses.at(0)];
    EXPECT_EQ(addresses.at(2), "11.0.0.3");
  }
  EXPECT_NEAR(first["11.0.0.1"], 500, 100);
  EXPECT_NEAR(first["11.0.0.2"], 500, 100);
}

TEST(AnsweredFamiliesTest, KeepsAFewOfThoseWithAChoice) {
  Route route;
  AnsweredFamilies families;
  for (size_t i = 0; i < AnsweredFamilies::kExchangersMax + 1; ++i) {
    route.exchangers.push_back(exchanger("mx" + std::to_string(i), 10, {"2a0e::1", "11.0.0.1"}));
  }
  route.exchangers.push_back(exchanger("single", 10, {"11.0.0.1", "11.0.0.2"}));
  families.remember(route, "single", Family::kIpv4);
  families.remember(route, "gone", Family::kIpv4);
  EXPECT_EQ(families.of("single"), std::nullopt);
  EXPECT_EQ(families.of("gone"), std::nullopt);
  for (const Exchanger& each : route.exchangers) families.remember(route, each.name, Family::kIpv4);
  EXPECT_EQ(families.of("mx0"), std::nullopt);
  EXPECT_EQ(families.of("mx1"), Family::kIpv4);
  EXPECT_EQ(families.of("mx" + std::to_string(AnsweredFamilies::kExchangersMax)), Family::kIpv4);
}

}  // namespace
}  // namespace sluice
