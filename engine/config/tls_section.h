// [tls] of sluice.toml and of job.toml.
#pragma once

#include "engine/config/section.h"

namespace sluice::config {

// Reads `policy`: "none" is accepted, every other policy is refused as not built.
void refuse_tls_policy(Section& section);

}  // namespace sluice::config
