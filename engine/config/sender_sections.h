// Who sends: EHLO names, [[source]] and [[pool]] of sluice.toml.
#pragma once

#include <string>

#include "engine/config/section.h"
#include "engine/model/configuration.h"

namespace sluice::config {

// Reads `hello` of a section: empty, a host name or an address literal.
void read_hello(Section& section, std::string& out);

// Fills `out.sources`; a source without a `hello` gets that of out.smtp, which is read before.
// Where the file names none, "default" with the system's address.
void read_sources(Section& root, Configuration& out);

// Fills `out.pools`, checked against out.sources, which are read before. Where the file names none,
// "default" of all sources.
void read_pools(Section& root, Configuration& out);

}  // namespace sluice::config
