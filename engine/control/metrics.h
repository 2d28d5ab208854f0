// Prometheus text (exposition format 0.0.4) of what the engine shows.
//
//   sluice_build_info{version}           1
//   sluice_halted                        1 when sending has stopped because the journal failed
//   sluice_shards                        shards that run
//   sluice_jobs{phase}                   known jobs
//   sluice_recipients{job,state}         of active jobs: all ten states. Watch deferred: growing
//                                        without delivered means a receiver pushes back
//   sluice_job_rate{job}                 of active jobs: recipients a second that came to their end
//                                        lately
//   sluice_job_eta_seconds{job}          until it is done; missing while that is not known
//   sluice_recipients_total{state}       recipients that came to a final state
//   sluice_attempts_total                attempts made
//   sluice_delivered_bytes_total         octets of delivered messages
//   sluice_site_connections{site}        open connections
//   sluice_site_rows_waiting             rows queued at sites, over all
//
// Labels are bounded: kJobsMax jobs and kSitesMax sites (those with most connections), the rest
// summed under "other".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/control/engine_view.h"

namespace sluice {

// Counters over all jobs, also those that the engine has forgotten: grows by what each job has
// gained since it was seen last. One thread at a time, snapshots in the order of their taking.
// BUGS: what a job gains between the last look and being forgotten is not counted.
class Totals {
 public:
  // What has been counted once `jobs` are taken into account.
  Counts add(const std::vector<JobReport>& jobs);

 private:
  std::map<std::string, Counts> seen_;  // by job id; as many as the engine knows
  Counts sum_;                          // final states, attempts, maybe_delivered, bytes
};

struct MetricsInput {
  std::string version;
  bool halted = false;
  uint32_t shards = 0;
  std::vector<JobReport> jobs;
  std::vector<SiteReport> sites;
  Counts totals;
  Journal::Stats journal;           // of all shards
  std::vector<Duration> dns_waits;  // by shard
  WorkStats work;
};

inline constexpr size_t kJobsMax = 100;
inline constexpr size_t kSitesMax = 100;

std::string metrics_text(const MetricsInput& input);

}  // namespace sluice
