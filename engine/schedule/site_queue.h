// The queue of one lane of a site: which rows go next.
//
// PURPOSE. First attempts wait as cursors (a block of rows of one domain in a segment), later ones
// as due rows. Both belong to a job. What next() gives:
//   1. the jobs of the highest priority (0 first) that have anything to send now;
//   2. among them the one that was given the fewest rows: each is given as many as any other that
//      has some, to a block; who comes, or comes back, stands behind those that wait already, and
//      has no claim on what it missed;
//   3. within a job due rows before first attempts, but no more due rows than rows were handed out
//      as first attempts since, when both wait: neither starves the other;
//   4. its due rows by due time, its first attempts one block a domain in turn, the blocks of a
//      domain in the order in which they came.
// A lower priority waits for as long as a higher one has anything to send now.
// OWNERSHIP. Plain values; holds no segment, only numbers that name them: the owner keeps a segment
// until its rows are final.
// THREAD. One shard's.
// ERRORS. None.
// LIMITS. The owner counts cursors and due rows against Limits::cursors_per_shard and
// due_rows_per_shard. With j jobs here, of which next() passes r by because they may not be served:
// next() is O(r + log j), add(), add_due(), pause_job() and resume_job() are O(log j), what else is
// not O(1) says so; nothing depends on the number of domains and cursors. 64 octets without mail
// and about 550 with a cursor of one job; 16 more a cursor, at most 40 a domain with cursors, 16 a
// due row, about 200 a job.
// BUGS. Fairness among domains is by blocks, not rows: a domain whose rows came in many small
// blocks is slower than one of few large ones.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/row.h"
#include "engine/schedule/domain_rings.h"
#include "engine/schedule/due_queue.h"
#include "engine/schedule/slot_pool.h"

namespace sluice {

// What to send next: a due row when `is_due`, else all rows of a cursor.
struct Pick {
  bool is_due = false;
  JobIndex job = 0;
  Cursor cursor;
  DueRow due;
};

class SiteQueue {
 public:
  using MayServe = std::function<bool(JobIndex)>;

  // Takes out what goes next; nothing when all of it waits for its time or is paused. A `now`
  // before that of an earlier call counts as that.
  std::optional<Pick> next(const TickClock& clock, Instant now) { return next(clock, now, {}); }
  // The same among the jobs for which may(job) is true; asked once a job that is looked at, and not
  // to change this queue.
  std::optional<Pick> next(const TickClock& clock, Instant now, const MayServe& may);

  // `domain`: a hash of its name; domains of a job take turns by it. A job keeps the priority it
  // was first added with while it has anything here.
  void add(const Cursor& cursor, uint8_t priority, uint64_t domain);
  void add(const Cursor& cursor, uint8_t priority) { add(cursor, priority, 0); }
  // A row for its next attempt; also one that was taken but not attempted (attempts 0, due now).
  void add_due(const DueRow& row, JobIndex job, uint8_t priority);

  // Takes cursors for another shard, in the order of next(), and appends them: whole blocks of at
  // most `rows_max` rows in all, or a single one that has more. None of paused jobs. Their rows
  // count as served here. Gives the number of rows. O(log jobs) a cursor, and once the jobs that
  // have due rows only.
  uint64_t take_cursors(uint64_t rows_max, std::vector<Cursor>& out);

  // When next() may have something: Instant::min() when it has now, kForever when never by itself.
  Instant next_wake(const TickClock& clock, Instant now) const;
  // Rows that next() would give now, counted no further than about `most`: O(most) when rows are
  // due, O(1) when first attempts alone are enough.
  uint32_t rows_ready(const TickClock& clock, Instant now, uint32_t most) const;

