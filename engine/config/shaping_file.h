// Shaping files (KumoMTA's format): text -> ShapingRules.
//
// A table a domain, or ["default"]; keys as in ShapingRule. What KumoMTA knows and Sluice has not
// built yet (providers, sources, automation, TLS, ...) is read over and named in one warning a
// file; a key that nobody knows is an error with a suggestion, since a mistyped limit would lift
// it.
//
// OWNERSHIP  The result holds copies. THREAD  Any; pure.
//
// ERRORS  kFailedPrecondition (exit 78): "shaping.toml:4:1: unknown key ...; did you mean ...?",
// one line a mistake, all at once, but for malformed TOML.
//
// LIMITS  4 MiB of text.
//
// BUGS  `replace_base` is not built: a later file adds to earlier ones and overrides them key by
// key. Contents of what is not built are checked for unknown keys only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/policy.h"

namespace sluice {

// The rules of one file in the order in which they apply: "default" first, then the domains in the
// file's order, in lower case. `warnings` (may be null) gets at most one line.
StatusOr<ShapingRules> parse_shaping(std::string_view text, const std::string& file,
                                     std::vector<std::string>* warnings);

// Puts the rules for "default" before all others and keeps the order otherwise: what rules of
// several files, joined in the files' order, need.
void order_rules(ShapingRules& rules);

}  // namespace sluice
