#include "engine/shard/lane.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/schedule/retry.h"
#include "engine/shard/delivery.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// Between two questions for a domain's MTA-STS policy.
constexpr Duration kTermsAtLeast = std::chrono::minutes(1);

bool is_enforced(const StsPolicyPtr& policy) {
  return policy != nullptr && policy->mode == StsMode::kEnforce;
}

}  // namespace

Lane::Lane(Shard& shard, Site& site, uint32_t source, LaneTerms terms, Shaped shaped)
    : shard_(shard),
      site_(site),
      source_(source),
      terms_(std::move(terms)),
      ahead_(shard, queue_, [this] { nudge(); }),
      limits_(shard, *this),
      pause_(shard.loop()) {
  set_shaped(std::move(shaped));
  if (terms_.sts != nullptr) terms_expire_ = site_.route->expires;
}

Lane::~Lane() = default;

Instant Lane::now() const { return shard_.now(); }

void Lane::set_shaped(Shaped shaped) {
  shaped_ = std::move(shaped);
  limits_.set(shaped_, site_.name, shard_.config().sources[source_].name);
  nudge();
}

void Lane::set_sts(StsPolicyPtr sts, Instant expires) {
  const bool was_enforced = is_enforced(terms_.sts);
  terms_.sts = std::move(sts);
  if (is_enforced(terms_.sts) && !was_enforced) {
    enforced_at_ = now();
    yield_idle();
  }
  terms_expire_ = std::max(expires, now() + kTermsAtLeast);
  asking_terms_ = false;
  nudge();
}

// Connections that are dialled meanwhile go by the old policy, which holds until its own end.
void Lane::refresh_terms() {
  if (terms_.domain.empty() || asking_terms_ || now() < terms_expire_) return;
  asking_terms_ = true;
  shard_.refresh_terms(site_.name, source_, terms_);
}

void Lane::add(const Cursor& cursor, uint8_t priority, uint64_t domain) {
  queue_.add(cursor, priority, domain);
  if (shard_.job(cursor.job).paused || limits_.expect(shard_.job(cursor.job))) {
    set_aside(cursor.job);
  }
  nudge();
}

void Lane::add_due(const DueRow& row, JobIndex job, uint8_t priority) {
  if (shard_.job(job).cancelled) {
    cancel_due(row);
    return;
  }
  queue_.add_due(row, job, priority);
  if (shard_.job(job).paused || limits_.expect(shard_.job(job))) set_aside(job);
  nudge();
}

void Lane::nudge() {
  if (running_) {
    pause_.cut();
  } else if (!is_done() && !shard_.draining()) {
    running_ = true;
    shard_.services().spawn(run());
  }
}

bool Lane::is_done() const {
  return queue_.empty() && ahead_.rows() == 0 && open_ == 0 && offered_ == 0;
}

// --- rows for connections ------------------------------------------------------------------------

bool Lane::may_send() const {
  return !site_.paused && !shard_.recorder().full() && !shard_.halted() && now() >= resume_at_;
}

// With `only_of` nothing when the next row is of another job.
std::optional<TakenRow> Lane::take_next(const Job* only_of) {
  while (may_send()) {
    const Job* job = ahead_.next_job(only_of);
    if (job == nullptr) break;
    if (only_of != nullptr && job != only_of) return std::nullopt;
    const LaneLimits::Answer answer = limits_.take_message(*job, now());
    if (answer == LaneLimits::Answer::kNotYet) break;
    if (answer == LaneLimits::Answer::kNotThisJob) {
      set_aside(job->index);  // it waits for its own rate: another's rows may go
      continue;
    }
    std::optional<TakenRow> taken = ahead_.take(*job);
    if (!taken) {
      limits_.give_back_message(now());
      continue;
    }
    // It was kept: by a limit, or by the operator.
    const bool attempted = taken->first_at != WallTime{};
    if (attempted && lifetime_over(taken->first_at, shard_.wall_now(), job->spec.send.lifetime)) {
      limits_.give_back_message(now());
      expire(*taken, "lifetime ended before the next attempt");
      continue;
    }
    rate_.add(now());
    if (ahead_.is_low() || (is_paced() && !idle_.empty())) nudge();
    return taken;
  }
  nudge();
  return std::nullopt;
}

