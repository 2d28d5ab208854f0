// The JSON documents of the admin API, and back.
//
// A job is an object: job, name, phase ("scheduled", "taking", "sending", "held", "done", "failed";
// of a spool without a daemon also "stopped"), total, one count for each of the ten states,
// attempts, maybe_delivered, stale, bytes, created, finished and error (null while there is none);
// rate (recipients a second), eta and eta_seconds (null when unknown), last_due (of deferred
// recipients that the ETA waits for, or null), held (recipients that it leaves out: their sites
// cannot be reached or are paused), bottleneck. A site: site, source, rows_waiting, connections,
// last_failure, rate, eta, eta_seconds, bottleneck. A bottleneck: reason
// (engine/model/bottleneck.h), limit ("max_message_rate = 10/s") and origin ("shaping.toml:14"),
// null when it is no limit, site and source, null when it is none's, share. Times are RFC 3339,
// UTC.
// Pure; any thread. Errors: DataLoss that says what is wrong; never an exception. Octets that are
// not UTF-8 are replaced.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/control/engine_view.h"

namespace sluice {

std::string job_document(const JobReport& job);
// Of a job of which nothing but its counts is known, such as one that the spool shows.
std::string job_document(const JobStatus& job);
std::string jobs_document(const std::vector<JobReport>& jobs);
std::string sites_document(const std::vector<SiteReport>& sites);
std::string in_flight_document(const std::vector<RowPlace>& rows);
std::string error_document(std::string_view message);

StatusOr<JobReport> parse_job_document(std::string_view text);
StatusOr<std::vector<JobReport>> parse_jobs_document(std::string_view text);
StatusOr<std::vector<SiteReport>> parse_sites_document(std::string_view text);
StatusOr<std::vector<RowPlace>> parse_in_flight_document(std::string_view text);

}  // namespace sluice
