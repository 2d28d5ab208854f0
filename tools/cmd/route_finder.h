// Where mail for some domains would go, for a command that asks DNS by itself: a loop, a resolver
// on it, and the routes.
//
// OWNERSHIP. Names owns its loop, cache and resolver; the destructor ends the look-ups.
// THREAD. One. ERRORS. make(): what cannot be set up. Of a route: its `failure`.
// LIMITS. 256 routes side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/status.h"
#include "engine/model/configuration.h"
#include "engine/model/shaping.h"
#include "engine/resolve/cares_lookup.h"
#include "engine/resolve/curl_web.h"
#include "engine/resolve/resolver.h"
#include "engine/resolve/sts_store.h"
#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/ring/uring_io.h"
#include "resolver_cache/cache.h"

namespace sluice::tools {

enum class Ask : uint8_t {
  kRoutes,        // exchangers and addresses alone
  kRoutesAndTls,  // and what DANE and MTA-STS want of them, where the configuration has these
};

class Names {
 public:
  // With kRoutesAndTls the MTA-STS policies that the sender keeps in its spool hold here as well;
  // where they cannot be read, stderr says so and they are fetched anew.
  static StatusOr<std::unique_ptr<Names>> make(const Configuration& config, Ask ask);
  Names() = default;
  Names(const Names&) = delete;
  Names& operator=(const Names&) = delete;
  ~Names();

  Loop& loop() { return *loop_; }
  Resolver& resolver() { return *resolver_; }
  // The name servers, as CaresLookup tells them.
  const CaresLookup& lookup() const { return *lookup_; }

 private:
  class Unhold;

  Status use_policies(const Configuration& config, ResolverOptions& options);

  StsStore policies_;
  std::unique_ptr<CurlWeb> web_;
  std::unique_ptr<UringIo> io_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<resolver_cache::Cache> cache_;
  std::unique_ptr<CaresLookup> lookup_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<WaitObserver> unhold_;
};

// Runs tasks, `at_a_time` side by side, to the end of all: `next` gives each, nothing at the end.
template <typename Next>
void run_all(Loop& loop, size_t at_a_time, Next next) {
  Gate gate;
  bool more = true;
  while (more || gate.inside_count() > 0) {
    {
      const Executor::Scope scope(loop.executor());
      while (more && gate.inside_count() < at_a_time) {
        std::optional<Task<>> task = next();
        more = task.has_value();
        if (more) gate.spawn(std::move(*task));
      }
    }
    if (gate.inside_count() > 0) loop.turn();
  }
}

struct Found {
  RoutePtr route;  // never null once found
  RouteTrace trace;
};
using Routes = std::map<std::string, Found>;

// Of all domains in `routes`. A policy of MTA-STS that is being fetched is waited for, as mail
// does.
void find_routes(Names& names, Routes& routes);
// Tells the rules where the domains that they name lead: by that they are applied.
Status learn_sites(const Configuration& config, Shaping& shaping);
// "ann@Exämple.com" and "Exämple.com." alike become "xn--exmple-cua.com".
StatusOr<std::string> domain_of(const std::string& given);

}  // namespace sluice::tools
