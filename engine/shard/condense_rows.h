// A segment's rows in the order of the list: segments have them domain by domain.
//
// PURPOSE. Reads a segment and gives (number, row, address) by number. Sorting all rows in one go
//   would hold the shard: stretches are sorted as they come and merged as they are asked for.
// OWNERSHIP. Copies the addresses; views live until the next load(). THREAD. The loop's.
// ERRORS. load(): the file cannot be read or is damaged. LIMITS. 16 octets a row and its address.
// BUGS. None known.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/row.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/job.h"
#include "engine/spool/segment_reader.h"

namespace sluice {

class SegmentRowsInOrder {
 public:
  explicit SegmentRowsInOrder(Loop& loop) : loop_(loop), files_(loop) {}
  SegmentRowsInOrder(const SegmentRowsInOrder&) = delete;
  SegmentRowsInOrder& operator=(const SegmentRowsInOrder&) = delete;

  // Begins with the segment's first row.
  Task<Status> load(std::string path);
  const SegmentMeta& meta() const { return index_->meta(); }

  struct Entry {
    uint64_t number = 0;
    SegmentRow row = 0;
    std::string_view address;
  };
  // False behind the last row.
  bool next(Entry& entry);

 private:
  struct Kept {
    uint64_t number;
    SegmentRow row;
    uint32_t text;  // where its address begins in text_
  };
  // A sorted stretch of rows_ and how far it is used.
  struct Run {
    size_t next;
    size_t end;
  };
  Task<Status> read_blocks(Handle file, std::string path);
  Status take_block(uint32_t block, std::string_view octets);
  void end_run();

  Loop& loop_;
  FileTasks files_;
  IndexPtr index_;
  std::vector<Kept> rows_;
  std::vector<uint32_t> text_ends_;  // by row of the segment
  std::string text_;
  size_t run_begin_ = 0;
  std::vector<Run> runs_;  // a heap, the lowest number first
};

}  // namespace sluice
