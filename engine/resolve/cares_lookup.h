// Lookup over the network: c-ares on the shard's loop.
//
// We write the queries and read the answers ourselves (resolver_cache/dns_message.h); c-ares sends
// them, waits, tries again, goes from one server to the next, and asks anew over TCP when an answer
// is truncated. Its sockets are watched by poll operations of Io; it never blocks.
//
// SERVERS. Those given, or the system's (/etc/resolv.conf, read once at the start). A suffix with
//   servers of its own (the longest that fits) asks those. Servers on loopback are asked over UDP;
//   as soon as one of a set is elsewhere the set is asked over TCP, since c-ares keeps one UDP
//   port, which could be spoofed.
// OWNERSHIP. The loop outlives it. close() must have been awaited before it dies.
// THREAD. The shard's. c-ares is not shared with other threads.
// TIME-OUTS. A try takes try_timeout, doubled with each round over the servers; `tries` rounds. The
//   clock is c-ares's own, looked at every 100 ms while anything is outstanding.
// LIMITS. `outstanding_max` questions on the wire per set of servers, `waiting_max` behind them in
// order
//   of arrival; beyond that kOverloaded.
// REQUIRES. The program ignores SIGPIPE: c-ares writes to TCP sockets without MSG_NOSIGNAL.
// BUGS. A change of resolv.conf is seen at the next start. With several servers it is not known
// which
//   one answered: messages name them all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/status.h"
#include "engine/model/configuration.h"
#include "engine/resolve/lookup.h"
#include "engine/ring/loop.h"

namespace sluice {

struct CaresOptions {
  std::vector<SocketAddress> servers;  // empty: the system's
  std::vector<DnsRoute> routes;
  Duration try_timeout = std::chrono::milliseconds(1'500);
  int tries = 3;
  uint32_t outstanding_max = 256;
  uint32_t waiting_max = 1U << 16;
};
CaresOptions cares_options_of(const Configuration& configuration);

class CaresLookup : public Lookup {
 public:
  // Unavailable when c-ares cannot be set up or no server is known; says how to mend it.
  static StatusOr<std::unique_ptr<CaresLookup>> create(Loop& loop, const CaresOptions& options);
  ~CaresLookup() override;

  Task<LookupAnswer> lookup(std::string name, resolver_cache::RecordType type) override;
  Task<> close() override;

  // The servers of the default set, as messages name them: "127.0.0.1:53, 192.0.2.1:53".
  const std::string& servers() const;

 private:
  class Impl;
  explicit CaresLookup(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
