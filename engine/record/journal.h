// The journal of one shard: verdicts become durable here, many with one fdatasync.
//
// append() encodes a verdict into memory; the writer coroutine run() puts what was gathered into
// one frame, writes it, syncs it, and only then tells the listener: now it is believed. A commit
// starts commit_interval after its first append, or as soon as 256 KiB are gathered, or at close();
// while it is on its way to the disk the next one gathers. Under load, when the commit before had
// 64 records, it waits for 512 of them, up to four intervals: a sync costs as much for one as for
// many. An idle journal writes nothing.
//
// Files: directory/SSS-NNNNNNNN.jnl (format.h, FORMAT.md). open() begins a new one, never touching
//   those present; at file_bytes_max the next is begun: created, header synced, directory synced,
//   before the first frame goes there.
// Ownership: loop and listener outlive the journal. run() is started once, in a gate of the owner,
//   after open(); close() ends it and must be awaited before the journal is destroyed.
// Thread: the shard's. The listener is called from the writer coroutine; it may call append().
// Errors: a full disk is waited for: the same octets are written again once a second, full() stays
//   true meanwhile. Any other failed create, write or sync is final, for the data may be gone, and
//   so is a full disk at open() and close(). on_failed() is called once; what was not committed
//   stays so for ever, full() stays true, append() drops, run() ends.
// Limits: full() turns true at uncommitted_max, or when 32 MiB wait for the disk; appends of what
// is
//   already in flight are taken beyond it. A verdict holds about 100 octets of memory until it is
//   committed, at most 8 KiB.
// BUGS: a failing disk is noticed when a commit fails, not before. Commits go one after the other,
//   at most 256 KiB and one record each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/model/outcome.h"
#include "engine/model/row.h"
#include "engine/model/state.h"
#include "engine/record/encoder.h"
#include "engine/record/entry.h"
#include "engine/ring/io.h"
#include "engine/ring/loop.h"
#include "engine/ring/signal.h"
#include "engine/ring/task.h"
#include "engine/ring/timer.h"

namespace sluice {

struct JournalOptions {
  std::string directory;  // made when missing; its parent exists
  uint32_t shard = 0;
  Duration commit_interval = std::chrono::milliseconds(5);
  size_t file_bytes_max = 64UL << 20;
  uint32_t uncommitted_max = 1U << 16;
};

// What is believed once durable.
struct CommittedVerdict {
  RowId row;
  State state = State::kWaiting;
  uint32_t attempts = 0;
  WallTime first_at{};
  WallTime next_at{};
  uint64_t size = 0;
  bool maybe_delivered = false;
  bool dns_stale = false;
  bool attempted = false;  // on a connection; else decided without one
};

class JournalListener {
 public:
  virtual ~JournalListener() = default;
  // In the order of their append(). The span lives until this returns.
  virtual void on_committed(std::span<const CommittedVerdict> verdicts) = 0;
  // After the verdicts of the same commit.
  virtual void on_job_event_committed(JobIndex job, JobEvent event);
  // The disk is full: full() is true until a commit succeeds. Called once a stall; and when it
  // ends.
  virtual void on_stalled(const Status& status);
  virtual void on_resumed();
  // Nothing that was not committed may be believed, now or later; stop sending and say so.
  virtual void on_failed(const Status& status) = 0;
};

class Journal {
 public:
  static constexpr size_t kSealedOctetsMax = 32UL << 20;

  struct Stats {
    uint64_t commits = 0;
    uint64_t records = 0;  // verdicts and job events committed
    uint64_t bytes = 0;    // written, headers included
    uint64_t files = 0;
    uint64_t dropped = 0;       // appends after a failure or after close()
    Duration longest_commit{};  // from its start to its sync; without waits for room
    uint32_t uncommitted = 0;   // verdicts and job events appended and not yet durable
  };

  Journal(Loop& loop, JournalOptions options, JournalListener& listener);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  // REQUIRES: no commit is on its way (close() has ended, or run() was never started).
  ~Journal();

  // Begins a new file: the number after the highest that this shard has in the directory.
  Task<Status> open();
  // Once for each job, before its first append. REQUIRES: 1 to kNameBytesMax octets.
  void register_job(JobIndex job, std::string job_id);

