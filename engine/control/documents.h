// The JSON documents of the admin API, and back.
//
// A job is an object: job, name, phase ("scheduled", "taking", "sending", "done", "failed"; of a
// spool without a daemon also "stopped"), total, one count for each of the ten states, attempts,
// maybe_delivered, bytes, created, finished and error (null while there is none). A site: site,
// source, rows_waiting, connections, last_failure. Times are RFC 3339, UTC.
// Pure; any thread. Errors: DataLoss that says what is wrong; never an exception. Octets that are
// not UTF-8 are replaced.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/control/engine_view.h"

namespace sluice {

std::string job_document(const JobStatus& job);
std::string jobs_document(const std::vector<JobStatus>& jobs);
std::string sites_document(const std::vector<Shard::SiteStatus>& sites);
std::string in_flight_document(const std::vector<RowPlace>& rows);
std::string error_document(std::string_view message);

StatusOr<JobStatus> parse_job_document(std::string_view text);
StatusOr<std::vector<JobStatus>> parse_jobs_document(std::string_view text);
StatusOr<std::vector<Shard::SiteStatus>> parse_sites_document(std::string_view text);
StatusOr<std::vector<RowPlace>> parse_in_flight_document(std::string_view text);

}  // namespace sluice
