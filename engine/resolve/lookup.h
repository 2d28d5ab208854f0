// The door to name servers: one question out, the raw answer back.
//
// Implemented twice: CaresLookup (cares_lookup.h) asks real servers; tests and the simulation
// answer from zones that they make up. The resolver alone uses it; it knows nothing of caches or
// routing.
//
// THREAD: one Lookup per shard, used on that shard's thread.
// ERRORS: values in LookupAnswer; a server's rcode is no failure here, it is in the packet.
// LIMITS: an implementation bounds what it has outstanding and what waits behind; beyond that it
//   answers kOverloaded at once. Every question is answered within a bounded time.
#pragma once

#include <cstdint>
#include <string>

#include "engine/ring/task.h"
#include "resolver_cache/dns_message.h"

namespace sluice {

struct LookupAnswer {
  enum class Failure : uint8_t {
    kNone,
    kTimeout,      // no server answered in time
    kUnreachable,  // refused connections, no route, no socket
    kBadName,      // cannot be asked for
    kOverloaded,   // too many questions wait already
    kClosed,       // close() was called
  };
  Failure failure = Failure::kNone;
  std::string packet;  // the answer as it came, untrusted; empty on failure
  std::string server;  // who was asked, for messages: "127.0.0.1:53"
  // Asked of servers of a suffix of their own: nobody vouches for the AD bit of these.
  bool foreign = false;
};

class Lookup {
 public:
  virtual ~Lookup() = default;

  // `name` is canonical text (resolver_cache/dns_message.h). The task must be awaited to its end.
  virtual Task<LookupAnswer> lookup(std::string name, resolver_cache::RecordType type) = 0;

  // Ends what is outstanding with kClosed, refuses what comes later in the same way, and returns
  // when nothing is left in flight. To be awaited once before destruction.
  virtual Task<> close() = 0;
};

}  // namespace sluice
