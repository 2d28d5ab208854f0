// Any mixture of troubles, drawn from the seed: first a while in which everything may fail
// (safety), then a world in order, in which all that is left must come to an end (liveness).
//
// run_swarm() is one such run: a world, four sites, one list, power cuts and drains in between. The
//   Witness looks on all the time; at the end the summary, the journal, the event record and what
//   the receivers took must agree. Failures are gtest's, each with the seed and the invariant.
// DETERMINISM. The same seed gives the same log.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/time.h"

namespace sluice::sim {

struct SwarmResult {
  std::string log;
  Duration lasted{};  // virtual
};

SwarmResult run_swarm(uint64_t seed);

}  // namespace sluice::sim
