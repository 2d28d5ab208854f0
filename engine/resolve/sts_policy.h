// The texts of MTA-STS: the TXT record and the policy (RFC 8461 §3.1, §3.2), both untrusted.
//
// PURPOSE. Text to value and back to a yes or no: which policy stands, what it says, and whether an
// exchanger fits it. Pure; any thread.
// ERRORS. A record or policy that is not as the RFC writes it counts as none; the status says why.
//   Lenient only where others are and nothing is weakened: empty lines, blanks around a value, a
//   final dot, and an mx pattern that is no name, which fits nothing.
// LIMITS. kStsTextMax octets of a policy, kStsPatternsMax patterns: more is refused, not cut, since
//   what is cut off might be what fits. max_age above kStsMaxAge counts as that.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/model/sts.h"

namespace sluice {

inline constexpr size_t kStsTextMax = 64UL << 10;
inline constexpr size_t kStsPatternsMax = 128;
inline constexpr size_t kStsIdMax = 32;
inline constexpr Duration kStsMaxAge = std::chrono::seconds(31'557'600);

// The id that the TXT records at _mta-sts.DOMAIN name. Nothing unless exactly one of them is a
// record of MTA-STS, and that one is well-formed.
std::optional<std::string> sts_id_of(std::span<const std::string> texts);
// Letters and digits, 1 to kStsIdMax.
bool is_sts_id(std::string_view id);

// Mode, mx and max_age; what the fetch knows (id, fetched, expires) is left empty.
StatusOr<StsPolicy> parse_sts_policy(std::string_view text);

// A pattern as `StsPolicy::mx` has them; nothing when it is none.
std::optional<std::string> sts_pattern_of(std::string_view text);

// Whether the host is one of the policy's. `exchanger`: lower-case, no final dot.
bool sts_matches(const StsPolicy& policy, std::string_view exchanger);

const char* name_of(StsMode mode);
std::optional<StsMode> parse_sts_mode(std::string_view name);

}  // namespace sluice
