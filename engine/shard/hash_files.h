// Runs of sorted hashes on disk (engine/spool/hash_run.h) as tasks: opening, asking, sorting.
//
// PURPOSE. Sets of hashes that are larger than memory: HashSorter takes hashes in any order, writes
//   what its chunk cannot hold as temporary runs, and merges all into one; HashRunFiles asks and
//   reads runs.
// HOW IT STAYS OUT OF THE WAY. All work is done in slices of a fraction of a millisecond; all else
//   that is ready runs between them.
// OWNERSHIP. The caller's; one task at a time of each object, which outlives its task.
// THREAD. The shard's.
// ERRORS. Status with the path. A merge that fails leaves its target as it was.
// LIMITS. Memory: two chunks, and 64 KiB for each run that is merged: at most kRunsMax + 2.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/shard/file_tasks.h"
#include "engine/spool/hash_filter.h"
#include "engine/spool/hash_run.h"

namespace sluice {

// Sorts by hash_less(), in slices. `hashes` stays until the task has ended.
Task<> sort_in_slices(std::vector<Hash128>& hashes);

class HashRunFiles {
 public:
  explicit HashRunFiles(Loop& loop) : loop_(loop), files_(loop) {}

  // Reads and checks what is kept in memory of a run.
  Task<StatusOr<HashRunPtr>> open(std::string path);
  // Opens the file for this one question: a run that another has replaced is kNotFound.
  Task<StatusOr<bool>> contains(HashRunPtr run, Hash128 hash);
  // Adds all hashes of the run, until `stop` says so (then Unavailable).
  Task<Status> fill(HashRunPtr run, HashFilter& filter, const std::function<bool()>& stop);

 private:
  Loop& loop_;
  FileTasks files_;
};

class HashSorter {
 public:
  static constexpr size_t kRunsMax = 64;

  // Temporary runs are `stem` with a number behind it; such files of an earlier process are
  // overwritten. When `stop` is true tasks end with Unavailable.
  HashSorter(Loop& loop, std::string stem, size_t chunk_entries, std::function<bool()> stop);
  HashSorter(const HashSorter&) = delete;
  HashSorter& operator=(const HashSorter&) = delete;
  ~HashSorter();

  // Add to it, and spill() when it is full.
  std::vector<Hash128>& chunk() { return chunk_; }
  bool full() const { return chunk_.size() >= chunk_entries_; }
  // What this run holds was added too; it is removed when it is merged.
  void adopt(HashRunPtr run) { runs_.push_back(std::move(run)); }
  // All that was added, at `path`, not durably: for a run that no restart will read.
  Task<StatusOr<HashRunPtr>> write_run(std::string path);
  // Something was spilled: what is in the chunk is not all.
  bool has_spilled() const { return !runs_.empty(); }
  Task<Status> spill();
  // All that was added, and what `before` holds (null: nothing), durably at `path`, where no other
  // run lies that somebody may still ask. The sorter is empty then.
  Task<StatusOr<HashRunPtr>> merge(HashRunPtr before, std::string path, std::string meta);

 private:
  struct Input;
  struct Output;

  Task<StatusOr<HashRunPtr>> write(HashRunPtr before, std::string path, std::string meta,
                                   bool durably);
  Task<Status> merge_inputs(std::vector<std::unique_ptr<Input>>& inputs, Output& output);
  Task<Status> refill(Input& input);
  void remove_temporary();

  Loop& loop_;
  const std::string stem_;
  const size_t chunk_entries_;
  const std::function<bool()> stop_;
  FileTasks files_;
  std::vector<Hash128> chunk_;
  std::vector<HashRunPtr> runs_;  // temporary ones
  uint32_t runs_made_ = 0;
};

}  // namespace sluice
