#include "engine/control/engine_view.h"

#include "engine/shard/engine.h"

namespace sluice {

StatusOr<std::vector<JobStatus>> EngineAdapter::jobs() { return engine_.jobs(); }
StatusOr<std::vector<Shard::SiteStatus>> EngineAdapter::sites() { return engine_.sites(); }
StatusOr<std::vector<RowPlace>> EngineAdapter::in_flight(const std::string& job) {
  return engine_.in_flight(job);
}
StatusOr<Journal::Stats> EngineAdapter::journal_stats() { return engine_.journal_stats(); }
StatusOr<ExplainedRoute> EngineAdapter::resolve(const std::string& domain) {
  return engine_.resolve(domain);
}
Status EngineAdapter::command(const std::string& job, JobEvent event) {
  return engine_.command(job, event);
}
Status EngineAdapter::pause_site(const std::string& site, bool paused) {
  return engine_.pause_site(site, paused);
}
uint32_t EngineAdapter::shard_count() const { return engine_.shard_count(); }
bool EngineAdapter::halted() const { return engine_.halted(); }

}  // namespace sluice
