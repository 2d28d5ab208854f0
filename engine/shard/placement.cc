#include "engine/shard/placement.h"

#include <algorithm>
#include <utility>
#include <vector>

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

}  // namespace

Placement::Placement(Shard& shard)
    : shard_(shard), slot_free_(shard.loop()), parked_pause_(shard.loop()), room_(shard.loop()) {}

namespace {

bool has_open_rows(const PublishedSegment& segment, uint32_t domain) {
  if (!segment.recovered) return true;
  const SegmentIndex& index = segment.index;
  for (SegmentRow row = index.first_row_of(domain); row < index.last_row_of(domain); ++row) {
    if (!segment.recovered->is_final(row)) return true;
  }
  return false;
}

}  // namespace

Task<> Placement::walk(SegmentPtr segment) {
  co_await shard_.wait_for_rules();
  const SegmentIndex& index = segment->index;
  for (uint32_t domain = 0; domain < index.domain_count(); ++domain) {
    if (shard_.peers().home_of(index.domain(domain)) != shard_.number()) continue;
    if (!has_open_rows(*segment, domain)) continue;
    while (resolving_ >= shard_.limits().resolutions_per_shard && !shard_.draining()) {
      co_await slot_free_.wait();
    }
    if (shard_.draining()) co_return;
    ++resolving_;
    shard_.services().spawn(place(segment, domain, false));
    if (domain % 256 == 255) co_await yield();
  }
}

void Placement::wake_parked() {
  std::vector<DueRow> others;
  while (const std::optional<DueRow> parked = parked_.pop_due(UINT32_MAX)) {
    OpenSegment* open = shard_.find_segment(parked->segment_ref);
    CHECK(open != nullptr);
    if (!open->segment->job->cancelled) {
      others.push_back(*parked);
      continue;
    }
    shard_.cancel_domain(open->segment, parked->row(), true);
    shard_.release(*open);
  }
  for (const DueRow& parked : others) parked_.push(parked);
}

Task<> Placement::place(SegmentPtr segment, uint32_t domain, bool deferred_before) {
  const RoutePtr route =
      co_await shard_.resolver().route(std::string(segment->index.domain(domain)));
  if (segment->job->cancelled && !shard_.draining()) {
    shard_.cancel_domain(segment, domain, deferred_before);
  } else if (shard_.draining()) {
    // Stays waiting; the next start places it.
  } else if (route->usable()) {
    co_await hand_over(segment, domain, route, deferred_before);
  } else {
    co_await record_failure(segment, domain, route, deferred_before);
  }
  --resolving_;
  slot_free_.notify_one();
}

Task<> Placement::hand_over(SegmentPtr segment, uint32_t domain, RoutePtr route,
                            bool deferred_before) {
  const uint32_t owner = shard_.peers().owner_of(route->site);
  if (owner == shard_.number()) {
    while (shard_.peers().cursors[owner].value.load(std::memory_order_relaxed) >=
               shard_.limits().cursors_per_shard &&
           !shard_.draining()) {
      co_await room_.wait(shard_.now() + kRoomWait);
    }
    if (!shard_.draining()) shard_.receive_domain(segment, domain, route, deferred_before);
    co_return;
  }
  while (!shard_.draining()) {
    const bool room = shard_.peers().cursors[owner].value.load(std::memory_order_relaxed) <
                      shard_.limits().cursors_per_shard;
    Shard* target = shard_.peers().shards[owner];
    if (room && shard_.peers().post(owner, [target, segment, domain, route, deferred_before] {
          target->receive_domain(segment, domain, route, deferred_before);
        })) {
      co_return;
    }
    co_await room_.wait(shard_.now() + kRoomWait);
  }
}

Task<> Placement::record_failure(SegmentPtr segment, uint32_t domain, RoutePtr route,
                                 bool deferred_before) {
  const Job& job = *segment->job;
  Verdict verdict = route->failure;
  const bool over = lifetime_over(job.created, shard_.wall_now(), job.spec.send.lifetime);
  if (verdict.state == State::kDeferred && over) {
    verdict.state = State::kExpired;
    verdict.reply.text = "lifetime ended: " + verdict.reply.text;
  }
  // A deferral is told once a domain: the rows stay deferred until it is placed.
  if (verdict.state != State::kDeferred || !deferred_before) {
    OpenSegment& open = shard_.open_segment(segment);
    shard_.hold(open, 1);
    const SegmentIndex& index = segment->index;
    for (SegmentRow row = index.first_row_of(domain); row < index.last_row_of(domain); ++row) {
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
      shard_.recorder().record({.segment = &open,
                                .number = row,
                                .lane = nullptr,
                                .attempts = 0,
                                .first_at = deferred_row ? job.created : WallTime{},
                                .in_flight = false},
                               verdict, attempt);
      if (row % 256 == 255) co_await yield();
    }
    shard_.release(open);
  }
  if (verdict.state == State::kDeferred) park(segment, domain, route->expires);
}

void Placement::park(const SegmentPtr& segment, uint32_t domain, Instant until) {
  const Instant now = shard_.now();
  until = std::clamp(until, now + kParkMin, now + kParkMax);
  shard_.hold(shard_.open_segment(segment), 1);
  parked_.push(DueRow::make(segment->ref, domain, 0, shard_.peers().clock.tick_for(until), 1));
  parked_pause_.cut();
}

Task<> Placement::watch_parked() {
  const TickClock& clock = shard_.peers().clock;
  while (!shard_.draining()) {
    while (resolving_ < shard_.limits().resolutions_per_shard) {
      const std::optional<DueRow> due = parked_.pop_due(clock.tick_at(shard_.now()));
      if (!due) break;
      OpenSegment* open = shard_.find_segment(due->segment_ref);
      CHECK(open != nullptr);
      ++resolving_;
      shard_.services().spawn(place(open->segment, due->row(), true));
      shard_.release(*open);
    }
    const std::optional<uint32_t> next = parked_.next_due();
    Instant wake = next ? clock.instant_of(*next) : kForever;
    if (wake <= shard_.now()) wake = shard_.now() + std::chrono::milliseconds(10);
    co_await parked_pause_.until(wake);
  }
}

void Placement::stop() {
  parked_pause_.cut();
  slot_free_.notify_all();
  room_.notify_all();
}

}  // namespace sluice
