// The shaping rules of a shard: which hold for a site and a source, at every moment.
//
// PURPOSE. Owns a Shaping and keeps it knowing the sites of the domains that its tables name: asks
// the resolver for them at the start and again when the answer has expired. What DNS cannot answer
// keeps its last known site. Other rules (reload()) come in force when their sites are known, or
// after kWait.
//
//   Rules rules(loop, resolver, config.shaping, [&](std::string_view site) { ... });
//   gate.spawn(rules.run());
//   co_await rules.wait();   // before a site is first shaped
//   lane.set_policy(rules.shape(site, domain, *route, source));
//
// OWNERSHIP. Loop and Resolver outlive it; who spawned run() awaits its end after stop().
// THREAD. The shard's.
// ERRORS. None: a domain whose site is not known shapes its own mail alone.
// LIMITS. kAtATime domains are asked for at a time.
// BUGS. After kWait sites are shaped by what is known by then, and anew when more is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "engine/model/route.h"
#include "engine/model/shaping.h"
#include "engine/resolve/resolver.h"
#include "engine/ring/crowd.h"
#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/ring/pause.h"
#include "engine/ring/task.h"

namespace sluice {

class Rules {
 public:
  static constexpr uint32_t kAtATime = 32;
  static constexpr Duration kWait = std::chrono::seconds(5);
  // No answer is asked for again sooner and later than this, whatever its TTL.
  static constexpr Duration kAgainMin = std::chrono::seconds(30);
  static constexpr Duration kAgainMax = std::chrono::hours(24);

  // What holds for `site` has changed; for every site when it is empty. Runs on the shard's
  // thread, not from within a call of Rules. Shapes them anew.
  using Changed = std::function<void(std::string_view site)>;

  Rules(Loop& loop, Resolver& resolver, ShapingRules rules, Changed changed);
  Rules(const Rules&) = delete;
  Rules& operator=(const Rules&) = delete;

  // The story that learns; spawned once. Ends after stop(), when the resolver has answered what is
  // under way.
  Task<> run();
  void stop();
  // Until the sites of all named domains are known, at most kWait after run() began.
  Task<> wait();

  // Puts other rules in force; then calls `in_force` (may be empty) and `changed` for every site.
  // A later reload() overtakes one that is not in force yet: that one's `in_force` is not called.
  void reload(ShapingRules rules, std::function<void()> in_force);

  // `site` is the site's name, of which `domain` is one; `route` leads to it.
  Shaped shape(std::string_view site, std::string_view domain, const Route& route,
               std::string_view source) const;
  // `domain` is a site of its own, named as the domain, whoever shares its exchangers.
  bool is_own_site(std::string_view domain) const;
  // The rules in force; good until the next reload() comes in force.
  const Shaping& shaping() const;

 private:
  // A set of rules with what is being learnt for it.
  struct Book;

  void start_lookups(const std::shared_ptr<Book>& book);
  Task<> learn(std::shared_ptr<Book> book, uint32_t index);
  void tell(const Book& book, uint32_t index, const std::string& old_site);
  void put_in_force();
  Instant next_wake() const;

  Loop& loop_;
  Resolver& resolver_;
  const Changed changed_;
  std::shared_ptr<Book> book_;  // in force
  std::shared_ptr<Book> next_;  // being learnt after a reload; or null
  Instant wait_until_ = kForever;
  Gate lookups_;
  Pause pause_;  // of run()
  Crowd waiting_;
  bool stopping_ = false;
};

}  // namespace sluice
