#include "engine/shard/placement.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/schedule/retry.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// A domain that DNS cannot place now is looked at again no sooner and no later than this.
constexpr Duration kParkMin = std::chrono::seconds(1);
constexpr Duration kParkMax = std::chrono::minutes(15);
constexpr Duration kRoomWait = std::chrono::milliseconds(5);
// A job with fewer domains than this part of all cursors is a small one.
constexpr uint64_t kSmallShare = 64;
// Domains whose MTA-STS policy is waited for beside those that are being resolved; mail of further
// ones goes by what is known.
constexpr uint32_t kStsWaitsMax = 1'000;
// So many of all cursors are for the others. A lane with mail takes 2 KiB.
constexpr int64_t kLargeShare = 4;

}  // namespace

Placement::Placement(Shard& shard)
    : shard_(shard), parked_pause_(shard.loop()), room_(shard.loop()) {}

namespace {

bool has_open_rows(const PublishedSegment& segment, const SegmentIndex& index, uint32_t domain) {
  if (!segment.recovered) return true;
  for (SegmentRow row = index.first_row_of(domain); row < index.last_row_of(domain); ++row) {
    if (!segment.recovered->is_final(row)) return true;
  }
  return false;
}

}  // namespace

void Placement::hold(OpenSegment& open) {
  shard_.hold(open, 1);
  ++holds_;
}

void Placement::release(OpenSegment& open) {
  --holds_;
  shard_.release(open);
}

void Placement::add(const SegmentPtr& segment, const IndexPtr& index) {
  const JobIndex job = segment->job->index;
  Line& line = lines_[job];
  line.queued.push_back({segment, line.queued.size() < kWalksAJob ? index : nullptr});
  begin_walks(job);
}

void Placement::begin_walks(JobIndex job) {
  const auto found = lines_.find(job);
  Line& line = found->second;
  while (line.walking < kWalksAJob && !line.queued.empty() && !shard_.draining()) {
    ++line.walking;
    Line::Queued next = std::move(line.queued.front());
    line.queued.pop_front();
    shard_.services().spawn(walk(std::move(next.segment), std::move(next.index)));
  }
  if (line.walking == 0) lines_.erase(found);
}

// Cursors are to be left for small jobs.
bool Placement::is_full(const Line& line) const {
  const Peers& peers = shard_.peers();
  const int64_t most = shard_.limits().cursors_per_shard;
  if (line.placed < static_cast<uint64_t>(most) / kSmallShare) return false;
  int64_t cursors = 0;
  for (uint32_t i = 0; i < peers.shard_count; ++i) {
    cursors += peers.cursors[i].value.load(std::memory_order_relaxed);
  }
  return cursors >= most / kLargeShare;
}

Task<> Placement::walk(SegmentPtr segment, IndexPtr index) {
  const JobIndex job = segment->job->index;
  co_await shard_.wait_for_rules();
  OpenSegment& open = shard_.open_segment(segment);
  hold(open);
  Status readable;
  if (index != nullptr) {
    shard_.indexes().add(open, index);
  } else {
    StatusOr<IndexPtr> read = co_await shard_.indexes().get(open);
    readable = read.status();
    if (read.ok()) index = *read;
  }
  if (readable.ok()) {
    co_await walk_domains(open, index);
  } else {
    shard_.complain_of(open, readable);
  }
  release(open);
  --lines_.find(job)->second.walking;
  begin_walks(job);
}

Task<> Placement::walk_domains(OpenSegment& open, IndexPtr index) {
  const SegmentPtr segment = open.segment;
  const JobIndex job = segment->job->index;
  Walk walk;
  for (uint32_t domain = 0; domain < index->domain_count(); ++domain) {
    if (shard_.peers().home_of(index->domain(domain)) != shard_.number()) continue;
    if (!has_open_rows(*segment, *index, domain)) continue;
    if (domain % 256 == 255) co_await yield();
    if (segment->job->cancelled && !shard_.draining()) {
      shard_.cancel_domain(segment, *index, domain, false);
      continue;
    }
    while (is_full(lines_.find(job)->second) && !shard_.draining()) {
      co_await room_.wait(shard_.now() + kRoomWait);
    }
    if (shard_.draining()) co_return;
    Waiting& waiting = waiting_of(job);
    waiting.walks.push_back(&walk);
    queue(waiting);
    give_slots();
    while (!walk.has_slot && !shard_.draining()) co_await walk.signal;
    if (shard_.draining()) co_return;
    walk.has_slot = false;
    ++lines_.find(job)->second.placed;
    hold(open);
    shard_.services().spawn(place(open, domain, false));
  }
}

