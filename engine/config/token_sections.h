// Tokens that name a recipient: [verp] and [unsubscribe] of sluice.toml, [unsubscribe] of job.toml.
#pragma once

#include "engine/config/section.h"
#include "engine/model/configuration.h"
#include "engine/model/job.h"

namespace sluice::config {

// Fill `out.verp` and `out.unsubscribe`; a relative `key` is beside the configuration file.
void read_tokens(Section& root, Configuration& out);
void read_unsubscribe(Section section, JobSpec::Unsubscribe& out);

}  // namespace sluice::config
