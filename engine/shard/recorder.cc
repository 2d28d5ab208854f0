#include "engine/shard/recorder.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/schedule/retry.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {

bool Recorder::full() const { return shard_.journal().full(); }

void Recorder::take(const OpenSegment& segment, WallTime first_at) {
  segment.segment->job->progress.move(shard_.number(), resting_state(first_at), State::kInFlight);
}

void Recorder::record(const Judged& judged, Verdict verdict, Attempt attempt) {
  if (verdict.state == State::kWaiting) {
    give_back(judged);
    return;
  }
  Job& job = *judged.segment->segment->job;
  attempt.number = judged.attempts;
  attempt.at = shard_.wall_now();
  if (judged.first_at != WallTime{}) attempt.first_at = judged.first_at;
  if (attempt.first_at == WallTime{}) attempt.first_at = attempt.at;
  if (verdict.state == State::kDeferred && job.cancelled) verdict.state = State::kCancelled;
  if (verdict.state == State::kDeferred && !decide_retry(judged, verdict, attempt)) {
    verdict.state = State::kExpired;
  }
  const State from = judged.in_flight ? State::kInFlight : resting_state(judged.first_at);
  const RowId row{job.index, judged.segment->segment->number, judged.number};
  const uint64_t before = shard_.journal().stats().uncommitted;
  shard_.journal().append(row, verdict, attempt);
  // After a failure the journal drops what it is given: nothing is believed any more.
  if (shard_.journal().stats().uncommitted == before) return;
  pending_.push_back({judged.segment, judged.lane, from, judged.number, judged.taken_at});
  if (judged.lane != nullptr) judged.lane->expect_record();
  if (full()) was_full_ = true;
}

// False when the row has expired: the text says so in front of the last reply.
bool Recorder::decide_retry(const Judged& judged, Verdict& verdict, Attempt& attempt) {
  const Job& job = *judged.segment->segment->job;
  if (judged.lane == nullptr) {
    attempt.next_at = attempt.at + shard_.retry().retry_interval;
    return true;
  }
  const RetryDecision decision =
      next_attempt(std::max(judged.attempts, 1U), attempt.first_at, attempt.at,
                   job.spec.send.lifetime, shard_.retry(), shard_.io().random());
  if (defect(Defect::kIgnoreLifetime) && decision.expired()) {
    attempt.next_at = attempt.at + shard_.retry().retry_interval;
    return true;
  }
  if (decision.expired()) {
    verdict.reply.text = "lifetime ended; last reply: " + verdict.reply.text;
    return false;
  }
  attempt.next_at = *decision.due;
  return true;
}

void Recorder::give_back(const Judged& judged) {
  Job& job = *judged.segment->segment->job;
  CHECK(judged.in_flight && judged.lane != nullptr && judged.attempts > 0);
  job.progress.move(shard_.number(), State::kInFlight, resting_state(judged.first_at));
  const TickClock& clock = shard_.peers().clock;
  judged.lane->add_due(DueRow::make(judged.segment->segment->ref, judged.number,
                                    judged.attempts - 1, clock.tick_at(shard_.now()),
                                    static_cast<uint32_t>(unix_seconds(judged.first_at))),
                       job.index, job.spec.send.priority);
}

void Recorder::append_unsynced(JobIndex job, std::vector<RowPlace>& out) const {
  for (const Pending& pending : pending_) {
    if (pending.from != State::kInFlight) continue;
    const PublishedSegment& segment = *pending.segment->segment;
    if (segment.job->index == job) out.push_back({segment.number, pending.row});
  }
}

void Recorder::on_stalled(const Status& status) { log(LogLevel::kError, message_of(status)); }

void Recorder::on_resumed() {
  log(LogLevel::kWarning, "there is room on the disk again: sending goes on");
  shard_.nudge_lanes();
}

void Recorder::on_committed(std::span<const CommittedVerdict> verdicts) {
  const TickClock& clock = shard_.peers().clock;
  const WallTime wall_now = shard_.wall_now();
  for (const CommittedVerdict& verdict : verdicts) {
    CHECK(!pending_.empty());
    const Pending pending = pending_.front();
    pending_.pop_front();
    Job& job = *pending.segment->segment->job;
    job.progress.move(shard_.number(), pending.from, verdict.state);
    if (defect(Defect::kCountTwice)) job.progress.add(shard_.number(), verdict.state, 1);
    if (pending.from == State::kInFlight) latency_.add(shard_.now() - pending.taken_at);
    if (verdict.attempted) job.progress.count_attempt(shard_.number());
    if (verdict.maybe_delivered) job.progress.count_maybe_delivered(shard_.number());
    if (verdict.dns_stale) job.progress.count_stale(shard_.number());
    if (verdict.state == State::kDelivered) {
      job.progress.count_bytes(shard_.number(), static_cast<int64_t>(verdict.size));
    }
    if (pending.lane != nullptr) pending.lane->on_recorded();
    if (is_final(verdict.state)) {
      shard_.row_done(*pending.segment);
    } else if (pending.lane == nullptr) {
      shard_.release(*pending.segment);
    } else {
      Instant due = shard_.now() + (verdict.next_at - wall_now);
      if (defect(Defect::kIgnoreDueTime)) due = shard_.now();
      const uint32_t attempts = defect(Defect::kForgetAttempts) ? 0 : verdict.attempts;
      pending.lane->add_due(
          DueRow::make(pending.segment->segment->ref, verdict.row.row, attempts,
                       clock.tick_for(due), static_cast<uint32_t>(unix_seconds(verdict.first_at))),
          job.index, job.spec.send.priority);
    }
  }
  if (std::exchange(was_full_, full())) shard_.nudge_lanes();
}

void Recorder::on_job_event_committed(JobIndex job, JobEvent event) {
  if (shard_.peers().intake != nullptr) shard_.peers().intake->apply(job, event);
}

void Recorder::on_failed(const Status& status) {
  log(LogLevel::kError, "the journal cannot be written, sending stops: " + message_of(status) +
                            "; mend the disk and start again: what was not recorded is sent again");
  shard_.halt();
}

}  // namespace sluice