// --- turns ---------------------------------------------------------------------------------------

Placement::Waiting& Placement::waiting_of(JobIndex job) {
  Waiting& waiting = waiting_[job];
  waiting.job = job;
  return waiting;
}

void Placement::queue(Waiting& waiting) {
  if (waiting.in_turns) return;
  waiting.in_turns = true;
  turns_.push_back(&waiting);
}

bool Placement::is_due(const Waiting& waiting) const {
  const std::optional<uint32_t> next = waiting.parked.next_due();
  return next && *next <= shard_.peers().clock.tick_at(shard_.now());
}

void Placement::give_slots() {
  while (resolving_ < shard_.limits().resolutions_per_shard && !turns_.empty()) {
    Waiting& waiting = *turns_.front();
    turns_.pop_front();
    waiting.in_turns = false;
    const bool due = is_due(waiting);
    if (due && (waiting.parked_first || waiting.walks.empty())) {
      waiting.parked_first = false;
      place_parked(waiting);
      if (!waiting.parked.empty() && !is_due(waiting)) parked_pause_.cut();  // for the next's time
    } else if (!waiting.walks.empty()) {
      waiting.parked_first = true;
      ++resolving_;
      Walk& walk = *waiting.walks.front();
      waiting.walks.pop_front();
      walk.has_slot = true;
      walk.signal.notify();
    }
    if (!waiting.walks.empty() || is_due(waiting)) {
      queue(waiting);
    } else if (waiting.parked.empty()) {
      waiting_.erase(waiting.job);
    }
  }
}

void Placement::end_slot() {
  --resolving_;
  if (!shard_.draining()) give_slots();
}

void Placement::place_parked(Waiting& waiting) {
  const std::optional<DueRow> due = waiting.parked.pop_due(UINT32_MAX);
  OpenSegment* open = shard_.find_segment(due->segment_ref);
  CHECK(open != nullptr);
  ++resolving_;
  shard_.services().spawn(place(*open, due->row(), true));
}

void Placement::park(const SegmentPtr& segment, uint32_t domain, Instant until) {
  const Instant now = shard_.now();
  until = std::clamp(until, now + kParkMin, now + kParkMax);
  hold(shard_.open_segment(segment));
  waiting_of(segment->job->index)
      .parked.push(DueRow::make(segment->ref, domain, 0, shard_.peers().clock.tick_for(until), 1));
  parked_pause_.cut();
}

Task<> Placement::watch_parked() {
  const TickClock& clock = shard_.peers().clock;
  while (!shard_.draining()) {
    Instant wake = kForever;
    for (auto& [job, waiting] : waiting_) {
      const std::optional<uint32_t> next = waiting.parked.next_due();
      if (!next) continue;
      if (is_due(waiting)) {
        queue(waiting);
      } else {
        wake = std::min(wake, clock.instant_of(*next));
      }
    }
    give_slots();
    co_await parked_pause_.until(wake);
  }
}

void Placement::wake_parked() {
  for (const auto& [index, waiting] : waiting_) {
    const Job* job = shard_.find_job(index);
    if (job == nullptr || !job->cancelled || waiting.parked.empty()) continue;
    shard_.services().spawn(cancel_parked(index));
  }
}

Task<> Placement::cancel_parked(JobIndex job) {
  uint32_t since_yield = 0;
  while (!shard_.draining()) {
    const auto found = waiting_.find(job);
    if (found == waiting_.end()) co_return;
    Waiting& waiting = found->second;
    const std::optional<DueRow> parked = waiting.parked.pop_due(UINT32_MAX);
    if (!parked) {
      if (!waiting.in_turns && waiting.walks.empty()) waiting_.erase(found);
      co_return;
    }
    OpenSegment& open = *shard_.find_segment(parked->segment_ref);
    StatusOr<IndexPtr> index = co_await shard_.indexes().get(open);
    if (index.ok()) {
      const SegmentPtr segment = open.segment;
      shard_.cancel_domain(segment, **index, parked->row(), true);
    } else {
      shard_.complain_of(open, index.status());
    }
    release(open);
    if (++since_yield % 256 == 0) co_await yield();
  }
}

void Placement::stop() {
  turns_.clear();
  for (auto& [job, waiting] : waiting_) {
    waiting.in_turns = false;
    for (Walk* walk : waiting.walks) walk->signal.notify();
    waiting.walks.clear();
  }
  parked_pause_.cut();
  room_.notify_all();
}