  // Start no new message. Also after a failure or close().
  bool full() const {
    return failed_ || closing_ || stalled_ || stats_.uncommitted >= uncommitted_max_ ||
           sealed_octets_ >= kSealedOctetsMax;
  }
  bool failed() const { return failed_; }

  // Copies everything. REQUIRES: open() succeeded, the job is registered, the verdict's state is
  // kDeferred or final.
  void append(const RowId& row, const Verdict& verdict, const Attempt& attempt);
  void append_job_event(JobIndex job, JobEvent event, WallTime at);

  // The writer: ends after close() or a failure.
  Task<> run();
  // Commits what is there, ends run(), closes the file. Awaited at most once.
  Task<> close();

  const Stats& stats() const { return stats_; }

  // How far the newest file is durable: whole frames up to `bytes`. Those before it are so whole.
  struct Durable {
    uint32_t file = 0;  // its number; 0 before open()
    uint64_t bytes = 0;
  };
  Durable durable() const { return {durable_file_, file_bytes_}; }
  // Notified after each commit, and when the journal ends or fails. One waiter.
  Signal& committed() { return committed_; }

 private:
  // One frame in the making, or on its way to the disk.
  struct Batch {
    std::string octets;  // room for the frame header, then records
    std::vector<CommittedVerdict> verdicts;
    struct JobNote {
      JobIndex job;
      JobEvent event;
    };
    std::vector<JobNote> job_notes;
    Instant began{};           // first append
    bool starts_file = false;  // encoded against fresh dictionaries: begins the next file
    WallTime created{};        // of that file
    uint32_t records() const { return static_cast<uint32_t>(verdicts.size() + job_notes.size()); }
  };

  bool takes_appends();
  void count_append();
  Instant due() const;
  void seal();
  std::unique_ptr<Batch> fresh_batch();
  void recycle(std::unique_ptr<Batch> batch);
  void announce(const Batch& batch);
  Task<bool> wait_for_room();
  void operation_failed(const char* what, const std::string& path, const IoResult& result);
  void fail();
  void close_files();

  // These return false with status_ set.
  Task<bool> make_directory();
  Task<bool> begin_file(WallTime created);
  Task<bool> commit(Batch* batch);
  // `octets` live in the batch or in file_header_, `path` in the journal.
  Task<bool> write_all(Handle file, std::string_view octets, uint64_t offset);
  Task<bool> sync(Handle handle, const std::string* path);
  Task<> write_batches();

  Loop& loop_;
  const std::string directory_;
  const uint32_t shard_;
  const Duration commit_interval_;
  const size_t file_bytes_max_;
  const uint32_t uncommitted_max_;
  JournalListener& listener_;

  std::vector<std::string> jobs_;  // by JobIndex
  JournalEncoder encoder_;
  std::unique_ptr<Batch> gathering_;
  std::deque<std::unique_ptr<Batch>> sealed_;  // oldest first
  std::vector<std::unique_ptr<Batch>> spare_;
  size_t sealed_octets_ = 0;    // of all sealed batches, the one on its way to the disk included
  uint64_t planned_bytes_ = 0;  // size of the newest file once all sealed batches are written

  Signal wake_;
  Timer deadline_;
  Signal io_done_;
  Operation operation_;
  iovec piece_{};
  Handle file_ = kNoHandle;
  Handle next_file_ = kNoHandle;  // being begun
  Handle directory_handle_ = kNoHandle;
  std::string path_;
  std::string file_header_;
  uint32_t file_number_ = 0;
  uint32_t file_seed_ = 0;
  uint64_t file_bytes_ = 0;
  uint32_t durable_file_ = 0;  // the number of file_, whose header is durable
  Signal committed_;

  Status status_;
  Signal ended_;
  bool running_ = false;
  bool ran_ = false;
  bool closing_ = false;
  bool busy_ = false;  // the last batch was large
  bool failed_ = false;
  bool stalled_ = false;  // waits for room on the disk; status_ says so
  Stats stats_;
};

}  // namespace sluice
