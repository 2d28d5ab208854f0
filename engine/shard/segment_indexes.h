// The indexes of a shard's open segments that are in memory.
//
// PURPOSE. An index takes 16 octets a block and more a domain: those of a long list do not fit.
//   A new segment's is there; beyond the shard's share of Limits::index_bytes_max those that came
//   longest ago are forgotten, and read again when a row of theirs is wanted.
// OWNERSHIP. The shard's. Whoever holds an IndexPtr keeps its index, counted here or not: walks of
//   segments and reads of blocks do, for as long as they take.
// THREAD. The shard's. ERRORS. get(): the file cannot be read, or is damaged.
// LIMITS. kReadsMax indexes are read at a time. BUGS. First in, first out: an index that is in use
//   all the time is forgotten and read like any other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>

#include "engine/base/status.h"
#include "engine/ring/crowd.h"
#include "engine/ring/task.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/open_segment.h"

namespace sluice {

class SegmentIndexes {
 public:
  static constexpr uint32_t kReadsMax = 4;

  SegmentIndexes(Loop& loop, size_t bytes_max) : loop_(loop), bytes_max_(bytes_max), read_(loop) {}

  // Puts an index in memory, where it is missing.
  void add(OpenSegment& segment, const IndexPtr& index);
  // From memory, or read. REQUIRES: the segment is held until then.
  Task<StatusOr<IndexPtr>> get(OpenSegment& segment);
  // The segment is closed.
  void remove(OpenSegment& segment);

  size_t bytes() const { return bytes_; }

 private:
  Loop& loop_;
  const size_t bytes_max_;
  std::list<OpenSegment*> in_memory_;  // the oldest first
  size_t bytes_ = 0;
  uint32_t reads_ = 0;
  Crowd read_;  // one has been read
};

// The index of a segment's file.
Task<StatusOr<IndexPtr>> read_index(Loop& loop, FileTasks& files, std::string path);

}  // namespace sluice
