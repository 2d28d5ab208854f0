// Remembers the addresses of one job while its list is taken, so that nobody gets it twice.
//
// PURPOSE. Exact for lists of any length in bounded memory: the latest addresses are hashes in a
//   table (engine/spool/dedupe.h); when there are too many they become a run on disk, behind a
//   filter that spares most questions to the disk. Eight runs of a size become one.
// OWNERSHIP. The list's taker; files in the job's directory dedupe/ are removed with it.
// AFTER A RESTART the key is another one: the job's segments are read and remembered again.
// THREAD. The shard's; one task at a time.
// ERRORS. Status with the path; what is remembered stays so.
// LIMITS. Limits::dedupe_entries_max, which spill() holds when it is called as full() says, and
//   Limits::dedupe_filter_bytes_max. On disk 16 octets an address, twice that while runs merge.
// BUGS. A repeated address costs a read of 4 KiB for each run: at most seven of each size.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/limits.h"
#include "engine/shard/hash_files.h"
#include "engine/spool/dedupe.h"
#include "engine/spool/hash_filter.h"

namespace sluice {

class JobDedupe {
 public:
  enum class Seen : uint8_t { kNew, kBefore, kUnsure };
  static constexpr size_t kRunsOfASize = 8;

  // `directory` is this object's own; what is in it is removed. `key` is random.
  JobDedupe(Loop& loop, std::string directory, SipKey key, const Limits& limits,
            std::function<bool()> stop);
  JobDedupe(const JobDedupe&) = delete;
  JobDedupe& operator=(const JobDedupe&) = delete;
  ~JobDedupe();

  // kNew: it is remembered from now on. kUnsure: look_up() tells.
  Seen see(std::string_view address);
  // True when it was seen before; else it is remembered from now on.
  Task<StatusOr<bool>> look_up(std::string address);
  // Remembers it, whether or not it was seen before.
  void remember(std::string_view address) { (void)latest_->insert(address); }

  // spill() before so many more are seen that a segment has.
  bool full() const { return latest_->size() >= limits_.dedupe_entries_max; }
  Task<Status> spill();

  uint64_t entries() const { return latest_->size() + on_disk_; }
  size_t memory_bytes() const;

 private:
  struct Run {
    HashRunPtr run;
    uint32_t size = 0;  // 0: of one spill, 1: of eight of these, and so on
  };

  void make_table();
  Task<Status> widen_filter(const std::vector<Hash128>& spilled);
  Task<Status> merge_runs();
  std::string next_path() { return directory_ + "/" + std::to_string(runs_made_++) + ".run"; }
  void remove_files();

  Loop& loop_;
  const std::string directory_;
  const SipKey key_;
  const Limits& limits_;
  const std::function<bool()> stop_;
  HashRunFiles files_;
  std::optional<DedupeSet> latest_;
  std::unique_ptr<HashFilter> filter_;  // of all runs; null when there are none
  uint64_t filter_fits_ = 0;            // entries for which it is large enough
  std::vector<Run> runs_;               // the oldest and largest first
  uint64_t on_disk_ = 0;
  uint32_t runs_made_ = 0;
};

}  // namespace sluice
