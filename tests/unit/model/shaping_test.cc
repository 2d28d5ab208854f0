#include "engine/model/shaping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

using Scope = ShapingRule::Scope;

// A table that sets connection_limit.
ShapingRule table(Scope scope, const std::string& name, uint32_t limit,
                  const std::string& source = "") {
  ShapingRule rule;
  rule.scope = scope;
  rule.domain = name;
  rule.source = source;
  rule.table = name + (source.empty() ? "" : "/" + source);
  rule.file = "f";
  rule.connection_limit = limit;
  rule.set.push_back({"connection_limit", std::to_string(limit), static_cast<int>(limit), true});
  return rule;
}

ShapingRule provider(const std::string& name, uint32_t limit, std::vector<ProviderMatch> matches) {
  ShapingRule rule = table(Scope::kProvider, name, limit);
  rule.matches = std::move(matches);
  return rule;
}

ShapingRule alone(ShapingRule rule) {
  rule.mx_rollup = false;
  return rule;
}

ShapingRule replacing(ShapingRule rule) {
  rule.replace_base = true;
  return rule;
}

ProviderMatch mx(const std::string& suffix) { return {ProviderMatch::Kind::kMxSuffix, suffix}; }
ProviderMatch host(const std::string& name) { return {ProviderMatch::Kind::kHostName, name}; }
ProviderMatch suffix(const std::string& text) { return {ProviderMatch::Kind::kDomainSuffix, text}; }

std::vector<Exchanger> exchangers(const std::vector<std::string>& names) {
  std::vector<Exchanger> out;
  for (const std::string& name : names) out.push_back({name, 10, {}});
  return out;
}

uint32_t limit(const Shaping& shaping, const std::string& site, const std::string& domain,
               const std::vector<std::string>& hosts, const std::string& source = "s1") {
  return shaping.shape(site, domain, exchangers(hosts), source).policy.connection_limit;
}

// Each of these overrides those before it.
TEST(ShapingOrder, IsDefaultProviderSiteDomainThenTheirSources) {
  const std::vector<ShapingRule> ascending = {
      table(Scope::kDefault, "default", 1),
      table(Scope::kDefault, "default", 2, "s1"),
      provider("p", 3, {mx(".big.example")}),
      table(Scope::kProvider, "p", 4, "s1"),
      table(Scope::kDomain, "neighbour.example", 5),
      alone(table(Scope::kDomain, "d.example", 6)),
      table(Scope::kDomain, "neighbour.example", 7, "s1"),
      alone(table(Scope::kDomain, "d.example", 8, "s1")),
  };
  // Whatever the order of the files; a source's table stands behind the table that it is part of.
  for (const bool backwards : {false, true}) {
    for (size_t count = 1; count <= ascending.size(); ++count) {
      std::vector<ShapingRule> rules(ascending.begin(),
                                     ascending.begin() + static_cast<std::ptrdiff_t>(count));
      if (backwards) {
        std::stable_sort(
            rules.begin(), rules.end(),
            [](const ShapingRule& a, const ShapingRule& b) { return a.scope > b.scope; });
      }
      Shaping shaping(rules);
      shaping.set_site("neighbour.example", "mx.big.example");
      shaping.set_site("d.example", "mx.big.example");
      const bool own = shaping.is_own_site("d.example");
      EXPECT_EQ(own, count >= 6);
      EXPECT_EQ(
          limit(shaping, own ? "d.example" : "mx.big.example", "d.example", {"mx.big.example"}),
          count);
    }
  }
}

TEST(ShapingOrder, SourcesTablesHoldForTheirSourceAlone) {
  Shaping shaping({table(Scope::kDefault, "default", 1), table(Scope::kDefault, "default", 2, "s1"),
                   table(Scope::kDomain, "d.example", 3),
                   table(Scope::kDomain, "d.example", 4, "s2")});
  EXPECT_EQ(limit(shaping, "x", "x.example", {}, "s1"), 2U);
  EXPECT_EQ(limit(shaping, "x", "x.example", {}, "s2"), 1U);
  EXPECT_EQ(limit(shaping, "d", "d.example", {}, "s1"), 3U);
  EXPECT_EQ(limit(shaping, "d", "d.example", {}, "s2"), 4U);
}

