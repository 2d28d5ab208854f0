#include "engine/schedule/site_queue.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

uint64_t hash_of_job(JobIndex job) { return hash_of_pair(job, 0); }

}  // namespace

uint32_t SiteQueue::find(JobIndex job) const {
  if (waiting_ == nullptr) return kNoSlot;
  const auto same = [&](uint32_t slot) { return waiting_->jobs[slot].job == job; };
  return waiting_->index.find(hash_of_job(job), same);
}

uint32_t SiteQueue::find_or_make(JobIndex job, uint8_t priority) {
  const uint32_t known = find(job);
  if (known != kNoSlot) {
    if (waiting_->jobs[known].idle()) waiting_->jobs[known].priority = priority;
    return known;
  }
  if (waiting_ == nullptr) waiting_ = std::make_unique<Waiting>();
  const uint32_t slot = waiting_->jobs.make();
  JobQueue& queue = waiting_->jobs[slot];
  only_job_ = waiting_->jobs.size() == 1 ? std::optional(job) : std::nullopt;
  queue.job = job;
  queue.priority = priority;
  // Behind those that wait already: coming and going wins no turn.
  queue.given = given_most_;
  queue.turn = ++turn_;
  waiting_->index.insert(slot, [this](uint32_t s) { return hash_of_job(waiting_->jobs[s].job); });
  return slot;
}

void SiteQueue::unplace(JobQueue& queue) {
  if (queue.placed) waiting_->order.erase(queue.place);
  queue.placed = false;
}

void SiteQueue::forget(uint32_t slot) {
  waiting_->index.erase(slot, [this](uint32_t s) { return hash_of_job(waiting_->jobs[s].job); });
  waiting_->jobs.erase(slot);
  if (waiting_->jobs.size() == 0) waiting_.reset();
}

void SiteQueue::settle(uint32_t slot) {
  JobQueue& queue = waiting_->jobs[slot];
  const auto due = queue.due.next_due();
  if (queue.paused || (queue.ring == kNoSlot && !due)) {
    unplace(queue);
    if (!queue.paused) forget(slot);
    return;
  }
  Place place{kSleeping, queue.turn, slot};
  if (queue.ring != kNoSlot || *due <= tick_) {
    place.major = (uint64_t{queue.priority} << kPriorityShift) | queue.given;
  } else {
    place.major |= *due;
  }
  if (queue.placed && place == queue.place) return;
  if (queue.placed) {
    auto node = waiting_->order.extract(queue.place);
    node.value() = place;
    waiting_->order.insert(std::move(node));
  } else {
    waiting_->order.insert(place);
  }
  queue.place = place;
  queue.placed = true;
}

void SiteQueue::add(const Cursor& cursor, uint8_t priority, uint64_t domain) {
  const uint32_t slot = find_or_make(cursor.job, priority);
  JobQueue& queue = waiting_->jobs[slot];
  waiting_->rings.add(queue.ring, cursor, domain);
  queue.cursor_rows += cursor.rows;
  cursor_rows_ += cursor.rows;
  ++cursors_;
  if (queue.paused) paused_cursor_rows_ += cursor.rows;
  settle(slot);
}

void SiteQueue::add_due(const DueRow& row, JobIndex job, uint8_t priority) {
  const uint32_t slot = find_or_make(job, priority);
  JobQueue& queue = waiting_->jobs[slot];
  queue.latest_tick = queue.due.empty() ? row.due_tick : std::max(queue.latest_tick, row.due_tick);
  latest_tick_ = due_rows_ == 0 ? row.due_tick : std::max(latest_tick_, row.due_tick);
  queue.due.push(row);
  ++due_rows_;
  settle(slot);
}

std::optional<Pick> SiteQueue::next(const TickClock& clock, Instant now, const MayServe& may) {
  tick_ = std::max(tick_, clock.tick_at(now));
  if (waiting_ == nullptr) return std::nullopt;
  const std::set<Place>& order = waiting_->order;
  for (auto first = waiting_->sleepers(); first != order.end() && tick_of(*first) <= tick_;
       first = waiting_->sleepers()) {
    settle(first->slot);
  }
  for (const Place& place : order) {
    if (is_sleeping(place)) break;
    if (!may || may(waiting_->jobs[place.slot].job)) return take(place.slot);
  }
  return std::nullopt;
}

