// OpenSSL's way to the octets of a session: out of the caller's span, into a TlsOutput.
//
// PURPOSE. A BIO without memory of its own: what came is read where it lies, once.
// OWNERSHIP. The BIO points at the wire; the wire outlives it. THREAD. One shard's.
// ERRORS. An empty input is "again"; an output that is full is an error that ends the session.
#pragma once

#include <openssl/bio.h>

#include <string_view>

#include "engine/connect/tls_output.h"

namespace sluice {

struct TlsWire {
  explicit TlsWire(TlsBlocks& blocks) : output(blocks) {}
  std::string_view input;  // of the peer, not taken yet; only within a call
  TlsOutput output;
};

// Owned by the caller until it is given to an SSL.
BIO* make_tls_bio(TlsWire& wire);

}  // namespace sluice
