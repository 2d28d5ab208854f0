// What control sees of the engine: snapshots, never the engine itself.
//
// An interface, so that the server is tested without threads and rings. Any thread may call it, at
// any time between the server's start() and stop(). Errors: Unavailable when the engine does not
// answer in time.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/control/forecast.h"
#include "engine/shard/engine.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {

class EngineView {
 public:
  virtual ~EngineView() = default;
  // Active jobs, then those that ended lately.
  virtual StatusOr<std::vector<JobReport>> jobs() = 0;
  // One entry a site and source, over all shards: those where most rows wait, and one for the rest
  // of them together (kOtherSites).
  virtual StatusOr<std::vector<SiteReport>> sites() = 0;
  virtual StatusOr<std::vector<RowPlace>> in_flight(const std::string& job) = 0;
  virtual StatusOr<Journal::Stats> journal_stats() = 0;
  // By shard: how long it has had mail only for domains that DNS had not answered.
  virtual std::vector<Duration> dns_waits() { return {}; }
  virtual StatusOr<WorkStats> work_stats() { return WorkStats(); }
  virtual StatusOr<ExplainedRoute> resolve(const std::string& domain) = 0;
  // What the operator asks of a job or a site; OK when it is durable. NotFound: no such active job.
  virtual Status command(const std::string& job, JobEvent event) = 0;
  // Resumes a job that is held, without the journal files that cannot be read.
  virtual Status resume_unread(const std::string& job) = 0;
  virtual Status pause_site(const std::string& site, bool paused) = 0;
  virtual uint32_t shard_count() const = 0;
  // True when sending has stopped because verdicts cannot be made durable.
  virtual bool halted() const = 0;
};

// The real one. `engine` outlives it. What jobs() says of rests on a look at the lanes that may be
// kLook old, sites() on one of kSitesLook: a shard with 100,000 lanes is not to walk them for each
// of many who ask.
class EngineAdapter final : public EngineView {
 public:
  static constexpr Duration kLook = std::chrono::seconds(1);
  static constexpr Duration kSitesLook = std::chrono::milliseconds(200);

  explicit EngineAdapter(Engine& engine) : engine_(engine) {}
  StatusOr<std::vector<JobReport>> jobs() override;
  StatusOr<std::vector<SiteReport>> sites() override;
  StatusOr<std::vector<RowPlace>> in_flight(const std::string& job) override;
  StatusOr<Journal::Stats> journal_stats() override;
  std::vector<Duration> dns_waits() override;
  StatusOr<WorkStats> work_stats() override;
  StatusOr<ExplainedRoute> resolve(const std::string& domain) override;
  Status command(const std::string& job, JobEvent event) override;
  Status resume_unread(const std::string& job) override;
  Status pause_site(const std::string& site, bool paused) override;
  uint32_t shard_count() const override;
  bool halted() const override;

 private:
  StatusOr<std::vector<LaneStatus>> lanes(Duration age_max);

  Engine& engine_;
  std::mutex mutex_;  // of what follows
  std::vector<LaneStatus> lanes_;
  Instant looked_at_{};
};

}  // namespace sluice