// --- a domain ------------------------------------------------------------------------------------

// The segment is held for it.
Task<> Placement::place(OpenSegment& open, uint32_t domain, bool deferred_before) {
  const SegmentPtr segment = open.segment;
  StatusOr<IndexPtr> index = co_await shard_.indexes().get(open);
  RoutePtr route;
  if (index.ok()) {
    const std::string name((*index)->domain(domain));
    index = nullptr;  // an answer may take long
    route = co_await shard_.resolver().route(name);
    const bool waits = route->sts_pending && sts_waits_ < kStsWaitsMax;
    if (waits) {
      // Its policy is being fetched, which may take a minute: others are resolved meanwhile.
      ++sts_waits_;
      end_slot();
      while (route->sts_pending && !shard_.draining()) {
        co_await room_.wait(std::max(route->expires, shard_.now() + kRoomWait));
        route = co_await shard_.resolver().route(name);
      }
      ++resolving_;
      --sts_waits_;
    }
    route = shard_.placed(name, std::move(route));
    index = co_await shard_.indexes().get(open);
  }
  if (!index.ok()) {
    shard_.complain_of(open, index.status());
  } else if (shard_.draining()) {
    // Stays waiting; the next start places it.
  } else if (segment->job->cancelled) {
    shard_.cancel_domain(segment, **index, domain, deferred_before);
  } else if (route->usable()) {
    co_await hand_over(segment, *index, domain, route, deferred_before);
  } else {
    co_await record_failure(open, *index, domain, route, deferred_before);
  }
  release(open);
  end_slot();
}

Task<> Placement::hand_over(SegmentPtr segment, IndexPtr index, uint32_t domain, RoutePtr route,
                            bool deferred_before) {
  const uint32_t owner = shard_.peers().owner_of(route->site);
  if (owner == shard_.number()) {
    while (shard_.peers().cursors[owner].value.load(std::memory_order_relaxed) >=
               shard_.limits().cursors_per_shard &&
           !shard_.draining()) {
      co_await room_.wait(shard_.now() + kRoomWait);
    }
    if (!shard_.draining()) shard_.receive_domain(segment, index, domain, route, deferred_before);
    co_return;
  }
  while (!shard_.draining()) {
    const bool room = shard_.peers().cursors[owner].value.load(std::memory_order_relaxed) <
                      shard_.limits().cursors_per_shard;
    Shard* target = shard_.peers().shards[owner];
    if (room &&
        shard_.peers().post(owner, [target, segment, index, domain, route, deferred_before] {
          target->receive_domain(segment, index, domain, route, deferred_before);
        })) {
      co_return;
    }
    co_await room_.wait(shard_.now() + kRoomWait);
  }
}

Task<> Placement::record_failure(OpenSegment& open, IndexPtr index, uint32_t domain, RoutePtr route,
                                 bool deferred_before) {
  const SegmentPtr segment = open.segment;
  const Job& job = *segment->job;
  Verdict verdict = route->failure;
  const bool over = lifetime_over(job.created, shard_.wall_now(), job.spec.send.lifetime);
  if (verdict.state == State::kDeferred && over) {
    verdict.state = State::kExpired;
    verdict.reply.text = "lifetime ended: " + verdict.reply.text;
  }
  // A deferral is told once a domain: the rows stay deferred until it is placed.
  if (verdict.state != State::kDeferred || !deferred_before) {
    for (SegmentRow row = index->first_row_of(domain); row < index->last_row_of(domain); ++row) {
      if (segment->recovered && segment->recovered->is_final(row)) continue;
      const bool deferred_row = deferred_before || !segment->is_waiting(row);
      if (verdict.state == State::kDeferred && deferred_row) continue;
      while (shard_.recorder().full() && !shard_.draining()) {
        co_await room_.wait(shard_.now() + kRoomWait);
      }
      if (shard_.draining()) break;
      shard_.hold(open, 1);
      Attempt attempt;
      attempt.site = route->site;
      attempt.dns_stale = route->stale;
      shard_.recorder().record({.segment = &open,
                                .number = row,
                                .lane = nullptr,
                                .attempts = 0,
                                .first_at = deferred_row ? job.created : WallTime{},
                                .in_flight = false},
                               verdict, attempt);
      if (row % 256 == 255) co_await yield();
    }
  }
  if (verdict.state == State::kDeferred) park(segment, domain, route->expires);
}

}  // namespace sluice
