// What is left to do: the spool minus the journal.
//
// Fed at start with every entry of every journal file, in any order of files, it knows of each live
// job which rows are final and which are deferred, until when and after how many attempts; a row
// that it does not know is waiting.
//
//   final beats deferred; of two deferred entries the one with more attempts holds, then the later.
//   Of two final entries of one row (they do not occur unless a row was sent twice) the first that
//   was fed holds; the other is counted.
//
// Pure; any thread, one at a time. Memory: one bit a row up to the highest final one, 24 octets a
// deferred row (up to 48 while feeding). Errors: an entry that no segment can have is refused.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/model/row.h"
#include "engine/model/state.h"
#include "engine/record/entry.h"

namespace sluice {

struct DeferredRow {
  SegmentRow row = 0;
  uint32_t attempts = 0;
  WallTime first_at{};
  WallTime next_at{};
};
static_assert(sizeof(DeferredRow) == 24);

class SegmentRecovery {
 public:
  bool is_final(SegmentRow row) const {
    return row / 64 < final_.size() && ((final_[row / 64] >> (row % 64)) & 1) != 0;
  }
  uint32_t final_count() const { return final_count_; }
  // By row, each once, none of them final. Valid after Recovery::finish().
  const std::vector<DeferredRow>& deferred() const { return deferred_; }

 private:
  friend class Recovery;
  bool mark_final(SegmentRow row);  // false when it was
  void defer(const JournalEntry& entry);
  void tidy();

  std::vector<uint64_t> final_;
  uint32_t final_count_ = 0;
  std::vector<DeferredRow> deferred_;
  size_t tidied_ = 0;  // how many there were after the last tidy()
};

struct JobRecovery {
  std::map<SegmentNumber, SegmentRecovery> segments;
  // Rows by state, final ones and, after finish(), deferred ones; the rest of the list is waiting.
  std::array<int64_t, kStates> states{};
  int64_t attempts = 0;         // entries of a connection
  int64_t maybe_delivered = 0;  // entries, not rows
  int64_t stale = 0;            // the same
  int64_t bytes = 0;            // octets of delivered messages
  int64_t final_twice = 0;      // second final entries of a row
  bool cancelled = false;
  bool finished = false;
  bool paused = false;  // the later of paused and resumed

  const SegmentRecovery* segment(SegmentNumber number) const;  // null: nothing is known of it

 private:
  friend class Recovery;
  WallTime paused_or_resumed_at_{};
};

class Recovery {
 public:
  // Entries of other jobs are skipped.
  explicit Recovery(const std::vector<std::string>& live_jobs);

  Status add(const JournalEntry& entry);
  // After the last entry, once.
  void finish();

  const JobRecovery* job(std::string_view job_id) const;  // null when it is not a live one

 private:
  void add_job_event(JobRecovery& job, const JournalEntry& entry);

  std::map<std::string, JobRecovery, std::less<>> jobs_;
};

}  // namespace sluice
