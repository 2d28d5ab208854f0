// From a row's number in a segment to its address: for whoever reads the journal behind the sender.
//
// PURPOSE. A journal names job, segment and row. The finder opens the segment where the job lies,
//   in active/ or done/, and reads the stretch of it in which the row's block is; rows near each
//   other in a segment, and those that were sent at about the same time, cost no further read.
// HOW TO USE IT. find(); when it says kLoad, await load() and call find() again.
// OWNERSHIP. Loop and spool outlive it. A found Row's views live until the next call of any kind.
// THREAD. The loop's. One load() at a time.
// ERRORS. load() fails when a file cannot be read or is damaged. A job that is nowhere (removed
//   long ago) is kGone.
// LIMITS. kFilesMax open segments, at most 1.5 MiB of index each; kStretchesMax stretches of
//   64 KiB, or of one block where that is longer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"
#include "engine/shard/file_tasks.h"
#include "engine/spool/job_directory.h"
#include "engine/spool/segment_reader.h"

namespace sluice {

class RowFinder {
 public:
  static constexpr size_t kFilesMax = 16;
  static constexpr size_t kStretchesMax = 128;
  static constexpr uint64_t kStretchBytes = 64UL << 10;

  enum class Found : uint8_t { kRow, kLoad, kGone };

  RowFinder(Loop& loop, const SpoolPaths& spool) : loop_(loop), spool_(spool), files_(loop) {}
  RowFinder(const RowFinder&) = delete;
  RowFinder& operator=(const RowFinder&) = delete;
  ~RowFinder() { clear(); }

  Found find(std::string_view job, SegmentNumber segment, SegmentRow row, Row& out);
  // Brings what find() missed. After an error find() says kGone of the rows that it concerns, until
  // clear() or until they are forgotten.
  Task<Status> load(std::string job, SegmentNumber segment, SegmentRow row);
  // Closes and forgets everything.
  void clear();

 private:
  struct File {
    std::string job;
    SegmentNumber number = 0;
    uint32_t id = 0;  // never used again
    std::string path;
    Handle handle = kNoHandle;
    SegmentIndex index;
    bool gone = false;
    uint64_t used = 0;
  };
  // The blocks of a file that begin in one stretch of kStretchBytes.
  struct Stretch {
    uint32_t first_block = 0;
    std::string octets;
    uint64_t offset = 0;                                // in the file
    std::vector<std::unique_ptr<BlockReader>> readers;  // by block; null until used
    bool damaged = false;
    uint64_t used = 0;
  };
  struct Key {
    uint32_t file;
    uint32_t stretch;
    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H hash, const Key& key) {
      return H::combine(std::move(hash), key.file, key.stretch);
    }
  };

  File* file_of(std::string_view job, SegmentNumber segment);
  Task<Status> open_file(std::string job, SegmentNumber segment);
  Task<Status> read_index(File* file);
  Task<Status> read_stretch(File* file, uint32_t block);
  void forget_oldest_file();
  void forget_oldest_stretch();

  Loop& loop_;
  const SpoolPaths& spool_;
  FileTasks files_;
  std::vector<std::unique_ptr<File>> open_;
  File* last_ = nullptr;  // most rows are of the same segment as the one before
  absl::flat_hash_map<Key, std::unique_ptr<Stretch>> stretches_;
  uint32_t ids_ = 0;
  uint64_t uses_ = 0;
};

}  // namespace sluice
