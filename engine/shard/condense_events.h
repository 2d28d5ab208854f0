// Compresses rotated files of the event record: NAME.jsonl becomes NAME.jsonl.zst.
//
// PURPOSE. Events repeat themselves: compressed they take a tenth of the room. Files of all series
//   are compressed one after the other.
// CRASH. Written under another name, synced, renamed; then the plain file is removed. A plain file
//   beside its compressed one is a twin that a crash left: it is removed.
// OWNERSHIP. Loop outlives the task. THREAD. Shard 0's, in slices of kReadBytes.
// ERRORS. A Status with the path; the plain file stays. Aborted: stopped.
// LIMITS. 4 MiB of memory. BUGS. Takes 64 MiB more than the compressed file on the disk, or waits.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"

namespace sluice {

// Of rotated files that were last written before `before`. Their number.
Task<StatusOr<uint32_t>> compress_event_files(Loop& loop, std::string directory, WallTime before,
                                              std::function<bool()> stopped);

}  // namespace sluice
