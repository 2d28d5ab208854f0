// What a person asks of a job or a site: how fast it goes, when it will be done, and what holds it
// back.
//
// Pure: put together from what the shards show (engine/shard/lane_status.h) by the rules of
// engine/schedule/eta.h. Any thread. Nothing is a promise: see there what is not foreseen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/shard/intake.h"
#include "engine/shard/lane_status.h"

namespace sluice {

// Texts, so that they are the same on both ends of the admin socket.
struct BottleneckReport {
  Bottleneck why = Bottleneck::kNone;
  std::string limit;   // "max_message_rate = 10/s"; empty when it is no limit
  std::string origin;  // "shaping.toml:14"; "default"
  std::string site;    // of a job's: where; empty when it is no site's
  std::string source;
  double share = 0;  // of the time lately in which mail waited; of a core's time when it is the CPU
};
// "max_message_rate = 10/s (shaping.toml:14)"
std::string words_of(const BottleneckReport& bottleneck);

struct JobForecast {
  double rate = 0;  // recipients a second that came to their end lately; of an ended job on average
  std::optional<Duration> eta_in;  // nothing: not known
  WallTime eta{};
  WallTime last_due{};  // of the deferred recipients that the ETA waits for; zero: none
  uint64_t held = 0;    // recipients at sites that cannot be reached or are paused: not in the ETA
  BottleneckReport bottleneck;
};

struct JobReport : JobStatus {
  JobForecast forecast;
};

struct SiteReport : LaneStatus {
  BottleneckReport bottleneck;
  std::optional<Duration> eta_in;
  WallTime eta{};
};

// What the engine showed at one moment.
struct EngineSnapshot {
  std::vector<JobStatus> jobs;
  std::vector<JobPace> paces;     // one a job
  std::vector<LaneStatus> lanes;  // merged
  std::vector<ShardLoad> loads;   // by shard; may be empty
  bool halted = false;
};

std::vector<JobReport> forecast_jobs(EngineSnapshot snapshot);
// `lanes`: merged.
std::vector<SiteReport> forecast_sites(std::vector<LaneStatus> lanes,
                                       const std::vector<ShardLoad>& loads);

}  // namespace sluice
