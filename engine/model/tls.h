// What a TLS session towards an exchanger must prove, and what it turned out to be.
//
// PURPOSE. The nouns between the rooms: resolve finds TLSA records and MTA-STS policies, connect
// makes the session, record keeps what was agreed. Plain values; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"

namespace sluice {

// A TLSA record that may be used (RFC 6698 §2.1, RFC 7672 §3.1): usage 2 or 3, selector 0 or 1,
// matching 0, 1 or 2.
struct TlsaRecord {
  uint8_t usage = 3;
  uint8_t selector = 1;
  uint8_t matching = 1;
  std::string data;  // octets
  friend bool operator==(const TlsaRecord&, const TlsaRecord&) = default;
};

// How far the peer's certificate is looked at.
enum class TlsCheck : uint8_t {
  kNone,   // any certificate, or none that can be read: encrypted, not authenticated
  kNames,  // chains to the trusted roots, is in its time, and is for one of `names`
  kDane,  // matches one of `tlsa` (RFC 7672 §3): for usage 3 neither names nor dates matter, for 2
          // the chain ends at the record's certificate or key and is for one of `names`
};

// The certificate that a peer shows and what the trusted roots make of it, for people: escaped and
// bounded.
struct TlsPeer {
  uint32_t certificates = 0;  // that it sent; 0: none was seen, and nothing below is set
  std::string subject;
  std::string issuer;
  std::vector<std::string> names;  // DNS names and addresses that it is for, as it has them
  uint32_t names_left_out = 0;     // for want of room
  WallTime valid_from{};
  WallTime valid_until{};
  std::string key;         // "EC 256 bits"
  std::string key_digest;  // SHA-256 in hexadecimal: the data of a TLSA record 3 1 1
  bool trusted = false;    // chains to the trusted roots and is in its time, whoever it is for
  std::string why_not;     // unless trusted
  std::vector<std::string> fits;  // of the names that the session is for: those that it is for
};

// What is asked of one session.
struct TlsDemand {
  std::string server_name;  // SNI, as A-labels; empty: none (address literals)
  TlsCheck check = TlsCheck::kNone;
  std::vector<std::string> names;  // DNS names as A-labels; no wildcard
  std::vector<TlsaRecord> tlsa;    // kDane: not empty
  // Not null: what the peer shows is told there, also when it does not do. Such a session is never
  // a resumed one, and costs a second look at the chain.
  std::shared_ptr<TlsPeer> peer = nullptr;
};

// What a session turned out to be. Of an open session only.
struct TlsFacts {
  std::string protocol;  // "TLSv1.3", as OpenSSL calls it
  std::string cipher;    // "TLS_AES_128_GCM_SHA256", as OpenSSL calls it
  bool resumed = false;
  // The check that the peer passed, in this session or in the one that it resumes.
  TlsCheck passed = TlsCheck::kNone;
};

// What the record says of a connection's TLS, also of one in clear. Nothing is said where TLS was
// not to be used.
struct TlsNote {
  std::string_view policy;  // "opportunistic", "required", "verified", "dane", "mta-sts": what was
                            // to hold
  std::string_view protocol;  // "TLSv1.3"; empty: in clear
  std::string_view cipher;
  std::string_view passed;  // how the peer was authenticated: "names", "dane"; empty: it was not
  std::string_view reason;  // in clear: why
  bool resumed = false;
};

// Why there is no session: the result types of RFC 8460 §4.3, as far as they concern sessions.
enum class TlsFailureKind : uint8_t {
  kHandshake,     // validation-failure: no common version or cipher, an alert, nonsense
  kHostMismatch,  // certificate-host-mismatch
  kExpired,       // certificate-expired
  kNotTrusted,    // certificate-not-trusted
  kTlsaMismatch,  // validation-failure under a DANE policy
  kTruncated,     // the connection ended within the handshake
  kTimedOut,      // within the handshake
};
inline constexpr size_t kTlsFailureKinds = 7;
struct TlsFailure {
  TlsFailureKind kind = TlsFailureKind::kHandshake;
  std::string text;  // in words, bounded, printable
};

}  // namespace sluice
