// A finished job's outcomes, condensed into one file: done/JOB/outcomes.
//
// PURPOSE. When a job's last row is final, what the journal says of each of its rows is joined with
//   the address and put into one file, in the order of the list (engine/record/outcome_file.h).
//   From then on reports read that file, and no journal file is kept for the job.
// HOW IT STAYS SMALL. The journal is in the order of time, the file in that of the list. So a range
//   of segments is gathered at a time, as many as have a sixteenth of the job's rows, between
//   kRowsMin and kRowsMax: a pass over the journal files that have something of the job, then its
//   segments one by one. Passes after the first skip files that have nothing of their segments. A
//   range whose texts would not fit is halved.
// HOW IT STAYS OUT OF THE WAY. Slices of kSlice rows, all else runs between them. One job of many
//   rows is condensed at a time, and one of few beside it.
// CRASH. Written under another name, synced as it grows, renamed: a start that finds the job still
//   in active/ begins again.
// OWNERSHIP. What the constructors are given outlives them. THREAD. Shard 0's.
// ERRORS. ResourceExhausted: no room on the disk, try again; Aborted: stopped; else the segments or
//   the journal cannot be read.
// LIMITS. 32 octets a row of a range and 64 MiB of texts; one segment's addresses; 4 MiB of output.
// BUGS. A pass walks over the entries of other jobs too.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/record/outcome_file.h"
#include "engine/record/outcomes.h"
#include "engine/record/parser.h"
#include "engine/ring/crowd.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"
#include "engine/shard/condense_journal.h"
#include "engine/shard/condense_rows.h"
#include "engine/shard/file_tasks.h"
#include "engine/spool/job_directory.h"

namespace sluice {

struct CondenseJob {
  std::string id;
  std::string directory;  // where it lies
  uint64_t rows = 0;      // about
  uint64_t reserve = 0;   // octets of the file system that are left free
};

struct CondenseLimits {
  uint64_t rows_min = 1U << 20;  // of a range
  uint64_t rows_max = 4U << 20;
  size_t text_bytes_max = 64UL << 20;
  size_t write_bytes = 4UL << 20;
};

// One job's; used once.
class Condenser {
 public:
  Condenser(Loop& loop, const SpoolPaths& spool, JournalJobs& jobs, std::function<bool()> stopped,
            CondenseLimits limits, CondenseJob job);
  Condenser(const Condenser&) = delete;
  Condenser& operator=(const Condenser&) = delete;

  // OK also when the file is there already.
  Task<Status> run();

  struct Stats {
    uint32_t passes = 0;  // over the journal
    uint64_t rows = 0;
    uint64_t bytes = 0;  // of the file
  };
  const Stats& stats() const { return stats_; }

 private:
  Status check_room() const;
  Task<Status> write_all();
  Task<Status> choose_range();
  Task<Status> gather_range();
  Task<Status> gather();
  Task<Status> read_journal_file(JournalPlace place, bool grows);
  Task<Status> take_entries();
  Task<Status> write_segment(SegmentNumber number);
  Task<Status> flush();

  Loop& loop_;
  const SpoolPaths& spool_;
  JournalJobs& jobs_;
  const std::function<bool()> stopped_;
  const CondenseLimits limits_;
  const CondenseJob job_;
  const JobPaths paths_;
  const std::string temporary_;
  FileTasks files_;
  OutcomeWriter writer_;
  OutcomeTotals totals_;
  Stats stats_;

  std::vector<SegmentNumber> segments_;  // all of the job
  size_t first_ = 0;                     // the range: segments_[first_] to segments_[end_ - 1]
  size_t end_ = 0;
  std::vector<uint32_t> range_rows_;  // of each segment of it
  std::unique_ptr<Outcomes> outcomes_;
  std::unique_ptr<JournalParser> parser_;
  std::map<JournalPlace, JournalParser::Span> spans_;
  bool cancelled_ = false;
  SegmentRowsInOrder rows_;
};

// Whose turn it is, and what is known of the journal files.
class Condensing {
 public:
  // Jobs of at most so many rows do not wait for larger ones.
  static constexpr uint64_t kFewRows = 100'000;

  Condensing(Loop& loop, const SpoolPaths& spool, std::function<bool()> stopped)
      : loop_(loop), spool_(spool), stopped_(std::move(stopped)), turn_(loop) {}

  Task<Status> condense(CondenseJob job);
  JournalJobs& journal_jobs() { return jobs_; }

 private:
  Loop& loop_;
  const SpoolPaths& spool_;
  const std::function<bool()> stopped_;
  JournalJobs jobs_;
  Crowd turn_;
  bool many_rows_ = false;  // a job with many is being condensed
  bool few_rows_ = false;
};

}  // namespace sluice
