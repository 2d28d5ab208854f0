// The names of KumoMTA's shaping files that Sluice knows and has not built: it reads over them.
// Pure; any thread.
#pragma once

#include <string_view>
#include <vector>

namespace sluice::config {

// Keys of a domain's, source's or provider's table that have no effect yet.
const std::vector<std::string_view>& unbuilt_shaping_keys();

}  // namespace sluice::config
