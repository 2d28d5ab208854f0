// The resolver of a shard: from a domain to the route that its mail takes.
//
// PURPOSE. route() looks MX and addresses up through the cache that all shards share, asks the
// network for what is missing (one query per name and type in the whole process), and judges the
// answers by route_policy.h. Where the options say so it adds what TLS must prove: the exchangers'
// TLSA records (dane.h) and the domain's MTA-STS policy (sts_store.h).
//
// OWNERSHIP. Loop, Lookup, Cache, StsStore and WebClient outlive the resolver, and the store
//   outlives the client; close() must have been awaited before it dies. A Route is immutable and
//   may cross shards.
// THREAD. One per shard, on its thread. Between turns of the shard's loop (no coroutine is running)
//   the shard calls before_block(), always or when the next turn may block: entries that the cache
//   replaces are freed only after all shards have said so. A lookup comes back online by itself. A
//   shard that spins without blocking may call quiescent() instead, which is cheaper.
// ERRORS. Never fails: what went wrong is the route's `failure`, in words, with its enhanced code.
// DEADLINES. A route is decided at the latest after wait_max per stage (MX; addresses; the other
//   family where there is none; at most three for TLSA), plus the Lookup's own time-outs. The TXT
//   record of MTA-STS is asked beside them, and waited for sts_wait longer at most. No route waits
//   for a policy to be fetched: it says sts_pending, and expires after a second.
// LIMITS. As many route() tasks as the caller starts (Limits::resolutions_per_shard), each with at
//   most 128 lookups of addresses, 192 of TLSA and aliases, one TXT; fetches of policies:
//   kStsFetchesMax at a time, the next route of that domain tries again; refreshes ahead of expiry:
//   kRefreshesMax at a time, further ones are not begun.
// BUGS. The order of equal preference is shuffled once per route() call, not per attempt: whoever
//   keeps a Route over attempts shuffles again (resolver_cache/mx.h). Our own address among the
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
#include "engine/resolve/dane.h"
#include "engine/resolve/lookup.h"
#include "engine/resolve/route_policy.h"
#include "engine/resolve/route_trace.h"
#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/ring/pause.h"
#include "engine/ring/task.h"
#include "resolver_cache/cache.h"

namespace sluice {

class StsStore;
class WebClient;

struct ResolverOptions {
  RoutePolicy policy;
  // How long a lookup waits for another shard's query before it gives up (deferred).
  Duration wait_max = std::chrono::seconds(20);
  // The servers validate: the AD bit of their answers is believed. Without it nothing is secure.
  bool trust_ad = false;
  bool dane = false;  // TLSA records are looked for; needs trust_ad
  uint16_t smtp_port = 25;
  // Both, or no MTA-STS.
  StsStore* sts_store = nullptr;
  WebClient* web = nullptr;
  Duration sts_wait = std::chrono::seconds(5);
};
// From [dns], [smtp], [tls] and the sources: IPv6 only where a source names an IPv6 address, IPv4
// unless every source names IPv6 addresses alone. Without MTA-STS, whose store and client are the
// caller's.
ResolverOptions resolver_options_of(const Configuration& configuration);
// For the process's one cache. `seed` may be any number, the same for the same run.
resolver_cache::CacheOptions cache_options_of(const Configuration& configuration, uint64_t seed);

class Resolver {
 public:
  static constexpr uint32_t kRefreshesMax = 64;
  static constexpr uint32_t kStsFetchesMax = 256;

  Resolver(Loop& loop, Lookup& lookup, resolver_cache::Cache& cache, ResolverOptions options);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Never null. `domain` in any case, with or without a final dot, as A-labels, or an address
  // literal. The task must be awaited to its end. `trace` (may be null) lives as long and gets what
  // the route rests on.
  Task<RoutePtr> route(std::string domain, RouteTrace* trace = nullptr);

  // The strings of a name's TXT records; none where it has none. Unavailable: nothing is known now.
  // `name` as in route(). The task must be awaited to its end.
  Task<StatusOr<std::vector<std::string>>> texts(std::string name);

  // Where that host of the web may be connected to, by the rules for exchangers: at least one. IPv6
  // ones only for who sends by it, or where the host has no other. Unavailable: there is none, or
  // nothing is known now: why. `host` as in route(). The task must be awaited to its end.
  Task<StatusOr<std::vector<IpAddress>>> addresses_of_web(std::string host);

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
  struct DaneAsking;
  struct StsAsking;
  // The waits of this shard for other flights, by number. Messages in a mailbox may outlive the
  // resolver, so they hold the table, never the resolver.
  struct WaitTable {
    std::map<uint64_t, Pause*> waits;
    uint64_t last = 0;
  };

  Task<RoutePtr> route_name(std::string name, RouteTrace* trace);
  Task<Finding> find(std::string name, RecordType type);
  Task<> find_addresses(std::shared_ptr<Addresses> addresses, bool ipv4, bool ipv6);
  Task<> find_address(std::shared_ptr<Addresses> addresses, size_t host, Family family);

  // What TLS must prove (resolver_dane.cc, resolver_sts.cc).
  Task<> find_dane(const Finding& mx, const std::vector<HostFinding>& hosts, std::string domain,
                   Route& route, RouteTrace* trace);
  Task<> ask_dane(std::shared_ptr<DaneAsking> asking, size_t exchanger, HostFinding host,
                  TlsaPlan plan);
  Task<Finding> ask_dane_fact(std::shared_ptr<DaneAsking> asking, std::string name,
                              RecordType type);
  std::shared_ptr<StsAsking> begin_sts(const std::string& domain);
  Task<> ask_sts(std::shared_ptr<StsAsking> asking, std::string name);
  Task<> end_sts(std::shared_ptr<StsAsking> asking, std::string domain, Route& route,
                 RouteTrace* trace);
  Task<> fetch_sts(std::string domain, std::string id, WallTime begun);

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
  Gate gate_;  // lookups beside one another, and refreshes
  Stats stats_;
  uint32_t routes_open_ = 0;
  uint32_t refreshes_open_ = 0;
  uint32_t sts_fetches_open_ = 0;
  bool closing_ = false;
  Signal routes_ended_;
};

}  // namespace sluice