TEST(ShapingSites, ADomainsTableHoldsForAllOfItsSite) {
  Shaping shaping({table(Scope::kDomain, "d.example", 3), table(Scope::kDomain, "e.example", 4)});
  EXPECT_THAT(shaping.domains(), ::testing::ElementsAre("d.example", "e.example"));
  const uint32_t unset = SitePolicy().connection_limit;
  EXPECT_EQ(limit(shaping, "mx", "other.example", {}), unset);
  // Its own mail, also while its site is not known.
  EXPECT_EQ(limit(shaping, "mx", "d.example", {}), 3U);

  EXPECT_TRUE(shaping.set_site("d.example", "mx"));
  EXPECT_FALSE(shaping.set_site("d.example", "mx"));
  EXPECT_FALSE(shaping.set_site("unnamed.example", "mx"));
  EXPECT_EQ(limit(shaping, "mx", "other.example", {}), 3U);
  // Two domains of one site: the later table wins.
  EXPECT_TRUE(shaping.set_site("e.example", "mx"));
  EXPECT_EQ(limit(shaping, "mx", "other.example", {}), 4U);
  // A site that changed.
  EXPECT_TRUE(shaping.set_site("e.example", "mx2"));
  EXPECT_EQ(shaping.site_of("e.example"), "mx2");
  EXPECT_EQ(limit(shaping, "mx", "other.example", {}), 3U);
  EXPECT_EQ(limit(shaping, "mx2", "other.example", {}), 4U);
}

TEST(ShapingSites, WithoutRollupADomainIsASiteOfItsOwn) {
  Shaping shaping(
      {table(Scope::kDomain, "host.example", 3), alone(table(Scope::kDomain, "d.example", 4))});
  shaping.set_site("host.example", "mx");
  shaping.set_site("d.example", "mx");
  EXPECT_TRUE(shaping.is_own_site("d.example"));
  EXPECT_FALSE(shaping.is_own_site("host.example"));
  EXPECT_FALSE(shaping.is_own_site("x.example"));
  EXPECT_EQ(limit(shaping, "mx", "x.example", {}), 3U);
  EXPECT_EQ(limit(shaping, "d.example", "d.example", {}), 4U);
  // What its own table does not set comes from the exchangers' site.
  ShapingRule rate = alone(table(Scope::kDomain, "d.example", 4));
  rate.connection_limit.reset();
  Shaping inherits({table(Scope::kDomain, "host.example", 3), rate});
  inherits.set_site("host.example", "mx");
  inherits.set_site("d.example", "mx");
  EXPECT_EQ(limit(inherits, "d.example", "d.example", {}), 3U);
}

TEST(ShapingProviders, AllExchangersMustMatchSomeCondition) {
  Shaping shaping({provider("p", 3, {mx(".a.example"), mx(".b.example"), host("one.c.example")}),
                   provider("none", 9, {})});
  const uint32_t unset = SitePolicy().connection_limit;
  EXPECT_EQ(limit(shaping, "s", "d.example", {"mx1.a.example"}), 3U);
  EXPECT_EQ(limit(shaping, "s", "d.example", {"mx1.a.example", "mx.b.example"}), 3U);
  EXPECT_EQ(limit(shaping, "s", "d.example", {"one.c.example"}), 3U);
  EXPECT_EQ(limit(shaping, "s", "d.example", {"two.one.c.example"}), unset);
  EXPECT_EQ(limit(shaping, "s", "d.example", {"mx1.a.example", "mx.elsewhere.example"}), unset);
  EXPECT_EQ(limit(shaping, "s", "d.example", {"a.example"}), unset);  // ".a.example" is longer
  EXPECT_EQ(limit(shaping, "s", "d.example", {}), unset);
}

