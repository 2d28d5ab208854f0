// How long a message took, from the event record.
//
// PURPOSE  A Delivery's created_time is the moment at which its row was taken, event_time that of
// its answer, both to the microsecond: their difference, over all deliveries of a benchmark.
// OWNERSHIP  Values. THREAD  Any. ERRORS  NotFound without events.
// LIMITS  Four octets of memory a delivery; days are not told apart beyond one midnight.
// BUGS  The wall clock is used: a step of it during the run shows.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/status.h"

namespace sluice::tools {

struct BenchLatency {
  uint64_t deliveries = 0;
  double median_ms = 0;
  double high_ms = 0;  // 99th percentile
};

// Of all event files in `directory`.
StatusOr<BenchLatency> read_latency(const std::string& directory);

}  // namespace sluice::tools
