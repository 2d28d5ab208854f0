// TLS by OpenSSL: the engine of the real program.
//
// PURPOSE. One factory a shard, with one SSL_CTX, the trusted roots and the tickets of its own, so
// that no two shards meet at a lock of OpenSSL's. TLS 1.2 and 1.3, client; no renegotiation, no
// compression.
// OWNERSHIP. The factory outlives its engines.
// THREAD. One shard's.
// ERRORS. make(): roots that cannot be read. Of a session: TlsEngine::failure().
// LIMITS. Octets that wait to be sent: 64 KiB of records, and some handshake messages; a peer that
// has more answered than that without reading fails. Tickets: tls_tickets.h.
// BUGS. Dates of certificates are judged by the system's clock, also where time is pretended.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/connect/tls.h"

namespace sluice {

struct TlsOptions {
  std::string ca_file;  // PEM; empty: the system's roots
  size_t tickets_max = 2'048;
  Duration ticket_lifetime_max = std::chrono::hours(2);
};

class OpenSslFactory : public TlsFactory {
 public:
  // Reads `ca_file` at once; the system's roots when a session first needs them.
  static StatusOr<std::unique_ptr<OpenSslFactory>> make(const TlsOptions& options);
  ~OpenSslFactory() override;

  std::unique_ptr<TlsEngine> connect(const TlsDemand& demand, std::string_view exchanger,
                                     Instant now) override;
  size_t tickets() const;

 private:
  struct Context;
  class Engine;
  explicit OpenSslFactory(std::unique_ptr<Context> context);

  const std::unique_ptr<Context> context_;
};

}  // namespace sluice
