// Who signs: [[dkim]] of sluice.toml. The keys themselves are read by the program at start.
#pragma once

#include "engine/config/section.h"
#include "engine/model/configuration.h"

namespace sluice::config {

// Fills `out.dkim`; a relative `key` is beside the configuration file (out.file).
void read_dkim(Section& root, Configuration& out);

// `path` as it is when absolute, else in the folder of `file`.
std::string beside(const std::string& file, const std::string& path);

}  // namespace sluice::config
