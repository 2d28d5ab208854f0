// The blocks that a lane holds: private to the lane's own sources.
#pragma once

#include <string>

#include "engine/shard/lane.h"
#include "engine/spool/segment_reader.h"

namespace sluice {

// A block on its way from the disk, or its rows being handed out.
struct Lane::LoadedBlock {
  explicit LoadedBlock(Signal& done) : read(done) {}

  Pick pick;
  OpenSegment* segment = nullptr;
  uint32_t block = 0;
  std::string octets;
  Operation read;
  BlockReader reader;
  uint64_t rows_left = 0;
};

}  // namespace sluice
