#include "engine/control/engine_view.h"

#include <utility>

#include "engine/ring/uring_io.h"
#include "engine/shard/engine.h"

namespace sluice {

// One asks the shards; the others wait for what it learns.
StatusOr<std::vector<LaneStatus>> EngineAdapter::lanes(Duration age_max) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Instant now = monotonic_now();
  if (looked_at_ != Instant() && now - looked_at_ < age_max) return lanes_;
  ASSIGN_OR_RETURN(std::vector<LaneStatus> lanes, engine_.sites());
  lanes_ = merge_lanes(std::move(lanes));
  looked_at_ = now;
  return lanes_;
}

StatusOr<std::vector<JobReport>> EngineAdapter::jobs() {
  EngineSnapshot snapshot;
  ASSIGN_OR_RETURN(snapshot.jobs, engine_.jobs());
  for (const JobStatus& job : snapshot.jobs) snapshot.paces.push_back(job.pace);
  // The counts are worth telling also when a shard does not answer.
  StatusOr<std::vector<LaneStatus>> looked = lanes(kLook);
  if (looked.ok()) snapshot.lanes = std::move(*looked);
  snapshot.loads = engine_.loads();
  snapshot.halted = engine_.halted();
  return forecast_jobs(std::move(snapshot));
}

StatusOr<std::vector<SiteReport>> EngineAdapter::sites() {
  ASSIGN_OR_RETURN(std::vector<LaneStatus> looked, lanes(kSitesLook));
  return forecast_sites(std::move(looked), engine_.loads());
}

StatusOr<std::vector<RowPlace>> EngineAdapter::in_flight(const std::string& job) {
  return engine_.in_flight(job);
}
StatusOr<Journal::Stats> EngineAdapter::journal_stats() { return engine_.journal_stats(); }
std::vector<Duration> EngineAdapter::dns_waits() { return engine_.dns_waits(); }

StatusOr<WorkStats> EngineAdapter::work_stats() { return engine_.work_stats(); }
StatusOr<ExplainedRoute> EngineAdapter::resolve(const std::string& domain) {
  return engine_.resolve(domain);
}
Status EngineAdapter::command(const std::string& job, JobEvent event) {
  return engine_.command(job, event);
}
Status EngineAdapter::resume_unread(const std::string& job) { return engine_.resume_unread(job); }
Status EngineAdapter::pause_site(const std::string& site, bool paused) {
  return engine_.pause_site(site, paused);
}
uint32_t EngineAdapter::shard_count() const { return engine_.shard_count(); }
bool EngineAdapter::halted() const { return engine_.halted(); }

}  // namespace sluice
