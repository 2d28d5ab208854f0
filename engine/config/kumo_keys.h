// The names that KumoMTA's shaping files may hold, in one table: which of them Sluice has built and
// which it reads over. Pure; any thread.
#pragma once

#include <string_view>
#include <vector>

namespace sluice::config {

// Keys of a domain's table that parse_shaping understands (KumoMTA's and our own).
const std::vector<std::string_view>& built_shaping_keys();
// Keys of a domain's, source's or provider's table that KumoMTA knows, or that we promise, and
// that have no effect yet.
const std::vector<std::string_view>& unbuilt_shaping_keys();
// Keys that only a [provider."x"] table, or a source's table in it, has.
const std::vector<std::string_view>& provider_keys();
// Keys of an automation rule.
const std::vector<std::string_view>& automation_keys();

}  // namespace sluice::config