void SiteQueue::count_served(JobQueue& queue, uint32_t rows) {
  // What a job could have had while it was paused or not to be served is no claim.
  given_least_ = std::max(given_least_, queue.given);
  queue.given = given_least_ + rows;
  given_most_ = std::max(given_most_, queue.given);
  queue.turn = ++turn_;
}

Cursor SiteQueue::take_cursor(JobQueue& queue) {
  const Cursor cursor = waiting_->rings.take(queue.ring);
  queue.cursor_rows -= cursor.rows;
  cursor_rows_ -= cursor.rows;
  --cursors_;
  return cursor;
}

Pick SiteQueue::take(uint32_t slot) {
  JobQueue& queue = waiting_->jobs[slot];
  const auto due = queue.due.next_due();
  Pick pick;
  pick.job = queue.job;
  pick.is_due = due && *due <= tick_ && (queue.ring == kNoSlot || queue.due_credit > 0);
  if (pick.is_due) {
    if (queue.ring != kNoSlot) --queue.due_credit;
    pick.due = *queue.due.pop_due(tick_);
    --due_rows_;
    count_served(queue, 1);
  } else {
    pick.cursor = take_cursor(queue);
    queue.due_credit = pick.cursor.rows;
    count_served(queue, pick.cursor.rows);
  }
  settle(slot);
  return pick;
}

uint64_t SiteQueue::take_cursors(uint64_t rows_max, std::vector<Cursor>& out) {
  uint64_t rows = 0;
  Place from;  // no job before it has first attempts
  while (waiting_ != nullptr) {
    const std::set<Place>& order = waiting_->order;
    auto at = order.lower_bound(from);
    while (at != order.end() && !is_sleeping(*at) && waiting_->jobs[at->slot].ring == kNoSlot) ++at;
    if (at == order.end() || is_sleeping(*at)) break;
    from = *at;
    JobQueue& queue = waiting_->jobs[from.slot];
    const uint32_t more = waiting_->rings.rows_next(queue.ring);
    if (rows > 0 && rows + more > rows_max) break;
    out.push_back(take_cursor(queue));
    rows += more;
    count_served(queue, more);
    settle(from.slot);
  }
  return rows;
}

Instant SiteQueue::next_wake(const TickClock& clock, Instant now) const {
  if (waiting_ == nullptr || waiting_->order.empty()) return kForever;
  const Place& first = *waiting_->order.begin();
  if (!is_sleeping(first) || tick_of(first) <= clock.tick_at(now)) return Instant::min();
  return clock.instant_of(tick_of(first));
}

uint32_t SiteQueue::rows_ready(const TickClock& clock, Instant now, uint32_t most) const {
  const uint32_t tick = std::max(tick_, clock.tick_at(now));
  uint64_t rows = cursor_rows_ - paused_cursor_rows_;
  if (due_rows_ > 0) {
    // Each job on the way has a first attempt, which is counted above, or a row due now.
    for (const Place& place : waiting_->order) {
      if (rows >= most || (is_sleeping(place) && tick_of(place) > tick)) break;
      rows += waiting_->jobs[place.slot].due.count_due(tick, most - static_cast<uint32_t>(rows));
    }
  }
  return static_cast<uint32_t>(std::min<uint64_t>(rows, most));
}

uint64_t SiteQueue::rows_of(JobIndex job) const {
  const uint32_t slot = find(job);
  if (slot == kNoSlot) return 0;
  const JobQueue& queue = waiting_->jobs[slot];
  return queue.cursor_rows + queue.due.size();
}

uint64_t SiteQueue::rows_ready_of(JobIndex job, const TickClock& clock, Instant now,
                                  uint32_t most) const {
  const uint32_t slot = find(job);
  if (slot == kNoSlot) return 0;
  const JobQueue& queue = std::as_const(waiting_->jobs)[slot];
  if (queue.cursor_rows >= most) return queue.cursor_rows;
  const auto left = static_cast<uint32_t>(most - queue.cursor_rows);
  return queue.cursor_rows + queue.due.count_due(clock.tick_at(now), left);
}

