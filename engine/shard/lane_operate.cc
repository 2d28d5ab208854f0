// The part of a lane that does what the operator says of a job.
#include <utility>

#include "engine/shard/lane.h"
#include "engine/shard/shard.h"

namespace sluice {

void Lane::set_aside(JobIndex job) {
  queue_.pause_job(job);
  ahead_.set_aside(job);
}

void Lane::bring_back(JobIndex job) {
  const Job* known = shard_.find_job(job);
  if (known != nullptr && known->paused) return;
  queue_.resume_job(job);
  ahead_.resume(job);
}

uint64_t Lane::rows_ready_of(JobIndex job, uint32_t most) const {
  return ahead_.rows_of(job) + queue_.rows_ready_of(job, shard_.peers().clock, now(), most);
}

bool Lane::has_mail_of(JobIndex job) const {
  const Job* known = shard_.find_job(job);
  return known != nullptr && !known->paused && rows_ready_of(job, 1) > 0;
}

void Lane::pause_job(JobIndex job) {
  set_aside(job);
  nudge();
}

void Lane::resume_job(JobIndex job) {
  // Who waits for the job's rate is brought back by its turn.
  if (!limits_.is_waiting(job)) bring_back(job);
  nudge();
}

void Lane::forget_job(JobIndex job) {
  limits_.forget(job);
  queue_.resume_job(job);
  ahead_.resume(job);
}

void Lane::cancel_job(JobIndex job) {
  const auto on_cursor = [this](const Cursor& cursor) {
    OpenSegment& segment = *shard_.find_segment(cursor.segment_ref);
    shard_.peers().cursors[shard_.number()].value.fetch_sub(1);
    const bool deferred = segment.is_deferred(cursor.block);
    shard_.cancel_rows(segment, deferred ? State::kDeferred : State::kWaiting, cursor.rows);
  };
  queue_.remove_job(job, on_cursor, [this](const DueRow& row) { cancel_due(row); });
  ahead_.cancel(job, [this](OpenSegment& segment, State state, uint64_t rows) {
    shard_.cancel_rows(segment, state, static_cast<int64_t>(rows));
  });
  limits_.forget(job);
  nudge();
}

void Lane::cancel_due(const DueRow& row) {
  const State state = row.first_at == 0 ? State::kWaiting : State::kDeferred;
  shard_.cancel_rows(*shard_.find_segment(row.segment_ref), state, 1);
}

}  // namespace sluice
