// What control sees of the engine: snapshots, never the engine itself.
//
// An interface, so that the server is tested without threads and rings. Any thread may call it, at
// any time between the server's start() and stop(). Errors: Unavailable when the engine does not
// answer in time.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/status.h"
#include "engine/shard/engine.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {

class EngineView {
 public:
  virtual ~EngineView() = default;
  // Active jobs, then those that ended lately.
  virtual StatusOr<std::vector<JobStatus>> jobs() = 0;
  virtual StatusOr<std::vector<Shard::SiteStatus>> sites() = 0;
  virtual StatusOr<std::vector<RowPlace>> in_flight(const std::string& job) = 0;
  virtual StatusOr<Journal::Stats> journal_stats() = 0;
  virtual StatusOr<ExplainedRoute> resolve(const std::string& domain) = 0;
  // What the operator asks of a job or a site; OK when it is durable. NotFound: no such active job.
  virtual Status command(const std::string& job, JobEvent event) = 0;
  virtual Status pause_site(const std::string& site, bool paused) = 0;
  virtual uint32_t shard_count() const = 0;
  // True when sending has stopped because verdicts cannot be made durable.
  virtual bool halted() const = 0;
};

// The real one. `engine` outlives it.
class EngineAdapter final : public EngineView {
 public:
  explicit EngineAdapter(Engine& engine) : engine_(engine) {}
  StatusOr<std::vector<JobStatus>> jobs() override;
  StatusOr<std::vector<Shard::SiteStatus>> sites() override;
  StatusOr<std::vector<RowPlace>> in_flight(const std::string& job) override;
  StatusOr<Journal::Stats> journal_stats() override;
  StatusOr<ExplainedRoute> resolve(const std::string& domain) override;
  Status command(const std::string& job, JobEvent event) override;
  Status pause_site(const std::string& site, bool paused) override;
  uint32_t shard_count() const override;
  bool halted() const override;

 private:
  Engine& engine_;
};

}  // namespace sluice
