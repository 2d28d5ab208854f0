// The engine as one process of the simulated machine: its shards take turns in one thread.
//
// PURPOSE. Puts shards together as Engine::run_shard does, with SimIo and SimLookup behind the
//   doors; everything else is the engine's own code. Which shard goes next is drawn by the seed.
// HOW TO DRIVE IT. step() while it returns true; then let time pass until next_wake() at most.
//   drain() asks it to end, as SIGTERM does; the destructor is the power cut.
// THE POWER CUT. The shards are cut off from the world first (SimIo::sever), then drained where
//   nothing that they do has an effect: so tasks and operations end in the engine's own way.
// THREAD. One. OWNERSHIP. World, Network and Zones outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/configuration.h"
#include "engine/model/limits.h"
#include "engine/shard/intake.h"
#include "engine/shard/peers.h"
#include "engine/shard/shard.h"
#include "tests/sim/lookup.h"
#include "tests/sim/sim_io.h"

namespace sluice::sim {

class Process {
 public:
  Process(World& world, Network& network, const Zones& zones, std::shared_ptr<Disk> disk,
          const Configuration& config, const Limits& limits, Duration turn_cost);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  // A turn of one shard that has something to do. False: all wait.
  bool step();
  // When a shard wants a turn even if nothing happens.
  Instant next_wake() const;

  bool running() const { return phase_ == Phase::kRunning; }
  bool stopped() const { return phase_ == Phase::kStopped; }
  // It could not start, or not recover: why. The destructor alone is left to be called.
  const Status& status() const { return status_; }
  bool failed() const { return phase_ == Phase::kFailed || !status_.ok(); }
  bool halted() const { return peers_.halted.load(); }

  void drain(Duration timeout);
  // As SIGHUP does.
  void reload(const ShapingRules& shaping, const Configuration::Retry& retry);
  // Empty before the intake stands.
  std::vector<JobStatus> jobs() const;
  // As the operator says: of the job dropped under that name. The log tells why nothing came of it.
  void command(const std::string& name, JobEvent event);
  // Of all shards; those that hold mail or connections, or did.
  std::vector<LaneStatus> lanes() const;
  uint64_t turns() const { return turns_; }

 private:
  enum class Phase : uint8_t { kStarting, kRecovering, kRunning, kFailed, kSaving, kStopped };
  struct Member;

  void make_member();
  void begin(Member& member, Task<Status> task);
  void go_on();
  bool can_run(const Member& member) const;
  void tear_down();

  World* world_;
  Network* network_;
  const Zones& zones_;
  const std::shared_ptr<Disk> disk_;
  const Duration turn_cost_;
  Random order_;  // of turns
  Peers peers_;
  std::unique_ptr<resolver_cache::Cache> cache_;
  World limbo_;
  Network nowhere_;
  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<Intake> intake_;
  Phase phase_ = Phase::kStarting;
  Status status_;
  uint64_t turns_ = 0;
};

}  // namespace sluice::sim
