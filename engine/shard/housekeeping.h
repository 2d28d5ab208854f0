// What is kept for a while and then removed: finished jobs and journal files.
//
// A job of done/ goes when its summary is older than [spool] keep_done. A journal file goes when it
// was last written before the oldest job of active/ and done/ was taken: then no record in it can
// be of a job that is still there. The newest file of each shard always stays: it may be open.
// THREAD. Shard 0's. ERRORS. Log lines; what cannot be removed is tried again next time.
// BUGS. A clock that is set back keeps files longer.
#pragma once

#include <string>

#include "engine/base/time.h"
#include "engine/ring/io.h"
#include "engine/spool/job_directory.h"

namespace sluice {

struct Swept {
  uint32_t jobs = 0;
  uint32_t journal_files = 0;
};

// One round, at `now`. Synchronous: a few calls a finished job.
Swept sweep_spool(Io& io, const SpoolPaths& spool, Duration keep_done, WallTime now);

}  // namespace sluice
