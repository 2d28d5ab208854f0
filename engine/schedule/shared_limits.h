// The limits that all shards share: one object for the process.
//
// PURPOSE. scope() gives the one set of limits of a key, whichever shard asks. Keys: "site NAME
//   source S", "provider NAME source S", "job ID". Asked when a lane is made, when rules change and
//   when connections are counted out; a message costs the atomics of what it gave.
// CHANGED RATES. The rate that holds is the one of the newest rules: its Gcra begins with as many
//   permits used as the one before, which denies from then on. Shards that learn of the rules one
//   after the other therefore never get both; one that is denied by a retired limit asks again, and
//   gets the new one even when it still goes by the old rules, provided that it says which.
// RESTARTS. begin() says how the process before ended: without one, limits begin full; after a
//   clean end with what save() gave; after any other drained as of begin() (gcra.h tells why that
//   is enough). What a short process inherited and never used, save() passes on.
// OWNERSHIP. Outlives every scope that it gave out.
// THREAD. Any; one mutex for scopes and changes of rates.
// ERRORS. None.
// LIMITS. Scopes that nobody holds are forgotten once their rates are full, judged by the latest
//   moment that anybody named to a rate: each new one looks at two older ones, so there are at most
//   about twice as many as are held or not full. One with a key of 50 octets takes about 400
//   octets with a message rate, 530 with both rates, 320 without one.
// BUGS. A wall clock that was set forward while no process ran shortens the wait that was saved.
//   Where rules changed between two processes the saved moment is kept, not the count of permits;
//   from begin() on the new rate holds all the same. A rate that is removed and comes back later
//   knows only of the time before.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/strings.h"
#include "engine/base/time.h"
#include "engine/model/policy.h"
#include "engine/model/saved_limits.h"
#include "engine/schedule/gcra.h"
#include "engine/schedule/shard_set.h"
#include "engine/schedule/slots.h"

namespace sluice {

class ScopeLimits {
 public:
  const std::string& key() const { return key_; }

  // Grants none before Slots::set_limit().
  Slots connections;
  // Shards that wait for one of them.
  ShardSet waiting;
  // Shards that wait for a permit of the message rate, and the one whose turn it is among them.
  ShardSet waiting_for_message;
  std::atomic<uint32_t> turn_of{0};

  // The one Gcra of that rate; null for none. `rules` grows with each change of the rules: older
  // ones than those that were asked with change nothing and get what holds.
  std::shared_ptr<Gcra> message_rate(const std::optional<Rate>& rate, Instant now,
                                     uint64_t rules = 0) {
    return rate_of(LimitKind::kMessages, rate, now, rules);
  }
  std::shared_ptr<Gcra> connection_rate(const std::optional<Rate>& rate, Instant now,
                                        uint64_t rules = 0) {
    return rate_of(LimitKind::kConnections, rate, now, rules);
  }

 private:
  friend class SharedLimits;
  static constexpr Instant kUnknown = Instant::min();

  // What all scopes know.
  struct Common {
    std::mutex mutex;
    Instant drained = kUnknown;  // limits of which nothing is known were empty then
    Instant now = kUnknown;      // the latest moment that anybody told
  };
  struct Paced {
    std::shared_ptr<Gcra> gcra;
    std::optional<Rate> rate;
    uint64_t rules = 0;
    Instant arrival = kUnknown;  // where `gcra` is to begin while there is none
  };

  ScopeLimits(std::string key, Common& common) : key_(std::move(key)), common_(common) {}

  std::shared_ptr<Gcra> rate_of(LimitKind kind, const std::optional<Rate>& rate, Instant now,
                                uint64_t rules);
  // With the mutex held.
  Instant arrival_of(LimitKind kind) const;
  bool is_forgettable(Instant now) const;

  const std::string key_;
  Common& common_;
  std::array<Paced, kLimitKinds> rates_;
};

class SharedLimits {
 public:
  SharedLimits() = default;
  SharedLimits(const SharedLimits&) = delete;
  SharedLimits& operator=(const SharedLimits&) = delete;

  // Before the first scope(); without it as if there had been no process before.
  void begin(LimitsStart start, const SavedLimits& saved, Instant now, WallTime wall_now);
  std::shared_ptr<ScopeLimits> scope(std::string_view key);
  // What is to be written down after the last permit: the limits that are not full, by key.
  SavedLimits save(Instant now, WallTime wall_now) const;
  // How many scopes there are.
  size_t size() const;

 private:
  using Arrivals = std::array<Instant, kLimitKinds>;

  void forget_some();

  mutable ScopeLimits::Common common_;
  std::vector<std::shared_ptr<ScopeLimits>> scopes_;
  absl::flat_hash_map<std::string_view, uint32_t> index_;  // views of the scopes' keys
  size_t hand_ = 0;                                        // the scope to be looked at next
  // Of an earlier process, until somebody asks for the scope or all are past.
  StringMap<Arrivals> saved_;
  Instant saved_until_ = ScopeLimits::kUnknown;
};

}  // namespace sluice
