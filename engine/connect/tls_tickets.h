// Sessions that may be resumed, each once, by what was checked when they were made.
//
// PURPOSE. A resumed session proves nothing anew: it may serve only a demand that is the same in
// everything that was proved. ticket_key() is the one place that says what that is.
// OWNERSHIP. Holds references to sessions until they are taken, too old, or pushed out.
// THREAD. One shard's. ERRORS. None: what is not there is a full handshake.
// LIMITS. kPerKey sessions a key, the oldest pushed out; `tickets_max` over all keys, the oldest
// pushed out. A session of TLS 1.2 may be resumed many times and stays; one of 1.3 is used once
// (RFC 8446 C.4).
// BUGS. A ticket is as old as the last demand before it came, not as its own arrival: it may be
// forgotten early, never late.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <list>
#include <memory>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "engine/base/digest.h"
#include "engine/base/time.h"
#include "engine/model/tls.h"

namespace sluice {

struct FreeSession {
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using SessionPtr = std::unique_ptr<SSL_SESSION, FreeSession>;

using TicketKey = Sha256;
// Everything that a session for `demand` with `exchanger` proves; the order of names and of TLSA
// records is none of it.
TicketKey ticket_key(const TlsDemand& demand, std::string_view exchanger);

class TlsTickets {
 public:
  // For the connections that an exchanger is given at a time, which all need a ticket at once.
  static constexpr size_t kPerKey = 16;

  // `lifetime_max`: also for servers that allow more.
  TlsTickets(size_t tickets_max, Duration lifetime_max);

  void keep(const TicketKey& key, SessionPtr session, Instant now);
  // The newest that is not too old; null: none.
  SessionPtr take(const TicketKey& key, Instant now);
  // A session of this key did not do: none of the others is trusted to.
  void forget(const TicketKey& key);
  size_t size() const { return by_age_.size(); }

 private:
  struct Ticket {
    TicketKey key;
    SessionPtr session;
    Instant until;
  };
  using Place = std::list<Ticket>::iterator;
  struct Places {
    Place at[kPerKey];  // the oldest first
    size_t count = 0;
  };
  void drop(Place place);

  const size_t tickets_max_;
  const Duration lifetime_max_;
  std::list<Ticket> by_age_;  // the oldest first
  absl::flat_hash_map<TicketKey, Places> places_;
};

}  // namespace sluice