bool Lane::has_mail() const {
  return ahead_.ready() > 0 || offered_ > 0 ||
         queue_.rows_ready(shard_.peers().clock, now(), 1) > 0;
}

void Lane::on_turn(RateWait& waiter) {
  if (waiter.is_job) bring_back(waiter.job);
  nudge();
}

// --- the coroutine -------------------------------------------------------------------------------

Task<> Lane::run() {
  while (!shard_.draining() && !is_done()) {
    expire_waiting();
    // Rows are read for connections that can take them, and for their lifetime's end.
    if (open_ > dialling_) {
      co_await ahead_.load(ReadAhead::kRowsReady);
    } else if (back_off_.failures() > 0) {
      co_await ahead_.load(1);
    }
    dial_more();
    wake_idle();
    pull_more();
    limits_.settle(may_send(), ahead_.ready() + queue_.rows_ready(shard_.peers().clock, now(), 1),
                   !idle_.empty());
    // Without a connection rows wait on disk.
    if (open_ == 0 && back_off_.failures() == 0) ahead_.unload();
    tally_.set(bottleneck(), now());
    co_await pause_.until(next_wake());
  }
  ahead_.unload();
  tally_.set(Bottleneck::kNone, now());
  running_ = false;
  shard_.on_rest(site_);
}

// While the site cannot be reached rows wait without an attempt: those whose lifetime has ended
// expire here.
void Lane::expire_waiting() {
  if (back_off_.failures() == 0 || open_ > dialling_) return;
  // What ends these wakes the lane: asking before would wake it without end.
  if (shard_.halted() || site_.paused || shard_.recorder().full()) return;
  const WallTime wall_now = shard_.wall_now();
  while (std::optional<TakenRow> taken = ahead_.take_expired(wall_now)) {
    expire(*taken, "lifetime ended before the site could be reached: " + last_failure_);
    nudge();  // more may have to be read
    if (shard_.recorder().full()) return;
  }
}

void Lane::expire(const TakenRow& taken, std::string words) {
  shard_.recorder().take(*taken.segment, taken.first_at);
  Verdict expired;
  expired.state = State::kExpired;
  expired.scope = Scope::kSite;
  expired.reply.enhanced = {4, 4, 7};
  expired.reply.text = std::move(words);
  Attempt attempt;
  attempt.site = site_.name;
  attempt.source = shard_.config().sources[source_].name;
  shard_.recorder().record({.segment = taken.segment,
                            .number = taken.number,
                            .lane = this,
                            .attempts = taken.attempts,
                            .first_at = taken.first_at,
                            .taken_at = now(),
                            .in_flight = true},
                           std::move(expired), attempt);
}

bool Lane::is_paced() const {
  if (limits_.is_paced()) return true;
  const Job* next = ahead_.next_job();
  return next != nullptr && next->rate != nullptr;
}

Instant Lane::next_wake() const {
  const Instant moment = now();
  Instant wake = kForever;
  const auto consider = [&](Instant at) {
    if (at > moment) wake = std::min(wake, at);
  };
  consider(limits_.message_at());
  consider(limits_.connection_at());
  if (limits_.waits_for_slot()) consider(moment + Turns::kSlotRetry);
  if (limits_.has_turn()) consider(moment + LaneLimits::kTurnMax);
  consider(ahead_.read_again_at());
  consider(resume_at_);
  consider(back_off_.not_before());
  if (site_.refreshing) consider(site_.refresh_began + kRouteWait);
  consider(concurrency_.probe_at(moment));
  if (queue_.due_count() > 0) consider(queue_.next_wake(shard_.peers().clock, moment));
  return wake;
}

}  // namespace sluice