std::optional<uint64_t> SiteQueue::next_domain(JobIndex job) const {
  const uint32_t slot = find(job);
  if (slot == kNoSlot) return std::nullopt;
  const JobQueue& queue = std::as_const(waiting_->jobs)[slot];
  if (queue.ring == kNoSlot) return std::nullopt;
  return waiting_->rings.next_domain(queue.ring);
}

void SiteQueue::visit_jobs(const TickClock& clock,
                           const std::function<void(const JobRows&)>& visit) const {
  if (waiting_ == nullptr) return;
  for (uint32_t slot = 0; slot < waiting_->jobs.slots(); ++slot) {
    const JobQueue& queue = waiting_->jobs[slot];
    if (queue.idle()) continue;
    JobRows rows;
    rows.job = queue.job;
    rows.first_attempts = queue.cursor_rows;
    rows.due = queue.due.size();
    if (rows.due > 0) {
      rows.first_due = clock.instant_of(*queue.due.next_due());
      rows.latest_due = clock.instant_of(queue.latest_tick);
    }
    visit(rows);
  }
}

void SiteQueue::visit_job_sums(const TickClock& clock,
                               const std::function<void(const JobRows&)>& visit) const {
  if (waiting_ == nullptr) return;
  if (!only_job_) return visit_jobs(clock, visit);
  JobRows rows;
  rows.job = *only_job_;
  rows.first_attempts = cursor_rows_;
  rows.due = due_rows_;
  if (due_rows_ > 0) rows.first_due = rows.latest_due = clock.instant_of(latest_tick_);
  visit(rows);
}

std::vector<SiteQueue::JobRows> SiteQueue::jobs(const TickClock& clock) const {
  std::vector<JobRows> out;
  visit_jobs(clock, [&out](const JobRows& rows) { out.push_back(rows); });
  return out;
}

Instant SiteQueue::latest_due(const TickClock& clock, JobIndex job) const {
  const uint32_t slot = find(job);
  if (slot == kNoSlot || waiting_->jobs[slot].due.empty()) return Instant::min();
  return clock.instant_of(waiting_->jobs[slot].latest_tick);
}

Instant SiteQueue::latest_due(const TickClock& clock) const {
  return due_rows_ == 0 ? Instant::min() : clock.instant_of(latest_tick_);
}

void SiteQueue::remove_job(JobIndex job, const std::function<void(const Cursor&)>& on_cursor,
                           const std::function<void(const DueRow&)>& on_due) {
  const uint32_t slot = find(job);
  if (slot == kNoSlot) return;
  // Out of the queue first: a callback may add to it.
  JobQueue& queue = waiting_->jobs[slot];
  if (queue.paused) paused_cursor_rows_ -= queue.cursor_rows;
  std::vector<Cursor> cursors;
  while (queue.ring != kNoSlot) cursors.push_back(take_cursor(queue));
  DueQueue due = std::move(queue.due);
  due_rows_ -= due.size();
  unplace(queue);
  forget(slot);
  for (const Cursor& cursor : cursors) on_cursor(cursor);
  while (const auto row = due.pop_due(UINT32_MAX)) on_due(*row);
}

void SiteQueue::pause_job(JobIndex job) {
  const uint32_t slot = find_or_make(job, 0);
  JobQueue& queue = waiting_->jobs[slot];
  if (queue.paused) return;
  queue.paused = true;
  paused_cursor_rows_ += queue.cursor_rows;
  settle(slot);
}

void SiteQueue::resume_job(JobIndex job) {
  const uint32_t slot = find(job);
  if (slot == kNoSlot || !waiting_->jobs[slot].paused) return;
  JobQueue& queue = waiting_->jobs[slot];
  queue.paused = false;
  paused_cursor_rows_ -= queue.cursor_rows;
  settle(slot);
}

size_t SiteQueue::memory_bytes() const {
  if (waiting_ == nullptr) return sizeof *this;
  const Waiting& all = *waiting_;
  // A node of the set: three links, a colour, the place.
  size_t bytes = sizeof *this + sizeof all + all.jobs.memory_bytes() + all.index.memory_bytes() +
                 all.rings.memory_bytes() + all.order.size() * (4 * sizeof(void*) + sizeof(Place));
  for (uint32_t slot = 0; slot < all.jobs.slots(); ++slot) {
    bytes += all.jobs[slot].due.memory_bytes();
  }
  return bytes;
}

}  // namespace sluice
