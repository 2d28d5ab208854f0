// Virtual time: a queue of (moment, sequence, what happens then), and chance from one seed.
//
// PURPOSE. Everything outside of the shards (network, disks, name servers, receivers) is an event
//   of the World. Whoever drives it (Process, Scene) runs shards while one can run, and lets the
//   next event happen when none can: time passes only then.
// OWNERSHIP. Outlives everything that lives in it. Events carry their owner, who forgets them
//   before it dies.
// THREAD. One. DETERMINISM. Events of one moment happen in the order in which they were planned.
//   All chance comes from random(), so the same seed gives the same log(), octet by octet.
// BUGS. Work takes no time: a turn begins and ends at the same moment.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/random.h"
#include "engine/base/time.h"

namespace sluice::sim {

class World {
 public:
  using Action = std::function<void()>;

  explicit World(uint64_t seed) : random_(seed) {}
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Instant now() const { return now_; }
  // Since the world began.
  Duration age() const { return now_ - kBegin; }
  WallTime wall_now() const { return kWallBegin + age() + wall_shift_; }
  // Sets the wall clock forward or back; the monotonic one never notices.
  void shift_wall(Duration by) { wall_shift_ += by; }
  Random& random() { return random_; }
  // Uniform in [least, most].
  Duration between(Duration least, Duration most);
  // True once in `one_in`; never for 0.
  bool happens(uint64_t one_in) { return one_in != 0 && random_.below(one_in) == 0; }

  void at(Instant when, const void* owner, Action action);
  void after(Duration delay, const void* owner, Action action) {
    at(now_ + delay, owner, std::move(action));
  }
  // Drops all events of an owner.
  void forget(const void* owner);
  // kForever: nothing is planned.
  Instant next_event() const { return events_.empty() ? kForever : events_.begin()->first.first; }
  // Lets the next event happen, if it is due by now.
  bool run_due();
  // Lets time pass. REQUIRES: no event lies before `when`.
  void advance_to(Instant when);

  // A line of the event log, stamped with the time.
  void note(std::string_view line);
  const std::string& log() const { return log_; }

 private:
  static constexpr Instant kBegin{std::chrono::hours(1'000)};
  static constexpr WallTime kWallBegin{std::chrono::seconds(1'800'000'000)};
  struct Event {
    const void* owner;
    Action action;
  };

  Instant now_ = kBegin;
  Duration wall_shift_{};
  Random random_;
  uint64_t planned_ = 0;
  std::map<std::pair<Instant, uint64_t>, Event> events_;
  std::string log_;
};

}  // namespace sluice::sim
