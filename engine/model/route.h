// Where mail for a domain goes, as the resolver answers it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/time.h"
#include "engine/model/outcome.h"
#include "engine/model/sts.h"
#include "engine/model/tls.h"

namespace sluice {

// What DNS says about the certificates of an exchanger (RFC 7672 §2.1, §2.2).
enum class DaneState : uint8_t {
  kNotAsked,  // not looked for, or DNS does not vouch for the exchanger's addresses
  kAbsent,    // there are none, or DNS does not vouch for those there are
  kRecords,   // a session must match one of `tlsa`
  kUnusable,  // records exist, none can be used: TLS is required, nothing authenticated
  kFailed,    // the lookup failed: the exchanger is skipped in this attempt
};

// A host that an MX names, with the addresses that may be used (already filtered).
struct Exchanger {
  std::string name;  // lower-case, no trailing dot; "[192.0.2.1]" for an address literal
  uint16_t preference = 0;
  std::vector<IpAddress> addresses;
  // Counts only where the route's MX answer is secure as well (Route::mx_secure).
  DaneState dane = DaneState::kNotAsked;
  std::vector<TlsaRecord> tlsa = {};  // kRecords: not empty, at most 64
  // kRecords, kUnusable: the host that the records belong to, also the session's SNI.
  std::string tlsa_base = {};
  // kRecords: what a certificate under usage 2 may name, tlsa_base first.
  std::vector<std::string> tlsa_names = {};
  std::string dane_detail = {};  // in words: why it is so; may be empty
};

// Immutable once made; shared by the shards through shared_ptr<const Route>.
struct Route {
  std::string site;  // canonical name of the exchanger set, as KumoMTA prints site names
  std::vector<Exchanger> exchangers;  // by preference; at most 64; empty when `failure` says why
  bool stale = false;                 // rests on an expired answer (RFC 8767)
  bool implicit_mx = false;           // no MX record: the domain's own address
  bool mx_secure = false;             // a validating resolver vouches for the MX answer
  StsPolicyPtr sts;                   // the domain's policy that holds now; null: none
  // A policy is on its way that may replace `sts`: ask for the route again at `expires` before mail
  // goes. Ends within StsStore's time-out, and comes once for each id of a policy.
  bool sts_pending = false;
  Instant expires{};  // ask again after this
  // kDeferred or kBounced with code and enhanced code when mail cannot go; kWaiting when it can.
  Verdict failure;
  bool usable() const { return failure.state == State::kWaiting; }
};
using RoutePtr = std::shared_ptr<const Route>;

}  // namespace sluice
