// From a job's list to published segments.
//
// PURPOSE. One coroutine a job: reads records, normalises addresses, drops the suppressed and
// duplicates, refuses what is bad with its line and reason, gathers the rest into segments, makes
// each durable and publishes it. Sending begins with the first segment.
// THREAD. Shard 0's. It yields to everything else that is ready after every few hundred rows.
// LIMITS. One segment in memory (Limits::segment_*) and the addresses known for deduplication.
// A DISK that fills up: no segment is begun while it would leave less than [spool] reserve free.
// ERRORS. A list that breaks in the middle: what was taken is sent, the rest is reported. A spool
// that cannot be written: tried again until it can.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/ring/pause.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/hash_files.h"
#include "engine/shard/job.h"
#include "engine/shard/job_dedupe.h"
#include "engine/shard/list_source.h"
#include "engine/spool/job_directory.h"
#include "engine/spool/job_files.h"
#include "engine/spool/segment_writer.h"

namespace sluice {

class Shard;

// Where the list was left at a restart.
struct TakenSoFar {
  SegmentNumber next_segment = 0;
  std::optional<ListPosition> position;  // nothing: from the beginning
  uint64_t rejected_bytes = 0;           // of rejected.csv that belong to published segments
};

class ListTaker {
 public:
  // Gives a segment to whoever sends it. False: stop taking (the engine drains).
  class Publisher {
   public:
    virtual ~Publisher() = default;
    virtual Task<bool> publish(SegmentPtr segment, IndexPtr index) = 0;
    virtual uint32_t next_segment_ref() = 0;
  };

  ListTaker(Shard& shard, JobPtr job, Publisher& publisher);
  ListTaker(const ListTaker&) = delete;
  ListTaker& operator=(const ListTaker&) = delete;

  // Takes the list to its end, or until the shard drains. OK also when draining cut it short: then
  // finished() is false and a restart goes on. Other errors: the list could not be read further.
  Task<Status> run(TakenSoFar so_far);
  bool finished() const { return finished_; }
  // The share of the list's octets that was read, 0 to 1.
  double list_read() const { return finished_ ? 1 : list_.read_share(); }
  // Adds the addresses of a published segment to what deduplication knows (at a restart).
  void remember(std::string_view address) {
    if (dedupe_) dedupe_->remember(address);
  }
  // After each segment that was remembered so.
  Task<> make_room();

 private:
  bool segment_is_due() const;
  // What is known of an address: memory is asked, and where it is not sure the disk.
  enum class Known : uint8_t { kNothing, kClear, kSuppressed, kDuplicate };
  // False when the disk must be asked first.
  bool take_record(const ListRecord& record, Known known);
  Task<Known> look_up(const ListRecord& record);
  Task<Known> look_for_duplicate(std::string_view address);
  void refuse(const ListRecord& record, std::string_view address, std::string_view reason);
  Task<Status> take_all();
  Task<Status> flush();
  Task<Status> write_rejected();
  Task<> wait_to_write_again(Status why);
  Task<bool> wait_for_room(uint64_t bytes);
  void count_rows(const SegmentIndex& index);

  Shard& shard_;
  const JobPtr job_;
  Publisher& publisher_;
  const JobPaths paths_;
  FileTasks files_;
  Pause pause_;
  HashRunFiles runs_;
  ListSource list_;
  std::optional<JobDedupe> dedupe_;
  std::optional<SegmentBuilder> builder_;
  SegmentMeta meta_;
  std::string scratch_;
  std::string rejected_;  // lines that belong to the segment being gathered
  uint64_t rejected_bytes_ = 0;
  Instant segment_began_{};
  std::string octets_;
  bool finished_ = false;
  bool spool_failed_ = false;  // a drain came while the spool could not be written, or asked
};

}  // namespace sluice
