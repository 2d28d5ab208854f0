// Where mail for a domain goes, as the resolver answers it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/time.h"
#include "engine/model/outcome.h"

namespace sluice {

// A host that an MX names, with the addresses that may be used (already filtered).
struct Exchanger {
  std::string name;  // lower-case, no trailing dot; "[192.0.2.1]" for an address literal
  uint16_t preference = 0;
  std::vector<IpAddress> addresses;
};

// Immutable once made; shared by the shards through shared_ptr<const Route>.
struct Route {
  std::string site;  // canonical name of the exchanger set, as KumoMTA prints site names
  std::vector<Exchanger> exchangers;  // by preference; at most 64; empty when `failure` says why
  bool stale = false;                 // rests on an expired answer (RFC 8767)
  bool implicit_mx = false;           // no MX record: the domain's own address
  Instant expires{};                  // ask again after this
  // kDeferred or kBounced with code and enhanced code when mail cannot go; kWaiting when it can.
  Verdict failure;
  bool usable() const { return failure.state == State::kWaiting; }
};
using RoutePtr = std::shared_ptr<const Route>;

}  // namespace sluice
