// Lookup over the network: name servers asked through c-ares on the shard's loop.
//
// We write the queries and read the answers ourselves (resolver_cache/dns_message.h);
// cares_server.h carries them. Whom to ask is decided here.
//
// SERVERS. Those given, or the system's (/etc/resolv.conf, read once at the start). A suffix with
//   servers of its own (the longest that fits) asks those. Of several the fastest healthy one is
//   asked first (server_health.h). When it has not answered in time the next one is asked as well:
//   the first useful answer counts. SERVFAIL, REFUSED, NOTIMP, any other such code and an answer
//   that cannot be read are handed up once no other server knows better; a server whose answer was
//   of no use where another's was has failed.
// OWNERSHIP. The loop outlives it. close() must have been awaited before it dies.
// THREAD. The shard's.
// TIME-OUTS. The next server is asked after try_timeout. Each that does not answer is asked again
//   after try_timeout, doubled each time, `tries` times in all. After total_timeout the question
//   ends. Looked at every 100 ms.
// LIMITS. `outstanding_max` questions under way per set of servers, `waiting_max` behind them in
//   order of arrival; beyond that kOverloaded. 32 servers a set; further ones are not asked.
// BUGS. A change of resolv.conf is seen at the next start. Each shard learns by itself which server
//   is bad.
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
  Duration total_timeout = std::chrono::seconds(15);
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
