// Whether a regular expression compiles. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::config {

// PCRE's own words and where ("missing closing parenthesis at offset 3"); none when `pattern`
// compiles. Longer than 8 KiB is refused.
std::optional<std::string> regex_mistake(std::string_view pattern);

}  // namespace sluice::config
