// The engine: its threads, from start to drain.
//
// PURPOSE. One thread a shard, each with its ring, resolver and journal; shard 0 also takes jobs.
// THREAD. start(), drain() and wait() from the thread that made it; the queries from any, until
//   drain().
// ERRORS. start() gives the first reason why it cannot run: the ring, the spool, the journal, DNS,
//   the recovery of what was active.
// LIMITS. Limits, printed by describe_limits(). A query that a shard does not answer within
//   kQueryTimeout is Unavailable.
#pragma once

#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/compose/sender_keys.h"
#include "engine/model/configuration.h"
#include "engine/model/limits.h"
#include "engine/shard/intake.h"
#include "engine/shard/limits_in_force.h"
#include "engine/shard/peers.h"
#include "engine/shard/shard.h"
#include "engine/shard/tls_forecast.h"

namespace sluice {

class StsStore;
class WebClient;

// Cores that this process may run on.
uint32_t usable_cores();

// Fits max_connections to the files that this process may open, raising the limit where it can.
// A lower number is used with a warning line in `warning`; FailedPrecondition with the command that
// mends it when too few are left to work with.
Status fit_connections(Configuration& config, std::string& warning);

// How mail for a domain goes now, and what that rests on.
struct ExplainedRoute {
  RoutePtr route;
  RouteTrace trace;
  Duration lives{};               // until it is asked for again
  std::string servers;            // where names are asked for
  std::vector<DepthNote> depths;  // what was learnt of its exchangers
  std::vector<SourceLimits> sources;
  std::vector<TlsForecast> tls;
  std::string sts;                      // the domain's MTA-STS policy, in words; "" without
  std::vector<std::string> broken_tls;  // where it did not work lately, in words
};

// What sending costs, of all shards together.
struct WorkStats {
  uint64_t ring_enters = 0;  // system calls of the rings
  LatencyCounts recorded;    // from taken to durably recorded
  TlsCounts tls;
};

class Engine {
 public:
  static constexpr Duration kQueryTimeout = std::chrono::seconds(5);
  static constexpr Duration kResolveTimeout = std::chrono::seconds(30);

  Engine(Configuration config, Limits limits, SenderKeys keys = {});
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  // REQUIRES: never started, start() failed, or wait() has returned.
  ~Engine();

  // Returns when all shards run and what was active before goes on, or cannot.
  Status start();
  // Begins to stop: nothing new is taken; what is in flight may end until the drain time-out.
  void drain();
  // Until all shards have stopped.
  void wait();
  // Every shard has taken a turn within `patience`: what the watchdog is told of.
  bool responsive(Duration patience);
  bool halted() const { return peers_->halted.load(std::memory_order_relaxed); }

  // Puts other shaping rules, retry intervals in force; running connections end as they began.
  void reload(const Configuration& changed);

  StatusOr<std::vector<JobStatus>> jobs();
  // One entry a lane and shard; of each shard those where most rows wait, and the others as one.
  StatusOr<std::vector<LaneStatus>> sites();
  // By shard.
  std::vector<ShardLoad> loads() const;
  // From the cache that mail uses; asks DNS for what is missing there. `domain`: A-labels.
  StatusOr<ExplainedRoute> resolve(const std::string& domain);
  // Rows of a job that are in flight or not yet synced, in no order.
  StatusOr<std::vector<RowPlace>> in_flight(const std::string& job);
  // Of all shards together; the longest commit of any.
  StatusOr<Journal::Stats> journal_stats();
  StatusOr<WorkStats> work_stats();
  // How long each shard has had mail only for domains that DNS had not answered.
  std::vector<Duration> dns_waits() const;

  // Ends when what is asked is durable.
  Status command(const std::string& job, JobEvent event);
  Status resume_unread(const std::string& job);
  Status pause_site(const std::string& site, bool paused);

  uint32_t shard_count() const { return peers_->shard_count; }
  const Configuration& config() const { return peers_->config; }
  std::string describe_limits() const;

 private:
  Status prepare_web();
  struct Thread;
  void run_shard(Thread& thread);
  // Runs `query` on a shard's thread and waits for it.
  Status ask(uint32_t shard, std::function<void()> query, Duration patience = kQueryTimeout);
  // Runs `start` on shard 0's thread and waits for the reply that it is given.
  Status ask_intake(std::function<void(Intake&, Intake::Reply)> start);

  // The store outlives the client, which outlives the shards; null as in Peers.
  std::unique_ptr<StsStore> sts_store_;
  std::unique_ptr<WebClient> web_;
  std::unique_ptr<Peers> peers_;
  std::unique_ptr<resolver_cache::Cache> cache_;
  std::vector<std::unique_ptr<Thread>> threads_;
  // Nobody's mailbox goes before all have stopped.
  std::unique_ptr<std::latch> all_stopped_;
  bool waited_ = false;
  std::string dns_servers_;  // set by shard 0 before start() returns
};

}  // namespace sluice
