// What a shard shows of its lanes: how much waits, how fast it goes, and what it waits for.
//
// Plain values, copied out of the shard; any thread. A site that is spread over shards has a
// LaneStatus on each of them; merge_lanes() makes one of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/bottleneck.h"
#include "engine/schedule/eta.h"

namespace sluice {

// What a lane holds of a job.
struct LaneJob {
  std::string job;  // its id
  uint8_t priority = 5;
  double own_rate = 0;         // rows a second that its own limit lets through; 0: it has none
  uint64_t rows_waiting = 0;   // that may go at once, or as soon as a limit lets them
  uint64_t rows_deferred = 0;  // beside them: due later
  // From now until the first and the last of these is due.
  std::optional<Duration> first_due;
  std::optional<Duration> last_due;
};

struct LaneWait {
  Bottleneck why = Bottleneck::kNone;  // WaitTally::dominant()
  double share = 0;                    // of the time that mail waited lately: WaitTally::share()
  // Of a limit: its key, its value, and the line that says so; no file when it is the default.
  Origin limit;
  // Rows a second that the limit lets through, of all shards together; 0 when it is no rate of
  // messages.
  double limit_rate = 0;
  double rate = 0;  // rows a second lately, of all jobs: RateMeter
  std::vector<LaneJob> jobs;
};

// The `site` of those that are told as one together; no host has this name.
inline constexpr std::string_view kOtherSites = "(other sites)";

struct LaneStatus {
  std::string site;
  std::string source;
  uint32_t lanes = 1;         // that this is the sum of: another number only with kOtherSites
  uint64_t rows_waiting = 0;  // deferred ones too
  uint32_t connections = 0;
  std::string last_failure;
  uint32_t shard = 0;
  WallTime as_of{};
  LaneWait wait;
};

// How a job went lately.
struct JobPace {
  PaceFigures lately;
  // The share of its list that was read; nothing: not known, and not read to its end.
  std::optional<double> list_read;
  WallTime as_of{};
};

// A shard's own time lately: shares of 0 to 1; negative where nobody measures.
struct ShardLoad {
  double busy = -1;      // on the core
  double dns_wait = -1;  // mail only for domains that DNS had not answered
};

// The earlier, and the later, of two that may be missing.
void keep_earlier(std::optional<Duration>& at, std::optional<Duration> other);
void keep_later(std::optional<Duration>& at, std::optional<Duration> other);

// One entry a (site, source), in the order of their first: rows, connections and rates are summed;
// what it waits for is that of the shard where most rows wait.
std::vector<LaneStatus> merge_lanes(std::vector<LaneStatus> lanes);

}  // namespace sluice
