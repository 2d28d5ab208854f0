// A simulated machine with its surroundings, for tests: configuration, spool, zones, receivers, and
// the process that runs, crashes and starts again.
//
// After every turn the checkers look: what they find is printed with the number of the invariant
//   (design, section 5) and the seed, and fails the test.
// THREAD. One. A Scene takes the engine's log lines into the World's log while it lives.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/spool/job_files.h"
#include "tests/sim/disk.h"
#include "tests/sim/ledger.h"
#include "tests/sim/lookup.h"
#include "tests/sim/network.h"
#include "tests/sim/process.h"
#include "tests/sim/receiver.h"
#include "tests/sim/witness.h"
#include "tests/sim/world.h"

namespace sluice::sim {

struct SceneOptions {
  uint64_t seed = 1;
  uint32_t shards = 1;
  std::string config = {};   // further lines of sluice.toml
  std::string shaping = {};  // shaping.toml
  Limits limits = {};
  // What a turn is said to cost: a shard with many of them counts as busy, and others help it.
  Duration turn_cost = {};
};

class Scene {
 public:
  static constexpr const char* kSpool = "/spool";

  explicit Scene(SceneOptions options);
  ~Scene();
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  World world;
  Network network;
  Zones zones;
  std::shared_ptr<Disk> disk;
  Witness witness;

  // A receiver at 10.0.0.`host`, port 25.
  Receiver& receiver(uint8_t host, ReceiverRules rules = {});
  static IpAddress address(uint8_t host);
  const std::vector<std::unique_ptr<Receiver>>& receivers() const { return receivers_; }
  // How often each recipient was taken, by all receivers together.
  std::map<std::string, uint32_t> times_taken() const;
  uint32_t misdirected() const;

  // Drops a job for these recipients; `send` and `list` are further lines of those tables.
  void drop_job(const std::string& name, const std::vector<std::string>& recipients,
                const std::string& send = "", const std::string& list = "");

  void start();
  // The power goes: what was not synced may be gone. start() begins anew.
  void crash();
  // SIGTERM, then the power: false when it does not end within its deadline.
  bool drain(Duration timeout);
  // SIGHUP, with the same files, or with these shaping rules from now on.
  void reload();
  void reload(const std::string& shaping);
  bool is_up() const { return process_ != nullptr; }
  Process& process() { return *process_; }

  // Runs until `done`; false when `at_most` of virtual time has passed, nothing is left to happen,
  // or the witness has seen enough, before.
  bool run_until(const std::function<bool()>& done, Duration at_most);
  bool run_for(Duration time);  // always true
  // Until every dropped job lies in done/.
  bool run_jobs(Duration at_most);
  bool jobs_are_done() const;
  bool a_job_was_refused() const;
  // Of the job dropped under that name, from done/.
  JobSummary summary(const std::string& name) const;
  Ledger ledger() const { return read_ledger(*disk, kSpool); }

  uint64_t steps() const { return steps_; }

 private:
  void watch_disk();
  void take_down();

  SceneOptions options_;
  Configuration config_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::set<std::string> jobs_;  // names of what was dropped
  std::unique_ptr<Process> process_;
  uint64_t steps_ = 0;
};

// "user0@example0.test" ... over `domains` domains.
std::vector<std::string> recipients_over(uint32_t count, uint32_t domains);

}  // namespace sluice::sim
