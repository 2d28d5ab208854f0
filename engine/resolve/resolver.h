// The resolver of a shard: from a domain to the route that its mail takes.
//
// PURPOSE. route() looks MX and addresses up through the cache that all shards share, asks the
// network for what is missing (one query per name and type in the whole process), and judges the
// answers by route_policy.h.
//
// OWNERSHIP. Loop, Lookup and Cache outlive the resolver; close() must have been awaited before it
//   dies. A Route is immutable and may cross shards.
// THREAD. One per shard, on its thread. Between turns of the shard's loop (no coroutine is running)
// the
//   shard calls before_block(), always or when the next turn may block: entries that the cache
//   replaces are freed only after all shards have said so. A lookup comes back online by itself. A
//   shard that spins without blocking may call quiescent() instead, which is cheaper.
// ERRORS. Never fails: what went wrong is the route's `failure`, in words, with its enhanced code.
// DEADLINES. A route is decided at the latest after wait_max per stage (MX, addresses, and the
// other
//   family where there is none), plus the Lookup's own time-outs.
// LIMITS. As many route() tasks as the caller starts (Limits::resolutions_per_shard), each with at
// most
//   128 lookups; refreshes ahead of expiry: kRefreshesMax at a time, further ones are not begun.
// BUGS. The order of equal preference is shuffled once per route() call, not per attempt: whoever
// keeps
//   a Route over attempts shuffles again (resolver_cache/mx.h). Our own address among the
//   exchangers is recognised where a source names it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/model/configuration.h"
#include "engine/model/route.h"
#include "engine/resolve/lookup.h"
#include "engine/resolve/route_policy.h"
#include "engine/resolve/route_trace.h"
#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/ring/pause.h"
#include "engine/ring/task.h"
#include "resolver_cache/cache.h"

namespace sluice {

struct ResolverOptions {
  RoutePolicy policy;
  // How long a lookup waits for another shard's query before it gives up (deferred).
  Duration wait_max = std::chrono::seconds(20);
};
// From [dns], [smtp] and the sources: IPv6 only where a source names an IPv6 address, IPv4 unless
// every source names IPv6 addresses alone.
ResolverOptions resolver_options_of(const Configuration& configuration);
// For the process's one cache. `seed` may be any number, the same for the same run.
resolver_cache::CacheOptions cache_options_of(const Configuration& configuration, uint64_t seed);

class Resolver {
 public:
  static constexpr uint32_t kRefreshesMax = 64;

  Resolver(Loop& loop, Lookup& lookup, resolver_cache::Cache& cache, ResolverOptions options);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Never null. `domain` in any case, with or without a final dot, as A-labels, or an address
  // literal. The task must be awaited to its end. `trace` (may be null) lives as long and gets what
  // the route rests on.
  Task<RoutePtr> route(std::string domain, RouteTrace* trace = nullptr);

  // Closes the Lookup; routes under way end soon (deferred), later ones at once. Returns when none
  // is left.
  Task<> close();

  // REQUIRES of all three: no coroutine of this shard is running.
  void quiescent() {
    if (reader_.is_online()) reader_.quiescent();
  }
  void before_block() {
    if (reader_.is_online()) reader_.offline();
  }
  // Not needed for correctness: the first lookup does it.
  void after_block() { static_cast<void>(online_reader()); }

  struct Stats {
    uint64_t routes = 0;     // finished
    uint64_t hits = 0;       // lookups answered by the cache, stale ones included
    uint64_t stale = 0;      // of these, stale
    uint64_t queries = 0;    // asked of the network
    uint64_t waits = 0;      // waits for somebody else's query
    uint64_t refreshes = 0;  // of the queries, ahead of expiry
  };
  const Stats& stats() const { return stats_; }

 private:
  using RecordType = resolver_cache::RecordType;
  struct Addresses;
  // The waits of this shard for other flights, by number. Messages in a mailbox may outlive the
  // resolver, so they hold the table, never the resolver.
  struct WaitTable {
    std::map<uint64_t, Pause*> waits;
    uint64_t last = 0;
  };

  Task<RoutePtr> route_name(std::string name, RouteTrace* trace);
  Task<> find_addresses(std::shared_ptr<Addresses> addresses, bool ipv4, bool ipv6);
  Task<> find_address(std::shared_ptr<Addresses> addresses, size_t host, Family family);
  // One (name, type): from the cache, from the network, or from who asks already.
  Task<Finding> fetch(std::string name, RecordType type);
  Task<Finding> fly(resolver_cache::Flight flight, std::string name, RecordType type);
  Task<> refresh(resolver_cache::Flight flight, std::string name, RecordType type);

  bool find_now(const std::string& name, RecordType type, Finding& finding);
  void refresh_when_due(const resolver_cache::Entry& entry, const std::string& name,
                        RecordType type);
  resolver_cache::Cache::Notify notify_for(uint64_t number);
  RoutePtr finish(Route route);
  const resolver_cache::Reader& online_reader() {
    if (!reader_.is_online()) reader_.online();
    return reader_;
  }
  resolver_cache::Time cache_now() const { return loop_.now().time_since_epoch(); }
  Finding finding_of(const resolver_cache::Entry& entry, bool stale) const;

  Loop& loop_;
  Lookup& lookup_;
  resolver_cache::Cache& cache_;
  const ResolverOptions options_;
  resolver_cache::Reader reader_;
  std::shared_ptr<WaitTable> waits_ = std::make_shared<WaitTable>();
  Gate gate_;  // address lookups and refreshes
  Stats stats_;
  uint32_t routes_open_ = 0;
  uint32_t refreshes_open_ = 0;
  bool closing_ = false;
  Signal routes_ended_;
};

}  // namespace sluice
