// One run of the benchmark: a sink, a sender, a job through the real spool, and what it cost.
//
// PURPOSE  Both programs are children on cores of their own. The job is dropped into incoming/;
// its directory's arrival in done/ or failed/ announces the end (inotify), nothing polls the
// sender meanwhile.
// OWNERSHIP  Everything it starts has ended when it returns. THREAD  The main one; signals for the
// end (SIGINT, SIGTERM) must be blocked: `signals` is their signalfd.
// ERRORS  Unavailable when a child did not start or ended early, with its last lines; DataLoss when
// not every message arrived; Cancelled by a signal.
// LIMITS  A child has a minute to start.
// BUGS  Shares of a core are over the time between the job's drop and its end, the intake included.
#pragma once

#include <optional>

#include "engine/base/status.h"
#include "tools/cmd/bench_figures.h"
#include "tools/cmd/bench_options.h"
#include "tools/cmd/bench_world.h"

namespace sluice::tools {

// `directory` is cleared first.
StatusOr<BenchFigures> run_bench(BenchDirectory& directory, const BenchOptions& options,
                                 BenchMode mode, int signals);

// Allocations a message, in a run of its own without delay: nothing when the library that counts
// them does not lie beside the program.
StatusOr<std::optional<double>> count_allocations(BenchDirectory& directory, BenchOptions options,
                                                  BenchMode mode, int signals);

}  // namespace sluice::tools
