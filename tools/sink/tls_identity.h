// What the receiver shows for itself in TLS: a certificate, its key, and the keys of its tickets.
//
// PURPOSE. Reads them from files, or makes a self-signed certificate in memory. Text (PEM), so that
//   each worker makes a context of its own and shares no lock with another.
// OWNERSHIP. Values.
// THREAD. Any.
// ERRORS. Say which file, and what is wrong with it.
// LIMITS. A made certificate is for kNamesMax names, and good for ten years from yesterday on.
#pragma once

#include <string>

#include "engine/base/status.h"
#include "tools/sink/options.h"

namespace sluice::sink {

struct TlsIdentity {
  std::string certificates;  // PEM: the server's own first, then those that it was issued by
  std::string key;           // PEM
  std::string ticket_keys;   // 80 octets, the same for all workers
};

// `hostname` is the name of the certificate where the options have none.
StatusOr<TlsIdentity> make_tls_identity(const TlsOptions& options, const std::string& hostname);

}  // namespace sluice::sink
