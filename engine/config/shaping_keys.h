// The keys of shaping files that set something of a SitePolicy: a reader for each.
//
// Pure; any thread. What is wrong goes to the section's Problems.
#pragma once

#include <string_view>
#include <vector>

#include "engine/config/section.h"
#include "engine/model/policy.h"

namespace sluice::config {

// A limit: a whole number, or KumoMTA's text form "local:1,000".
void read_limit(Section& section, std::string_view key, std::optional<uint32_t>& out,
                uint64_t most);

struct ShapingKey {
  std::string_view name;
  // Reads the value that stands under `key`, which is `name` but in an action.
  void (*read)(Section& section, std::string_view key, ShapingKeys& out);
};
// KumoMTA's that are built, and our own.
const std::vector<ShapingKey>& built_shaping_keys();

// The value under `key` as it was written, a string without its quotes. REQUIRES: it is there.
std::string written_value(Section& section, std::string_view key);

}  // namespace sluice::config