TEST(ShapingProviders, ADomainSuffixIsEnough) {
  Shaping shaping({provider("p", 3, {suffix(".corp.example"), mx(".a.example")})});
  EXPECT_EQ(limit(shaping, "s", "x.corp.example", {"mx.elsewhere.example"}), 3U);
  EXPECT_EQ(limit(shaping, "s", "corp.example", {"mx.elsewhere.example"}),
            SitePolicy().connection_limit);
  EXPECT_EQ(limit(shaping, "s", "d.example", {"mx.a.example"}), 3U);
}

TEST(ShapingProviders, ItsLimitsComeWithItsNameAndBySource) {
  ShapingRule p = provider("p", 3, {mx(".a.example")});
  p.provider_connection_limit = 7;
  ShapingRule of_source = table(Scope::kProvider, "p", 4, "s2");
  of_source.provider_connection_limit = 8;
  of_source.provider_max_message_rate = Rate{5, std::chrono::seconds(1), 1};
  of_source.set.push_back({"provider_connection_limit", "8", 90, true});
  Shaping shaping({p, of_source});
  const Shaped one = shaping.shape("s", "d", exchangers({"mx.a.example"}), "s1");
  EXPECT_EQ(one.provider, "p");
  EXPECT_EQ(one.provider_connection_limit, 7U);
  EXPECT_FALSE(one.provider_max_message_rate);
  const Shaped two = shaping.shape("s", "d", exchangers({"mx.a.example"}), "s2");
  EXPECT_EQ(two.provider_connection_limit, 8U);
  EXPECT_TRUE(two.provider_max_message_rate);
  ASSERT_NE(two.origins.find("provider_connection_limit"), nullptr);
  EXPECT_EQ(two.origins.find("provider_connection_limit")->line, 90);
  const Shaped none = shaping.shape("s", "d", exchangers({"mx.x.example"}), "s1");
  EXPECT_EQ(none.provider, "");
  EXPECT_FALSE(none.provider_connection_limit);
}

TEST(ShapingProviders, OfSeveralTheLastWithLimitsHolds) {
  ShapingRule limited = provider("limited", 3, {mx(".example")});
  limited.provider_connection_limit = 7;
  limited.set.push_back({"provider_connection_limit", "7", 70, true});
  const ShapingRule plain = provider("plain", 4, {mx(".example")});
  const Shaped shaped = Shaping({limited, plain}).shape("s", "d", exchangers({"mx.example"}), "s1");
  EXPECT_EQ(shaped.policy.connection_limit, 4U);
  EXPECT_EQ(shaped.provider, "limited");
  EXPECT_EQ(shaped.provider_connection_limit, 7U);

  ShapingRule later = provider("later", 5, {mx(".example")});
  later.provider_max_message_rate = Rate{5, std::chrono::seconds(1), 1};
  const Shaped both = Shaping({limited, later}).shape("s", "d", exchangers({"mx.example"}), "s1");
  EXPECT_EQ(both.provider, "later");
  EXPECT_FALSE(both.provider_connection_limit);
  EXPECT_EQ(both.origins.find("provider_connection_limit"), nullptr);
}

TEST(ShapingMerge, LaterFilesAddAndOverride) {
  ShapingRule first = table(Scope::kDomain, "d.example", 3);
  first.max_deliveries_per_connection = 30;
  ShapingRule again = provider("p", 4, {mx(".b.example")});
  Shaping shaping(
      {first, provider("p", 2, {mx(".a.example")}), table(Scope::kDomain, "d.example", 5), again});
  const Shaped shaped = shaping.shape("s", "d.example", {}, "s1");
  EXPECT_EQ(shaped.policy.connection_limit, 5U);
  EXPECT_EQ(shaped.policy.max_deliveries_per_connection, 30U);
  // The conditions of both files.
  EXPECT_EQ(limit(shaping, "s", "x.example", {"mx.a.example", "mx.b.example"}), 4U);
}

