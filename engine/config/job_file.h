// job.toml: text -> JobSpec.
//
// Checks what the text alone can tell: names, types, ranges, file names that stay inside the job's
// folder, values that would break a header. Whether the files exist, the addresses are well-formed
// and the templates fit the list's columns is checked by the rooms that read them.
//
// OWNERSHIP  The result holds copies. THREAD  Any; pure.
//
// ERRORS  kInvalidArgument (exit 65), or kUnimplemented (78) when everything that is wrong is
// promised but not built yet. One line a mistake, "job.toml:3:1: what; how to mend it", in the
// file's order; all mistakes at once, but for malformed TOML.
//
// LIMITS  As configuration_file.h; a start between the years 1970 and 2200.
//
// BUGS  The ending of the list's file is not looked at here.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/model/job.h"

namespace sluice {

// `file` names the text in messages.
StatusOr<JobSpec> parse_job(std::string_view text, const std::string& file);

// True for [A-Za-z0-9._-]{1,64} not beginning with ".": names of jobs, sources and pools.
bool is_plain_name(std::string_view name);

// True for a name of a file that stays inside the job's folder and is none of Sluice's own there.
bool is_job_path(std::string_view path);

}  // namespace sluice
