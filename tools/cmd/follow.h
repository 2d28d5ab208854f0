// Follows a submitted job to its end, with a progress bar on a terminal.
//
// Looks five times a second: at the daemon, and at the spool, so that a job that ended while the
// daemon stopped is seen all the same. Thread: the loop's.
// Errors: Unavailable when no daemon takes the job within kTakeTime, or when it says nothing of a
// taken job for that long; InvalidArgument with the daemon's words when it refused the job.
#pragma once

#include <optional>
#include <string>

#include "engine/base/status.h"
#include "engine/ring/loop.h"
#include "engine/shard/intake.h"
#include "tools/cmd/common.h"

namespace sluice::tools {

inline constexpr Duration kTakeTime = std::chrono::seconds(10);

StatusOr<JobStatus> follow_job(Loop& loop, const Places& places, const std::string& id);

// One line of at most `width` columns: "[####----]  48%  480 delivered, 520 waiting  1,200/s  ETA
// 0.4s". `rate`: rows a second that become final. `eta_in`: what the daemon says of it; else what
// the rate says.
std::string progress_line(const JobStatus& job, double rate, size_t width,
                          std::optional<Duration> eta_in = std::nullopt);

// Whether every recipient that could be mailed was: exit code 0 or 1.
bool all_delivered(const Counts& counts);

}  // namespace sluice::tools
