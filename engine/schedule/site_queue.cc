#include "engine/schedule/site_queue.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace sluice {

SiteQueue::JobQueue* SiteQueue::find(JobIndex job) {
  const auto at = std::find_if(jobs_.begin(), jobs_.end(),
                               [job](const JobQueue& queue) { return queue.job == job; });
  return at == jobs_.end() ? nullptr : &*at;
}

SiteQueue::JobQueue& SiteQueue::find_or_make(JobIndex job, uint8_t priority) {
  if (JobQueue* queue = find(job)) {
    if (queue->idle()) queue->priority = priority;
    return *queue;
  }
  JobQueue& queue = jobs_.emplace_back();
  queue.job = job;
  queue.priority = priority;
  queue.served = turn_;  // behind those that wait already: coming and going wins no turn
  return queue;
}

void SiteQueue::add(const Cursor& cursor, uint8_t priority) {
  CHECK(cursor.rows > 0);
  find_or_make(cursor.job, priority).cursors.push_back(cursor);
  ++cursors_;
  cursor_rows_ += cursor.rows;
}

void SiteQueue::add_due(const DueRow& row, JobIndex job, uint8_t priority) {
  find_or_make(job, priority).due.push(row);
  ++due_rows_;
}

std::optional<Pick> SiteQueue::next(const TickClock& clock, Instant now) {
  const uint32_t tick = clock.tick_at(now);
  int best = UINT8_MAX + 1;
  JobQueue* with_due = nullptr;
  JobQueue* with_cursor = nullptr;
  for (JobQueue& queue : jobs_) {
    if (queue.paused || queue.priority > best) continue;
    const bool has_due = queue.has_due(tick);
    const bool has_cursor = queue.has_cursor();
    if (!has_due && !has_cursor) continue;
    if (queue.priority < best) {
      best = queue.priority;
      with_due = nullptr;
      with_cursor = nullptr;
    }
    if (has_due && (with_due == nullptr || queue.served < with_due->served)) with_due = &queue;
    if (has_cursor && (with_cursor == nullptr || queue.served < with_cursor->served)) {
      with_cursor = &queue;
    }
  }
  if (with_due == nullptr && with_cursor == nullptr) return std::nullopt;
  const bool due_goes = with_due != nullptr && (with_cursor == nullptr || due_credit_ > 0);
  Pick pick = due_goes ? take_due(*with_due, tick) : take_cursor(*with_cursor);
  if (due_goes && with_cursor != nullptr) --due_credit_;
  if (!due_goes) due_credit_ = pick.cursor.rows;
  forget_if_idle(pick.job);
  return pick;
}

Pick SiteQueue::take_cursor(JobQueue& queue) {
  Pick pick;
  pick.job = queue.job;
  pick.cursor = queue.cursors[queue.first++];
  queue.served = ++turn_;
  // Used cursors leave when they are half of the vector: O(1) each on average.
  if (queue.first * size_t{2} >= queue.cursors.size()) {
    queue.cursors.erase(queue.cursors.begin(),
                        queue.cursors.begin() + static_cast<std::ptrdiff_t>(queue.first));
    queue.first = 0;
    if (queue.cursors.capacity() > 8 && queue.cursors.size() < queue.cursors.capacity() / 4) {
      queue.cursors.shrink_to_fit();
    }
  }
  --cursors_;
  cursor_rows_ -= pick.cursor.rows;
  return pick;
}

Pick SiteQueue::take_due(JobQueue& queue, uint32_t tick) {
  Pick pick;
  pick.is_due = true;
  pick.job = queue.job;
  pick.due = *queue.due.pop_due(tick);
  queue.served = ++turn_;
  --due_rows_;
  return pick;
}

void SiteQueue::forget_if_idle(JobIndex job) {
  const JobQueue* queue = find(job);
  if (queue == nullptr || !queue->idle() || queue->paused) return;
  jobs_.erase(jobs_.begin() + (queue - jobs_.data()));
  if (jobs_.empty() && jobs_.capacity() > 1) jobs_.shrink_to_fit();
}

Instant SiteQueue::next_wake(const TickClock& clock, Instant now) const {
  const uint32_t tick = clock.tick_at(now);
  uint64_t earliest = UINT64_MAX;
  for (const JobQueue& queue : jobs_) {
    if (queue.paused) continue;
    if (queue.has_cursor() || queue.has_due(tick)) return Instant::min();
    if (const auto due = queue.due.next_due()) earliest = std::min<uint64_t>(earliest, *due);
  }
  return earliest == UINT64_MAX ? kForever : clock.instant_of(static_cast<uint32_t>(earliest));
}

uint32_t SiteQueue::rows_ready(const TickClock& clock, Instant now, uint32_t most) const {
  const uint32_t tick = clock.tick_at(now);
  uint64_t rows = 0;
  for (const JobQueue& queue : jobs_) {
    if (queue.paused) continue;
    for (size_t i = queue.first; i < queue.cursors.size() && rows < most; ++i) {
      rows += queue.cursors[i].rows;
    }
    if (rows < most) rows += queue.due.count_due(tick, most - static_cast<uint32_t>(rows));
    if (rows >= most) return most;
  }
  return static_cast<uint32_t>(rows);
}

void SiteQueue::remove_job(JobIndex job, const std::function<void(const Cursor&)>& on_cursor,
                           const std::function<void(const DueRow&)>& on_due) {
  JobQueue* queue = find(job);
  if (queue == nullptr) return;
  // Out of the vector first: a callback may add to this queue.
  JobQueue gone = std::move(*queue);
  jobs_.erase(jobs_.begin() + (queue - jobs_.data()));
  for (size_t i = gone.first; i < gone.cursors.size(); ++i) cursor_rows_ -= gone.cursors[i].rows;
  cursors_ -= static_cast<uint32_t>(gone.cursors.size() - gone.first);
  due_rows_ -= gone.due.size();
  for (size_t i = gone.first; i < gone.cursors.size(); ++i) on_cursor(gone.cursors[i]);
  while (const auto row = gone.due.pop_due(UINT32_MAX)) on_due(*row);
}

void SiteQueue::pause_job(JobIndex job) { find_or_make(job, 0).paused = true; }

void SiteQueue::resume_job(JobIndex job) {
  if (JobQueue* queue = find(job)) {
    queue->paused = false;
    forget_if_idle(job);
  }
}

size_t SiteQueue::memory_bytes() const {
  size_t bytes = sizeof *this + jobs_.capacity() * sizeof(JobQueue);
  for (const JobQueue& queue : jobs_) {
    bytes += queue.cursors.capacity() * sizeof(Cursor) + queue.due.memory_bytes();
  }
  return bytes;
}

}  // namespace sluice
