// [tls] of sluice.toml and of job.toml.
#pragma once

#include "engine/config/section.h"
#include "engine/model/configuration.h"

namespace sluice::config {

// All of it. `file`: names in it are beside that.
void read_tls(Section section, const std::string& file, Configuration::Tls& out);
// Of a job.
void read_job_tls(Section section, TlsPolicy& out);

}  // namespace sluice::config
