// What an active job's directory holds at a restart, less what the journal knows of it.
//
// PURPOSE. Loads the job and looks at its segments: which rows are still due, how far the list was
//   taken, what cannot be read. Nothing is sent or changed.
// OWNERSHIP. `home` outlives the task, `known` and `stock` are the caller's.
// THREAD. The shard's.
// ERRORS. The job as a whole cannot go on: job.toml, its template, its directory. A segment that
//   cannot be read is no error: its rows wait and `damage` says so. Its list is not read on where
//   the place to go on is in such a segment.
// LIMITS. One segment's index in memory at a time.
// BUGS. How many rows such a segment has is known by its neighbours only, and rows of the list that
//   were refused count among them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/progress.h"
#include "engine/record/recovery.h"
#include "engine/ring/task.h"
#include "engine/shard/job.h"
#include "engine/shard/list_taker.h"

namespace sluice {

class FileTasks;
class Shard;

struct JobStock {
  JobPtr job;
  std::vector<std::shared_ptr<PublishedSegment>> segments;  // those that can be read
  TakenSoFar so_far;
  Counts counts;  // of all rows taken so far
  int64_t rows = 0;
  int64_t final_rows = 0;
  bool list_taken = false;  // to its end
  bool list_stalled = false;
  std::string damage;  // empty, or what the operator should know
};

// `known`: null where the journal knows nothing. `cancel`: whatever the journal says of that.
Task<Status> take_stock(Shard& home, std::string id, const JobRecovery* known, bool cancel,
                        JobStock* stock);

// Addresses of a published segment, for deduplication.
Task<Status> remember_addresses(Loop& loop, FileTasks& files, const PublishedSegment& segment,
                                ListTaker& taker);

// Rows of a segment that cannot be read.
struct HiddenRows {
  int64_t rows = 0;      // at most, or as many as are known
  int64_t final = 0;     // known to be
  int64_t deferred = 0;  // known to be
};
// `stretch`: rows of the list between its neighbours; nothing when one of them is not known.
HiddenRows hidden_rows(const SegmentRecovery* seen, std::optional<uint64_t> stretch);

}  // namespace sluice
