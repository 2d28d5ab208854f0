#include "engine/shard/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/resolve/pretended_world.h"

namespace sluice {
namespace {

using resolver_cache::RecordType;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::array<uint8_t, 4> kPublic1 = {198, 41, 0, 4};

ShapingRule rule_for(const std::string& domain, uint32_t limit) {
  ShapingRule rule;
  rule.scope = domain == "default" ? ShapingRule::Scope::kDefault : ShapingRule::Scope::kDomain;
  rule.domain = domain;
  rule.connection_limit = limit;
  return rule;
}

Task<> wait_into(Rules& rules, bool& out) {
  co_await rules.wait();
  out = true;
}

class RulesTest : public ::testing::Test {
 protected:
  RulesTest()
      : cache_(cache_options_of({}, 1)),
        loop_(io_, {}),
        zones_(loop_),
        resolver_(loop_, zones_, cache_, {}) {
    zones_.a("mx1.example", kPublic1);
    zones_.a("mx2.example", kPublic1);
  }
  ~RulesTest() override {
    {
      const Executor::Scope scope(loop_.executor());
      if (rules_) rules_->stop();
      stories_.spawn(close_all());
    }
    while (!closed_) turn();
    turn(io_.time);
  }

  void start(ShapingRules rules) {
    rules_.emplace(loop_, resolver_, std::move(rules),
                   [this](std::string_view site) { changed_.emplace_back(site); });
    const Executor::Scope scope(loop_.executor());
    services_.spawn(rules_->run());
  }
  void wait(bool& out) {
    const Executor::Scope scope(loop_.executor());
    services_.spawn(wait_into(*rules_, out));
  }
  void reload(ShapingRules rules, std::function<void()> in_force) {
    const Executor::Scope scope(loop_.executor());
    rules_->reload(std::move(rules), std::move(in_force));
  }
  // Turns until so much time has passed. The clock jumps to the next timer.
  void run(Duration time) {
    const Instant end = io_.time + time;
    while (io_.time < end) turn(end);
    turn(end);
  }
  void turn(Instant until = kForever) {
    resolver_.before_block();
    loop_.turn(until);
    resolver_.after_block();
  }
  uint32_t limit(const std::string& site, const std::string& domain) {
    return rules_->shape(site, domain, Route(), "s1").policy.connection_limit;
  }
  size_t asked_for(const std::string& domain) const {
    size_t count = 0;
    for (const auto& [name, type] : zones_.asked) {
      if (name == domain && type == RecordType::kMx) ++count;
    }
    return count;
  }
  Task<> close_all() {
    co_await resolver_.close();
    co_await services_.close();
    closed_ = true;
  }