  // Nothing waits here, also nothing paused.
  bool empty() const { return cursors_ == 0 && due_rows_ == 0; }
  // Rows that wait, paused ones too.
  uint64_t size() const { return cursor_rows_ + due_rows_; }
  uint64_t rows_of(JobIndex job) const;
  // Of these, first attempts and rows that are due, paused or not, counted no further than about
  // `most`.
  uint64_t rows_ready_of(JobIndex job, const TickClock& clock, Instant now, uint32_t most) const;
  // The domain whose turn it is in a job's first attempts; nothing when it has none.
  std::optional<uint64_t> next_domain(JobIndex job) const;
  // First attempts that next() would give now.
  uint64_t first_attempts_ready() const { return cursor_rows_ - paused_cursor_rows_; }
  // For status: what each job has here. O(jobs).
  struct JobRows {
    JobIndex job = 0;
    uint64_t first_attempts = 0;
    uint32_t due = 0;      // rows that come up, or came up already,
    Instant first_due{};   // the first of them
    Instant latest_due{};  // and the last
  };
  std::vector<JobRows> jobs(const TickClock& clock) const;
  void visit_jobs(const TickClock& clock, const std::function<void(const JobRows&)>& visit) const;
  // The same from what is at hand when one job has all: first_due is latest_due then.
  void visit_job_sums(const TickClock& clock,
                      const std::function<void(const JobRows&)>& visit) const;
  // Fetches what size() and visit_job_sums() look at.
  void fetch_counts() const {
    __builtin_prefetch(&waiting_);
    __builtin_prefetch(&latest_tick_);
  }
  uint32_t cursor_count() const { return cursors_; }
  uint32_t due_count() const { return due_rows_; }
  // When the last due row of a job comes up; Instant::min() when it has none here.
  Instant latest_due(const TickClock& clock, JobIndex job) const;
  // No due row here comes up later; Instant::min() when there is none. Later than any of them when
  // a job was removed since there was none.
  Instant latest_due(const TickClock& clock) const;

  // Takes everything of a job out and hands it to the callbacks (for a cancelled job, or to move
  // it to another lane). Forgets that the job was paused. O(what it has).
  void remove_job(JobIndex job, const std::function<void(const Cursor&)>& on_cursor,
                  const std::function<void(const DueRow&)>& on_due);
  // A paused job keeps what it has and may be added to; next() passes it by. The pause is known
  // here until resume_job() or remove_job(), also while the job has nothing here.
  void pause_job(JobIndex job);
  void resume_job(JobIndex job);

  size_t memory_bytes() const;

 private:
  // A job's place in the order: first those with something to send now, by priority, rows given and
  // the turn in which they were served last; then those that wait for a due row, by its tick.
  struct Place {
    uint64_t major = 0;
    uint64_t minor = 0;
    uint32_t slot = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  static constexpr uint64_t kSleeping = 1ULL << 63;
  static constexpr int kPriorityShift = 55;  // below: rows

  struct JobQueue {
    JobIndex job = 0;
    uint32_t next = kNoSlot;
    uint8_t priority = 0;
    bool paused = false;
    bool placed = false;       // `place` is in Waiting::order
    uint32_t ring = kNoSlot;   // its domains with cursors
    uint32_t due_credit = 1;   // due rows that may still go before a waiting first attempt
    uint32_t latest_tick = 0;  // of the due rows
    uint64_t cursor_rows = 0;
    uint64_t given = 0;  // rows, on the scale of given_least_
    uint64_t turn = 0;   // in which it was served last, or came
    Place place;
    DueQueue due;
    bool idle() const { return ring == kNoSlot && due.empty(); }
  };

  static bool is_sleeping(const Place& place) { return place.major >= kSleeping; }
  static uint32_t tick_of(const Place& place) { return static_cast<uint32_t>(place.major); }
  // What there is while any job is known here: a lane without mail costs little.
  struct Waiting {
    SlotPool<JobQueue, 1> jobs;
    SlotIndex index;
    DomainRings rings;
    std::set<Place> order;
    // Where the sleeping begin.
    std::set<Place>::const_iterator sleepers() const {
      return order.lower_bound({kSleeping, 0, 0});
    }
  };

  uint32_t find(JobIndex job) const;
  uint32_t find_or_make(JobIndex job, uint8_t priority);
  // Puts the job where it belongs after a change, and forgets it when nothing of it is left.
  void settle(uint32_t slot);
  void unplace(JobQueue& queue);
  void forget(uint32_t slot);
  void count_served(JobQueue& queue, uint32_t rows);
  Cursor take_cursor(JobQueue& queue);
  Pick take(uint32_t slot);

  std::unique_ptr<Waiting> waiting_;
  std::optional<JobIndex> only_job_;  // that is known here; none: several, or it was not the first
  uint64_t turn_ = 0;
  // Rows given, as start-time fair queueing counts them: where the job that was served last stood
  // before, and the most that any stood at after.
  uint64_t given_least_ = 0;
  uint64_t given_most_ = 0;
  uint64_t cursor_rows_ = 0;
  uint64_t paused_cursor_rows_ = 0;
  uint32_t cursors_ = 0;
  uint32_t due_rows_ = 0;
  uint32_t tick_ = 0;         // of the latest next()
  uint32_t latest_tick_ = 0;  // of any due row since there was none
};

}  // namespace sluice
