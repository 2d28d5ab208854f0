// The queue of one lane of a site: which rows go next.
//
// First attempts wait as cursors (a block of rows of one domain in a segment), later ones as due
// rows. Both belong to a job. What next() gives:
//   1. the jobs of the highest priority (0 first) that have anything to send now;
//   2. among them, due rows before first attempts, but no more due rows than rows were handed out
//      as first attempts since, when both wait: neither starves the other;
//   3. among jobs of equal priority, round-robin: the one that was served longest ago;
//   4. within a job, first attempts in the order in which they came, due rows by due time.
// A lower priority waits for as long as a higher one has anything to send now.
//
// Thread: one shard's. Ownership: plain values; holds no segment, only numbers that name them: the
// owner keeps a segment until its rows are final. Errors: none.
// Limits: the owner counts cursors and due rows against Limits::cursors_per_shard and
// due_rows_per_shard. About 40 bytes and 96 a job, 16 a cursor and 16 a due row.
// BUGS: next() looks at every job of the site: fine for tens, slow for tens of thousands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/row.h"
#include "engine/schedule/due_queue.h"

namespace sluice {

// A block of rows of one domain in a segment: first attempts.
struct Cursor {
  uint32_t segment_ref = 0;  // the segment's number within this process
  uint32_t block = 0;
  JobIndex job = 0;
  uint32_t rows = 0;  // of the block; > 0
  friend bool operator==(const Cursor&, const Cursor&) = default;
};

// What to send next: a due row when `is_due`, else all rows of a cursor.
struct Pick {
  bool is_due = false;
  JobIndex job = 0;
  Cursor cursor;
  DueRow due;
};

class SiteQueue {
 public:
  // Takes out what goes next; nothing when all of it waits for its time or is paused.
  std::optional<Pick> next(const TickClock& clock, Instant now);

  // A job keeps the priority it was first added with while it has anything here.
  void add(const Cursor& cursor, uint8_t priority);
  // A row for its next attempt; also one that was taken but not attempted (attempts 0, due now).
  void add_due(const DueRow& row, JobIndex job, uint8_t priority);

  // When next() may have something: Instant::min() when it has now, kForever when never by itself.
  Instant next_wake(const TickClock& clock, Instant now) const;
  // Rows that next() would give now, counted no further than about `most`.
  uint32_t rows_ready(const TickClock& clock, Instant now, uint32_t most) const;

  // Nothing waits here, also nothing paused.
  bool empty() const { return cursors_ == 0 && due_rows_ == 0; }
  // Rows that wait, paused ones too.
  uint64_t size() const { return cursor_rows_ + due_rows_; }
  uint32_t cursor_count() const { return cursors_; }
  uint32_t due_count() const { return due_rows_; }

  // Takes everything of a job out and hands it to the callbacks (for a cancelled job, or to move
  // it to another lane). Forgets that the job was paused.
  void remove_job(JobIndex job, const std::function<void(const Cursor&)>& on_cursor,
                  const std::function<void(const DueRow&)>& on_due);
  // A paused job keeps what it has and may be added to; next() passes it by. The pause is known
  // here until resume_job() or remove_job(), also while the job has nothing here.
  void pause_job(JobIndex job);
  void resume_job(JobIndex job);

  size_t memory_bytes() const;

 private:
  struct JobQueue {
    JobIndex job = 0;
    uint8_t priority = 0;
    bool paused = false;
    uint32_t first = 0;           // cursors before this one are used up
    uint64_t served = 0;          // the turn in which next() last took from it
    std::vector<Cursor> cursors;  // oldest first
    DueQueue due;
    bool has_cursor() const { return first < cursors.size(); }
    bool has_due(uint32_t tick) const {
      const auto next = due.next_due();
      return next && *next <= tick;
    }
    bool idle() const { return !has_cursor() && due.empty(); }
  };

  JobQueue* find(JobIndex job);
  JobQueue& find_or_make(JobIndex job, uint8_t priority);
  Pick take_cursor(JobQueue& queue);
  Pick take_due(JobQueue& queue, uint32_t tick);
  void forget_if_idle(JobIndex job);

  std::vector<JobQueue> jobs_;
  uint64_t turn_ = 0;
  uint64_t cursor_rows_ = 0;
  uint32_t cursors_ = 0;
  uint32_t due_rows_ = 0;
  uint32_t due_credit_ = 1;  // due rows that may still go before a waiting first attempt
};

}  // namespace sluice