TEST(ShapingMerge, ReplaceBaseDropsTheEarlierTablesOfThatName) {
  ShapingRule first = table(Scope::kDomain, "d.example", 3);
  first.max_deliveries_per_connection = 30;
  Shaping shaping({table(Scope::kDefault, "default", 1), first,
                   table(Scope::kDomain, "d.example", 9, "s1"),
                   replacing(table(Scope::kDomain, "d.example", 5))});
  const Shaped shaped = shaping.shape("s", "d.example", {}, "s1");
  EXPECT_EQ(shaped.policy.connection_limit, 5U);
  EXPECT_EQ(shaped.policy.max_deliveries_per_connection,
            SitePolicy().max_deliveries_per_connection);

  ShapingRule base = table(Scope::kDefault, "default", 1);
  base.max_in_flight = 2;
  EXPECT_EQ(Shaping({base, replacing(table(Scope::kDefault, "default", 4))})
                .shape("s", "x", {}, "s1")
                .policy.max_in_flight,
            SitePolicy().max_in_flight);

  // A provider's conditions go as well.
  Shaping providers(
      {provider("p", 2, {mx(".a.example")}), replacing(provider("p", 4, {mx(".b.example")}))});
  EXPECT_EQ(limit(providers, "s", "x", {"mx.a.example"}), SitePolicy().connection_limit);
  EXPECT_EQ(limit(providers, "s", "x", {"mx.b.example"}), 4U);
}

TEST(ShapingMerge, ReplaceBaseInTheFirstTableDropsTheDefaults) {
  ShapingRule base = table(Scope::kDefault, "default", 1);
  base.max_message_rate = Rate{5, std::chrono::seconds(1), 1};
  ShapingRule p = provider("p", 2, {mx(".example")});
  p.provider_connection_limit = 7;
  for (const bool own : {false, true}) {
    ShapingRule rule = replacing(table(Scope::kDomain, "d.example", 5));
    rule.mx_rollup = !own;
    const Shaped shaped =
        Shaping({base, p, rule}).shape("d.example", "d.example", exchangers({"mx.example"}), "s1");
    EXPECT_EQ(shaped.policy.connection_limit, 5U);
    EXPECT_FALSE(shaped.policy.max_message_rate);
    EXPECT_FALSE(shaped.provider_connection_limit);
  }
}

TEST(ShapingOrigins, NameTheLineThatHolds) {
  ShapingRule base = table(Scope::kDefault, "default", 1);
  base.set.push_back({"enable_tls", "Required", 77, false});
  const ShapingRule of_source = table(Scope::kDomain, "d.example", 4, "s1");
  Shaping shaping({base, table(Scope::kDomain, "d.example", 3), of_source});
  Origins kept;
  {
    const Shaping gone = shaping;
    kept = gone.shape("s", "d.example", {}, "s1").origins;
  }
  ASSERT_NE(kept.find("connection_limit"), nullptr);
  EXPECT_EQ(kept.find("connection_limit")->table, "d.example/s1");
  EXPECT_EQ(kept.find("connection_limit")->value, "4");
  EXPECT_EQ(kept.find("connection_limit")->line, 4);
  EXPECT_EQ(kept.find("connection_limit")->file, "f");
  ASSERT_NE(kept.find("enable_tls"), nullptr);
  EXPECT_FALSE(kept.find("enable_tls")->built);
  EXPECT_EQ(kept.find("idle_timeout"), nullptr);
  EXPECT_EQ(kept.end() - kept.begin(), 2);
  EXPECT_TRUE(Shaping({}).shape("s", "d", {}, "s1").origins.empty());
}

}  // namespace
}  // namespace sluice
