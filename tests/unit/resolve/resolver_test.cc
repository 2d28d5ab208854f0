#include "engine/resolve/resolver.h"

#include <gtest/gtest.h>

#include "tests/unit/resolve/resolver_fixture.h"

namespace sluice {
namespace {

using resolver_cache::Rcode;
using resolver_cache::RecordType;

TEST_F(ResolverTest, ExchangersByPreferenceWithAddresses) {
  zones().mx("example.com", 20, "mx2.example.com");
  zones().mx("example.com", 10, "mx1.example.com");
  zones().a("mx1.example.com", kPublic1);
  zones().a("mx1.example.com", kPublic2);
  zones().a("mx2.example.com", kPublic2);
  const RoutePtr r = route("Example.COM.");
  ASSERT_TRUE(r->usable());
  EXPECT_EQ(r->site, "(mx1|mx2).example.com");
  ASSERT_EQ(r->exchangers.size(), 2U);
  EXPECT_EQ(r->exchangers[0].name, "mx1.example.com");
  EXPECT_EQ(r->exchangers[0].addresses.size(), 2U);
  EXPECT_EQ(to_string(r->exchangers[0].addresses[0]), "198.41.0.4");
  EXPECT_FALSE(r->stale);
  EXPECT_FALSE(r->implicit_mx);
  // From the cache the second time.
  const size_t asked = zones().asked.size();
  EXPECT_EQ(asked, 3U);  // no AAAA: no source has IPv6
  EXPECT_TRUE(route("example.com")->usable());
  EXPECT_EQ(zones().asked.size(), asked);
}

TEST_F(ResolverTest, ImplicitMx) {
  zones().a("example.com", kPublic1);
  const RoutePtr r = route("example.com");
  ASSERT_TRUE(r->usable());
  EXPECT_TRUE(r->implicit_mx);
  EXPECT_EQ(r->site, "example.com");
  EXPECT_EQ(r->exchangers.at(0).preference, 0);
}

TEST_F(ResolverTest, TextsOfAName) {
  const std::string name = "_smtp._tls.example.com";
  zones().zones[{name, RecordType::kTxt}] = {resolver_cache::make_txt(name, 300, "one"),
                                             resolver_cache::make_txt(name, 300, "two")};
  using Texts = std::vector<std::string>;
  EXPECT_EQ(*texts("_smtp._TLS.Example.com."), (Texts{"one", "two"}));
  EXPECT_EQ(*texts(name), (Texts{"one", "two"}));
  EXPECT_EQ(zones().asked.size(), 1U);  // the second time from the cache
  EXPECT_EQ(*texts("nothing.example.com"), Texts());
  EXPECT_EQ(*texts(""), Texts());
  EXPECT_EQ(*texts(std::string(300, 'a')), Texts());
  zones().failures[{"slow.com", RecordType::kTxt}] = LookupAnswer::Failure::kTimeout;
  EXPECT_EQ(texts("slow.com").status(), unavailable("timed out at 127.0.0.1:53"));
}

TEST_F(ResolverTest, NullMxBounces) {
  zones().mx("example.com", 0, "");
  zones().a("example.com", kPublic1);
  expect_failure("example.com", State::kBounced, {5, 1, 10},
                 "example.com: the domain takes no mail (null MX)");
  EXPECT_EQ(zones().asked.size(), 1U);
}

TEST_F(ResolverTest, NameErrorIsBelievedFifteenMinutesLater) {
  const std::string once = "gone.com: the domain does not exist; asked again before it is believed";
  expect_failure("gone.com", State::kDeferred, {4, 4, 4}, once);
  io_.time += std::chrono::minutes(10);
  expect_failure("gone.com", State::kDeferred, {4, 4, 4}, once);
  io_.time += std::chrono::minutes(10);
  expect_failure("gone.com", State::kBounced, {5, 1, 2}, "gone.com: the domain does not exist");
  EXPECT_EQ(zones().asked.size(), 2U);
}

TEST_F(ResolverTest, TroubleOfTheResolverDefers) {
  zones().failures[{"slow.com", RecordType::kMx}] = LookupAnswer::Failure::kTimeout;
  expect_failure("slow.com", State::kDeferred, {4, 4, 3},
                 "slow.com: MX lookup failed: timed out at 127.0.0.1:53");
  zones().rcodes[{"servfail.com", RecordType::kMx}] = Rcode::kServerFailure;
  expect_failure("servfail.com", State::kDeferred, {4, 4, 3},
                 "servfail.com: MX lookup failed: the server answered SERVFAIL at 127.0.0.1:53");
  zones().rcodes[{"refused.com", RecordType::kMx}] = Rcode::kRefused;
  expect_failure("refused.com", State::kDeferred, {4, 4, 3},
                 "refused.com: MX lookup failed: the server answered REFUSED at 127.0.0.1:53");
}

TEST_F(ResolverTest, ExchangersWithoutAddressNeverFallBackToTheDomain) {
  zones().a("example.com", kPublic1);
  zones().mx("example.com", 10, "mx.example.com");
  expect_failure("example.com", State::kBounced, {5, 4, 4},
                 "example.com: no exchanger has an address");
}

TEST_F(ResolverTest, NeitherMxNorAddress) {
  zones().zones[{"example.com", RecordType::kTxt}];
  expect_failure("example.com", State::kBounced, {5, 4, 4},
                 "example.com: no exchanger has an address: neither MX nor address records exist");
}

// The last of 64 decides alone as long as there are no more; then nobody knows.
TEST_F(ResolverTest, NoBounceRestsOnExchangersThatAreNotLookedAt) {
  for (const uint16_t count : {64, 65, 1'500}) {
    const std::string domain = "d" + std::to_string(count) + ".com";
    for (uint16_t n = 0; n < count; ++n) {
      // The best ones come last.
      zones().mx(domain, static_cast<uint16_t>(count - n),
                 "none" + std::to_string(n) + "." + domain);
    }
    zones().a("x." + domain, kPublic1);
  }
  expect_failure("d64.com", State::kBounced, {5, 4, 4}, "d64.com: no exchanger has an address");
  const std::string text =
      ": none of the exchangers that are looked at has an address, and it has more";
  expect_failure("d65.com", State::kDeferred, {4, 4, 4}, "d65.com" + text);
  expect_failure("d1500.com", State::kDeferred, {4, 4, 4}, "d1500.com" + text);

  zones().mx("best-last.com", 10, "mx.d64.com");
  for (uint16_t n = 0; n < 1'500; ++n) {
    zones().mx("best-last.com", 20, "none" + std::to_string(n) + ".d64.com");
  }
  zones().mx("best-last.com", 5, "x.d64.com");
  const RoutePtr r = route("best-last.com");
  ASSERT_TRUE(r->usable());
  EXPECT_EQ(r->exchangers.at(0).name, "x.d64.com");
}

TEST_F(ResolverTest, AFailedAddressLookupDefers) {
  zones().mx("example.com", 10, "mx1.example.com");
  zones().mx("example.com", 20, "mx2.example.com");
  zones().failures[{"mx2.example.com", RecordType::kA}] = LookupAnswer::Failure::kTimeout;
  expect_failure("example.com", State::kDeferred, {4, 4, 3},
                 "example.com: address lookup failed: mx2.example.com: timed out at 127.0.0.1:53");
  // One that has an address is enough.
  zones().mx("other.com", 10, "mx2.example.com");
  zones().mx("other.com", 20, "mx3.example.com");
  zones().a("mx3.example.com", kPublic1);
  const RoutePtr r = route("other.com");
  ASSERT_TRUE(r->usable());
  ASSERT_EQ(r->exchangers.size(), 1U);
  EXPECT_EQ(r->site, "(mx2|mx3).example.com");
}

TEST_F(ResolverTest, AddressesInsideOurNetworkAreNoRoute) {
  zones().mx("example.com", 10, "mx.example.com");
  zones().a("mx.example.com", kPrivate);
  expect_failure("example.com", State::kDeferred, {4, 4, 4},
                 "example.com: no exchanger has an address that may be used (see [smtp] "
                 "allowed_networks)");
}

TEST_F(ResolverTest, OurOwnAddressEndsTheListOfExchangers) {
  options_.policy.own_addresses = {*parse_ip("198.41.0.4")};
  zones().mx("two.com", 10, "mx.two.com");
  zones().mx("two.com", 20, "us.two.com");
  zones().mx("two.com", 30, "last.two.com");
  zones().a("mx.two.com", kPublic2);
  zones().a("us.two.com", kPublic1);
  zones().a("last.two.com", kPublic2);
  const RoutePtr r = route("two.com");
  ASSERT_TRUE(r->usable());
  ASSERT_EQ(r->exchangers.size(), 1U) << "neither us nor who comes after us";
  EXPECT_EQ(r->exchangers[0].name, "mx.two.com");

  // Among equals the order of the answer does not matter.
  zones().mx("equal.com", 10, "mx.two.com");
  zones().mx("equal.com", 10, "us.two.com");
  expect_failure("equal.com", State::kBounced, {5, 4, 6},
                 "equal.com: its best exchanger is this host itself (an address of a [[source]])");
}

TEST_F(ResolverTest, ATraceTellsWhatARouteRestsOn) {
  zones().mx("example.com", 10, "mx1.example.com");
  zones().mx("example.com", 20, "mx2.example.com");
  zones().mx("example.com", 30, "mx3.example.com");
  zones().a("mx1.example.com", kPublic1);
  zones().a("mx2.example.com", kPrivate);
  const RouteTrace fresh = traced("example.com");
  ASSERT_EQ(fresh.facts.size(), 4U);
  EXPECT_EQ(fresh.facts[0].type, "MX");
  EXPECT_EQ(fresh.facts[0].source, "fresh");
  EXPECT_EQ(fresh.facts[0].records.size(), 3U);
  EXPECT_EQ(fresh.facts[0].records[0], "10 mx1.example.com");
  EXPECT_EQ(fresh.facts[1].records.at(0), "198.41.0.4");
  EXPECT_EQ(fresh.facts[3].kind, "no such name");
  ASSERT_EQ(fresh.unusable.size(), 2U);
  EXPECT_EQ(fresh.unusable[0].exchanger, "mx2.example.com");
  EXPECT_EQ(fresh.unusable[1].why, "no address is known");

  io_.time += std::chrono::seconds(7);
  const RouteTrace later = traced("example.com");
  EXPECT_EQ(later.facts[0].source, "cached");
  EXPECT_GE(later.facts[0].age, std::chrono::seconds(7));
  EXPECT_LT(later.facts[0].lives, fresh.facts[0].lives);

  zones().failures[{"example.com", RecordType::kMx}] = LookupAnswer::Failure::kTimeout;
  io_.time += std::chrono::hours(2);
  EXPECT_EQ(traced("example.com").facts[0].source, "stale");
}

TEST_F(ResolverTest, AllowedNetworks) {
  options_.policy.allowed_networks = {*parse_network("10.0.0.0/8")};
  zones().mx("example.com", 10, "mx.example.com");
  zones().a("mx.example.com", kPrivate);
  EXPECT_TRUE(route("example.com")->usable());
}

TEST_F(ResolverTest, BothFamiliesInterleaved) {
  options_.policy.use_ipv6 = true;
  zones().mx("example.com", 10, "mx.example.com");
  zones().a("mx.example.com", kPublic1);
  zones().a("mx.example.com", kPublic2);
  zones().aaaa("mx.example.com", kPublic6);
  const RoutePtr r = route("example.com");
  ASSERT_EQ(r->exchangers.at(0).addresses.size(), 3U);
  EXPECT_EQ(r->exchangers[0].addresses[0].family, Family::kIpv6);
  EXPECT_EQ(r->exchangers[0].addresses[1].family, Family::kIpv4);
}

class PreferredFamily : public ResolverTest, public ::testing::WithParamInterface<Family> {};

TEST_P(PreferredFamily, ComesFirstAsAWhole) {
  options_.policy.use_ipv6 = true;
  options_.policy.preferred = GetParam();
  zones().mx("example.com", 10, "mx.example.com");
  zones().a("mx.example.com", kPublic1);
  zones().a("mx.example.com", kPublic2);
  zones().aaaa("mx.example.com", kPublic6);
  const RoutePtr r = route("example.com");
  const std::vector<IpAddress>& addresses = r->exchangers.at(0).addresses;
  ASSERT_EQ(addresses.size(), 3U);
  const bool v4_first = GetParam() == Family::kIpv4;
  EXPECT_EQ(addresses[0].family, GetParam());
  EXPECT_EQ(addresses[1].family, Family::kIpv4);
  EXPECT_EQ(addresses[2].family, v4_first ? Family::kIpv6 : Family::kIpv4);
}

INSTANTIATE_TEST_SUITE_P(Both, PreferredFamily, ::testing::Values(Family::kIpv4, Family::kIpv6));

TEST_F(ResolverTest, OnlyIpv6AddressesDoNotBounceASenderWithoutIpv6) {
  zones().mx("example.com", 10, "mx.example.com");
  zones().aaaa("mx.example.com", kPublic6);
  const RoutePtr r = route("example.com");
  EXPECT_EQ(r->failure.state, State::kDeferred);
  EXPECT_EQ(to_string(r->failure.reply.enhanced), "4.4.4");
}

TEST_F(ResolverTest, Literals) {
  expect_failure("[198.41.0.4]", State::kBounced, {5, 1, 2},
                 "[198.41.0.4]: address literals are not allowed (see [smtp] "
                 "allow_address_literals)");
}

TEST_F(ResolverTest, LiteralsWhenAllowed) {
  options_.policy.allow_address_literals = true;
  const RoutePtr r = route("[198.41.0.4]");
  ASSERT_TRUE(r->usable());
  EXPECT_EQ(r->site, "[198.41.0.4]");
  EXPECT_EQ(r->exchangers.at(0).name, "[198.41.0.4]");
  EXPECT_FALSE(route("[10.0.0.1]")->usable());
  EXPECT_FALSE(route("[IPv6:2001:503:ba3e::2:30]")->usable());  // no IPv6 source
  EXPECT_EQ(route("[2001:503:ba3e::2:30]")->failure.state, State::kBounced);
  EXPECT_EQ(route("[nonsense")->failure.state, State::kBounced);
  EXPECT_TRUE(zones().asked.empty());
}

TEST_F(ResolverTest, ALiteralOfThisHostBounces) {
  options_.policy.allow_address_literals = true;
  options_.policy.use_ipv6 = true;
  options_.policy.own_addresses = {*parse_ip("198.41.0.4"), *parse_ip("2001:503:ba3e::2:30")};
  const std::string text = ": this is an address of this host itself (of a [[source]])";
  expect_failure("[198.41.0.4]", State::kBounced, {5, 4, 6}, "[198.41.0.4]" + text);
  expect_failure("[IPv6:2001:503:ba3e::2:30]", State::kBounced, {5, 4, 6},
                 "[IPv6:2001:503:ba3e::2:30]" + text);
  EXPECT_TRUE(route("[198.41.0.5]")->usable());
}

TEST_F(ResolverTest, BadNames) {
  EXPECT_EQ(route("a..b")->failure.state, State::kBounced);
  EXPECT_EQ(route("")->failure.state, State::kBounced);
  EXPECT_EQ(route(std::string(300, 'x'))->failure.state, State::kBounced);
  EXPECT_TRUE(zones().asked.empty());
}

TEST_F(ResolverTest, ServesStaleWhenTheRefreshFails) {
  zones().mx("example.com", 10, "mx.example.com");
  zones().a("mx.example.com", kPublic1);
  EXPECT_FALSE(route("example.com")->stale);
  zones().failures[{"example.com", RecordType::kMx}] = LookupAnswer::Failure::kTimeout;
  zones().failures[{"mx.example.com", RecordType::kA}] = LookupAnswer::Failure::kTimeout;
  io_.time += std::chrono::hours(1);
  const RoutePtr r = route("example.com");
  ASSERT_TRUE(r->usable());
  EXPECT_TRUE(r->stale);
  io_.time += std::chrono::hours(25);
  EXPECT_EQ(route("example.com")->failure.state, State::kDeferred);
}

TEST_F(ResolverTest, RefreshesAheadOfExpiry) {
  zones().mx("example.com", 10, "mx.example.com");
  zones().a("mx.example.com", kPublic1);
  route("example.com");
  io_.time += std::chrono::seconds(280);
  EXPECT_TRUE(route("example.com")->usable());
  for (int i = 0; i < 10; ++i) turn(shard());
  EXPECT_EQ(zones().asked.size(), 4U);
  EXPECT_EQ(shard().resolver.stats().refreshes, 2U);
}

TEST_F(ResolverTest, OneQueryForManyAskersOverShards) {
  Shard other(io_, cache_, options_);
  for (ZoneLookup* lookup : {&shard().lookup, &other.lookup}) {
    lookup->mx("example.com", 10, "mx.example.com");
    lookup->a("mx.example.com", kPublic1);
    lookup->delay = std::chrono::milliseconds(50);
  }
  RoutePtr routes[4];
  for (RoutePtr& r : {std::ref(routes[0]), std::ref(routes[1])}) {
    start(shard(), "example.com", r);
  }
  start(other, "example.com", routes[2]);
  start(other, "example.com", routes[3]);
  for (int i = 0; i < 100; ++i) {
    turn(shard());
    turn(other);
    io_.time += std::chrono::milliseconds(10);
  }
  for (const RoutePtr& r : routes) {
    ASSERT_NE(r, nullptr);
    EXPECT_TRUE(r->usable());
  }
  EXPECT_EQ(shard().lookup.asked.size() + other.lookup.asked.size(), 2U);
  EXPECT_GT(other.resolver.stats().waits, 0U);
  close(other);
}

TEST_F(ResolverTest, CloseEndsWhatIsUnderWay) {
  zones().delay = std::chrono::milliseconds(500);
  RoutePtr result;
  RoutePtr waiting;
  start(shard(), "example.com", result);
  start(shard(), "example.com", waiting);
  turn(shard());
  close(shard());
  ASSERT_NE(result, nullptr);
  ASSERT_NE(waiting, nullptr);
  EXPECT_EQ(result->failure.state, State::kDeferred);
  EXPECT_EQ(waiting->failure.reply.text.substr(0, 12), "example.com:");
  EXPECT_EQ(cache_.stats().flights, 0U);
  shard_.reset();
}

TEST(ResolverOptions, FamiliesOfTheSources) {
  Configuration configuration;
  EXPECT_TRUE(resolver_options_of(configuration).policy.use_ipv4);
  EXPECT_FALSE(resolver_options_of(configuration).policy.use_ipv6);
  Source source;
  source.addresses = {*parse_ip("2001:db8::1")};
  configuration.sources = {source};
  EXPECT_FALSE(resolver_options_of(configuration).policy.use_ipv4);
  EXPECT_TRUE(resolver_options_of(configuration).policy.use_ipv6);
  source.addresses.push_back(*parse_ip("192.0.2.1"));
  configuration.sources = {source};
  configuration.smtp.address_family = AddressFamily::kIpv4;
  EXPECT_TRUE(resolver_options_of(configuration).policy.use_ipv4);
  EXPECT_FALSE(resolver_options_of(configuration).policy.use_ipv6);
}

TEST(ResolverOptions, WhatTlsNeeds) {
  Configuration configuration;
  EXPECT_FALSE(resolver_options_of(configuration).trust_ad);
  EXPECT_EQ(resolver_options_of(configuration).smtp_port, 25);
  configuration.dns.trust_ad = true;
  configuration.tls.dane = false;
  configuration.smtp.port = 2525;
  ResolverOptions options = resolver_options_of(configuration);
  EXPECT_TRUE(options.trust_ad);
  EXPECT_FALSE(options.dane);
  EXPECT_EQ(options.smtp_port, 2525);
  EXPECT_EQ(options.sts_store, nullptr);
  configuration.tls.dane = true;
  EXPECT_TRUE(resolver_options_of(configuration).dane);
}

}  // namespace
}  // namespace sluice
