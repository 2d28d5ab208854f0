// What is kept for a while and then removed: finished jobs, journal files, files of the event
// record.
//
// A job of done/ goes when its summary is older than [spool] keep_done. A journal file goes when it
// was last written before the oldest job of active/ and done/ was taken: then no record in it can
// be of a job that is still there; and not before its events are told. The newest file of each
// shard always stays: it may be open. A rotated event file goes after [record] keep.
// THREAD. Shard 0's. ERRORS. Log lines; what cannot be removed is tried again next time.
// BUGS. A clock that is set back keeps files longer.
#pragma once

#include <map>
#include <string>

#include "engine/base/time.h"
#include "engine/ring/io.h"
#include "engine/spool/job_directory.h"

namespace sluice {

struct Swept {
  uint32_t jobs = 0;
  uint32_t journal_files = 0;
  uint32_t event_files = 0;
};

struct SweepOptions {
  Duration keep_done{};
  Duration keep_events{};
  std::string record_directory;
  // Of each series of journal files, the first that its follower still needs. A series that is not
  // here stays whole.
  std::map<uint32_t, uint32_t> followed;
};

// One round, at `now`. Synchronous: a few calls a finished job.
Swept sweep_spool(Io& io, const SpoolPaths& spool, const SweepOptions& options, WallTime now);

// Removes a directory with all in it: files, links and directories at most eight deep. The first
// error ends it.
Status remove_tree(Io& io, const std::string& path);

}  // namespace sluice
