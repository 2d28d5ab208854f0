// From DNS answers to what a session with an exchanger must prove (RFC 7672 §2.1, §2.2, §3.1).
//
// PURPOSE. Two questions, each answered by a table: where the TLSA records of an exchanger are to
// be looked for, and what the answer found there means. Pure: no cache, no clock, no network.
// REQUIRES. Findings whose `secure` comes from servers that validate; without such nobody asks.
// ERRORS. None: what cannot be used is kUnusable, what could not be learnt kFailed. Nothing that an
//   answer without a secure denial says ever leads to less than the records would ask for.
// LIMITS. kTlsaUsedMax records of an answer are looked at.
// BUGS. Whether a whole certificate or key (matching 0) can be read is decided by its outermost
//   length alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/route.h"
#include "engine/resolve/route_policy.h"

namespace sluice {

inline constexpr size_t kTlsaUsedMax = 64;

// Where TLSA records are looked for.
struct TlsaPlan {
  // The host's addresses are not secure, yet it is an alias: whether the alias itself is secure has
  // to be asked first (a CNAME query for the host's name).
  bool ask_alias = false;
  // Base domains in order: the next one only when the one before is kAbsent. Empty: none is asked,
  // and `state` and `detail` say why.
  std::vector<std::string> bases;
  DaneState state = DaneState::kNotAsked;
  std::string detail;
};
// `alias`: the answer to the CNAME query; null while it was not asked.
TlsaPlan plan_tlsa(const HostFinding& host, const Finding* alias);

// The name to ask TLSA records of: "_25._tcp.mx.example.com". Nothing when it is too long.
std::optional<std::string> tlsa_name(uint16_t port, std::string_view base);

// The record in that rdata where it can be used.
std::optional<TlsaRecord> usable_tlsa(std::string_view rdata);
// "3 1 1 0123abcd...", for people; rdata that is too short for it as hexadecimal.
std::string tlsa_text(std::string_view rdata);

// What one TLSA answer means. `tlsa`: kRecords only.
struct TlsaVerdict {
  DaneState state = DaneState::kNotAsked;
  std::vector<TlsaRecord> tlsa;
  std::string detail;
};
TlsaVerdict judge_tlsa(const Finding& finding);

// What the certificate under usage 2 may name (RFC 7672 §3.2.2): the base, the domain, and what the
// domain stands for where that is secure.
std::vector<std::string> tlsa_names(std::string_view base, std::string_view domain,
                                    const Finding& mx);

}  // namespace sluice
