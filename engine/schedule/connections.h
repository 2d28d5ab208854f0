// How many connections a lane should dial now. Pure function; any thread.
//
// A connection is worth its handshake when it has messages to carry: new ones are dialled for the
// rows beyond what idle ones and those being dialled take at once, one for every `in_flight_max`
// of them, and never beyond the policy's limit or the feedback's.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice {

struct ConnectionDemand {
  uint64_t rows_ready = 0;        // rows that could be sent now
  uint32_t open = 0;              // connections that exist: busy, idle and being dialled
  uint32_t idle = 0;              // of `open`: greeted and without a message
  uint32_t dialling = 0;          // of `open`: not greeted yet
  uint32_t connection_limit = 0;  // SitePolicy::connection_limit
  uint32_t window = 0;            // Concurrency::limit()
  uint32_t in_flight_max = 1;     // messages a connection takes at once
};

// How many further connections to dial; 0 when none.
inline uint32_t connections_wanted(const ConnectionDemand& demand) {
  const uint32_t limit = std::min(demand.connection_limit, demand.window);
  if (demand.open >= limit) return 0;
  const uint64_t each = std::max(demand.in_flight_max, 1U);
  const uint64_t taken = (static_cast<uint64_t>(demand.idle) + demand.dialling) * each;
  if (demand.rows_ready <= taken) return 0;
  const uint64_t left = demand.rows_ready - taken;
  const uint64_t wanted = left / each + (left % each != 0 ? 1 : 0);
  return static_cast<uint32_t>(std::min<uint64_t>(wanted, limit - demand.open));
}

}  // namespace sluice
