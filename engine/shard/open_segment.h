// A segment as one shard uses it.
#pragma once

#include <cstdint>
#include <list>

#include "absl/container/flat_hash_set.h"
#include "engine/ring/io.h"
#include "engine/shard/job.h"

namespace sluice {

// Its file, and how much of it is still open here. Belongs to the shard that opened it.
struct OpenSegment {
  SegmentPtr segment;
  // Null when it was forgotten, or not read yet (segment_indexes.h).
  IndexPtr index;
  std::list<OpenSegment*>::iterator index_place;  // among those that are in memory
  bool reads_index = false;
  bool complained = false;  // that it cannot be read
  Handle file = kNoHandle;  // opened at the first read
  uint32_t reads = 0;       // on their way
  int64_t holds = 0;        // rows at this shard that are not final, and others who refer to it
  // Counted as deferred: DNS had no answer at first.
  absl::flat_hash_set<uint32_t> deferred_blocks;

  bool is_deferred(uint32_t block) const { return deferred_blocks.contains(block); }
};

}  // namespace sluice