  PretendedIo io_;
  resolver_cache::Cache cache_;
  Loop loop_;
  ZoneLookup zones_;
  Resolver resolver_;
  Gate services_;
  Gate stories_;
  std::optional<Rules> rules_;
  std::vector<std::string> changed_;
  bool closed_ = false;
  const uint32_t unset_ = SitePolicy().connection_limit;
};

TEST_F(RulesTest, LearnsTheSitesOfTheDomainsThatRulesName) {
  zones_.mx("a.example", 10, "mx1.example");
  zones_.delay = seconds(1);
  start({rule_for("default", 2), rule_for("a.example", 3)});
  bool waited = false;
  wait(waited);
  run(std::chrono::milliseconds(500));
  EXPECT_FALSE(waited);
  EXPECT_EQ(limit("mx1.example", "other.example"), 2U);
  EXPECT_EQ(limit("mx1.example", "a.example"), 3U);
  run(seconds(3));
  EXPECT_TRUE(waited);
  EXPECT_EQ(limit("mx1.example", "other.example"), 3U);
  EXPECT_THAT(changed_, ElementsAre("mx1.example"));
}

TEST_F(RulesTest, NobodyWaitsLongerThanThat) {
  zones_.mx("a.example", 10, "mx1.example");
  zones_.delay = seconds(8);
  start({rule_for("a.example", 3)});
  bool waited = false;
  wait(waited);
  run(Rules::kWait - std::chrono::milliseconds(1));
  EXPECT_FALSE(waited);
  run(std::chrono::milliseconds(2));
  EXPECT_TRUE(waited);
  // Nor does whoever comes later.
  bool later = false;
  wait(later);
  run(std::chrono::milliseconds(1));
  EXPECT_TRUE(later);
  EXPECT_EQ(limit("mx1.example", "other.example"), unset_);
  run(seconds(20));
  EXPECT_EQ(limit("mx1.example", "other.example"), 3U);
  EXPECT_THAT(changed_, ElementsAre("mx1.example"));
}

TEST_F(RulesTest, WithoutDomainsNobodyWaits) {
  start({rule_for("default", 2)});
  bool waited = false;
  wait(waited);
  run(Duration(0));
  EXPECT_TRUE(waited);
  EXPECT_THAT(zones_.asked, IsEmpty());
}

TEST_F(RulesTest, AsksAgainWhenTheAnswerHasExpired) {
  zones_.mx("a.example", 10, "mx1.example");
  start({rule_for("a.example", 3)});
  run(seconds(1));
  EXPECT_EQ(asked_for("a.example"), 1U);
  zones_.zones.erase({"a.example", RecordType::kMx});
  zones_.mx("a.example", 10, "mx2.example");
  changed_.clear();
  run(seconds(700));
  EXPECT_GE(asked_for("a.example"), 2U);
  EXPECT_EQ(limit("mx1.example", "other.example"), unset_);
  EXPECT_EQ(limit("mx2.example", "other.example"), 3U);
  EXPECT_THAT(changed_, ElementsAre("mx1.example", "mx2.example"));
}

TEST_F(RulesTest, WhatDnsDoesNotAnswerKeepsItsSite) {
  zones_.mx("a.example", 10, "mx1.example");
  start({rule_for("a.example", 3)});
  run(seconds(1));
  zones_.rcodes[{"a.example", RecordType::kMx}] = resolver_cache::Rcode::kServerFailure;
  changed_.clear();
  run(std::chrono::hours(30));
  EXPECT_GE(asked_for("a.example"), 3U);
  EXPECT_EQ(limit("mx1.example", "other.example"), 3U);
  EXPECT_THAT(changed_, IsEmpty());
}

TEST_F(RulesTest, AsksForSoManyAtATime) {
  ShapingRules rules;
  for (int i = 0; i < 100; ++i) {
    const std::string domain = "d" + std::to_string(i) + ".example";
    zones_.mx(domain, 10, "mx1.example");
    rules.push_back(rule_for(domain, 3));
  }
  zones_.delay = seconds(1);
  start(std::move(rules));
  run(std::chrono::milliseconds(500));
  EXPECT_EQ(zones_.asked.size(), Rules::kAtATime);
  run(seconds(30));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(asked_for("d" + std::to_string(i) + ".example"), 1U);
  EXPECT_EQ(limit("mx1.example", "other.example"), 3U);
}

TEST_F(RulesTest, OtherRulesComeInForceWhenTheirSitesAreKnown) {
  zones_.mx("a.example", 10, "mx1.example");
  zones_.mx("b.example", 10, "mx2.example");
  start({rule_for("a.example", 3)});
  run(seconds(1));
  changed_.clear();
  zones_.delay = seconds(1);
  int in_force = 0;
  reload({rule_for("b.example", 9)}, [&] { in_force += 100; });
  reload({rule_for("b.example", 5)}, [&] { ++in_force; });
  run(std::chrono::milliseconds(500));
  EXPECT_EQ(in_force, 0);
  EXPECT_EQ(limit("mx1.example", "other.example"), 3U);
  run(seconds(3));
  EXPECT_EQ(in_force, 1);  // the first was overtaken
  EXPECT_EQ(limit("mx1.example", "other.example"), unset_);
  EXPECT_EQ(limit("mx2.example", "other.example"), 5U);
  EXPECT_THAT(changed_, ElementsAre(""));
}

TEST_F(RulesTest, OtherRulesDoNotWaitForDnsForEver) {
  zones_.mx("a.example", 10, "mx1.example");
  start({rule_for("a.example", 3)});
  run(seconds(1));
  zones_.delay = std::chrono::hours(1);
  bool in_force = false;
  reload({rule_for("a.example", 4), rule_for("b.example", 5)}, [&] { in_force = true; });
  run(Rules::kWait + std::chrono::milliseconds(1));
  EXPECT_TRUE(in_force);
  // What was known of the old rules' domains stays known.
  EXPECT_EQ(limit("mx1.example", "other.example"), 4U);
}

TEST_F(RulesTest, ADomainWithoutRollupIsToldToo) {
  ShapingRule own = rule_for("own.example", 7);
  own.mx_rollup = false;
  zones_.mx("own.example", 10, "mx1.example");
  start({own});
  run(seconds(1));
  EXPECT_TRUE(rules_->is_own_site("own.example"));
  EXPECT_FALSE(rules_->is_own_site("a.example"));
  EXPECT_THAT(changed_, Contains("own.example"));
  EXPECT_EQ(limit("own.example", "own.example"), 7U);
  EXPECT_EQ(limit("mx1.example", "other.example"), unset_);
}

}  // namespace
}  // namespace sluice
