// Shaping files (KumoMTA's format): text -> ShapingRules.
//
// ["default"], a table a domain, [provider."x"], each with its sources' tables and [[automation]].
// What KumoMTA knows and Sluice has not built yet (TLS, ...) is read over, automation is read and
// checked, and both are named in one warning a file; a key that nobody knows is an error with a
// suggestion, since a mistyped limit would lift it. engine/model/shaping.h merges what applies.
//
// OWNERSHIP  The result holds copies. THREAD  Any; pure.
//
// ERRORS  kFailedPrecondition (exit 78): "shaping.toml:4:1: unknown key ...; did you mean ...?",
// one line a mistake, all at once, but for malformed TOML.
//
// LIMITS  4 MiB of text, 8 KiB a regular expression.
//
// BUGS  TOML alone, where KumoMTA takes JSON as well. Values of what is not built are not checked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/shaping_rule.h"

namespace sluice {

// The tables of one file in its order, domains in lower case. `warnings` (may be null) gets at
// most one line.
StatusOr<ShapingRules> parse_shaping(std::string_view text, const std::string& file,
                                     std::vector<std::string>* warnings);

// Of the rules of all files: at most a line about limits of providers that nothing matches, and
// one about limits of sources that are not among `sources`.
std::vector<std::string> rules_for_nothing(const ShapingRules& rules,
                                           const std::vector<std::string>& sources);

}  // namespace sluice
