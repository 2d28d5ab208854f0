// A segment's file, read piece by piece: its index, then a block at a time.
//
// Ownership: owns the descriptor. Thread: one at a time. Errors: DataLoss with the file's name and
// what is wrong where; octets may be anything. Limits: files of at most kSegmentFileBytesMax.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/status.h"
#include "engine/spool/segment_reader.h"

namespace sluice::tools {

// A segment ends at 8 MiB, or with the row that goes beyond it; its index comes on top.
inline constexpr uint64_t kSegmentFileBytesMax = 256UL << 20;

class SegmentFile {
 public:
  // Takes `descriptor`, also when it fails. `name` stands in messages.
  static StatusOr<std::unique_ptr<SegmentFile>> open(int descriptor, const std::string& name);
  ~SegmentFile();
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  const std::string& name() const { return name_; }
  const SegmentIndex& index() const { return index_; }
  uint64_t bytes() const { return bytes_; }

  // Begins with a block. What the reader gives lives until the next call.
  // REQUIRES: block < index().block_count().
  Status open_block(uint32_t block, BlockReader& reader);
  // `status` with the file's name and the block's place before it.
  Status in_block(const Status& status, uint32_t block) const;

 private:
  SegmentFile(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  Status read_index();
  Status read(uint64_t offset, size_t count, std::string& octets) const;

  const int descriptor_;
  const std::string name_;
  uint64_t bytes_ = 0;
  SegmentIndex index_;
  std::string octets_;
};

}  // namespace sluice::tools
