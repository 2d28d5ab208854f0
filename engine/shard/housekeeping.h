// What is kept for a while and then removed: finished jobs, journal files, files of the event
// record.
//
// A job of done/ goes when its summary is older than [spool] keep_done. A journal file goes when
// its events are told and no job occurs in it that is in active/, or in done/ without its outcomes
// (condense.h). A gap in a series would look like a file that was lost: one that is not needed
// behind one that is loses its records and keeps its header. The newest file of each shard always
// stays: it may be open. A rotated event file goes after [record] keep.
// THREAD. Shard 0's. ERRORS. Log lines; what cannot be removed is tried again next time.
// BUGS. A journal file that cannot be read to its end stays as long as it is there.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/base/time.h"
#include "engine/ring/io.h"
#include "engine/shard/condense_journal.h"
#include "engine/spool/job_directory.h"

namespace sluice {

struct Swept {
  uint32_t jobs = 0;
  uint32_t event_files = 0;
};

struct SweepOptions {
  Duration keep_done{};
  Duration keep_events{};
  std::string record_directory;
};

// Finished jobs and event files, one round, at `now`. Synchronous: a few calls a finished job.
Swept sweep_spool(Io& io, const SpoolPaths& spool, const SweepOptions& options, WallTime now);

// The jobs of done/ without outcomes. Synchronous: a call a finished job.
std::set<std::string> jobs_without_outcomes(Io& io, const SpoolPaths& spool);

struct JournalSweep {
  // Of each series of journal files, the first that its follower still needs. A series that is not
  // here stays whole.
  std::map<uint32_t, uint32_t> followed;
  // Those of done/ that need the journal; those of active/ always do.
  std::set<std::string> without_outcomes;
};
struct JournalSwept {
  uint32_t removed = 0;
  uint32_t emptied = 0;
  // Files that may go, for all that is known of them, and what would be needed in them.
  std::vector<JournalPlace> unknown;
  std::set<std::string> needed;
};
// One round. Synchronous: a call a file, and those to list active/ and journal/.
JournalSwept sweep_journal(Io& io, const SpoolPaths& spool, const JournalSweep& sweep,
                           JournalJobs& jobs);

// Removes a directory with all in it: files, links and directories at most eight deep. The first
// error ends it.
Status remove_tree(Io& io, const std::string& path);

}  // namespace sluice
