// The headers of one-click unsubscribe (RFC 2369, RFC 8058), out of job.toml's [unsubscribe].
// Pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/model/job.h"

namespace sluice {

inline constexpr std::string_view kListUnsubscribe = "List-Unsubscribe";
inline constexpr std::string_view kListUnsubscribePost = "List-Unsubscribe-Post";
inline constexpr std::string_view kOneClick = "List-Unsubscribe=One-Click";

// The value of List-Unsubscribe as a template: "<https://...>, <mailto:...?subject={{token}}>";
// empty when nothing is set. Refuses, saying how to mend it, what is no https URL or names nobody,
// and what is no address.
StatusOr<std::string> list_unsubscribe(const JobSpec::Unsubscribe& unsubscribe);

}  // namespace sluice
