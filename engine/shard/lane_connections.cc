// The part of a lane that deals with its connections: how many there are, and what they tell of the
// receiver.
#include <algorithm>
#include <string>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/schedule/connections.h"
#include "engine/shard/delivery.h"
#include "engine/shard/lane.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// How soon an expired route is asked for again when no newer one came.
constexpr Duration kRouteRest = std::chrono::seconds(10);

// So many in a row, or so many of which each stands for so many answers: 5 %.
constexpr uint32_t kSenderRefusals = 20;
constexpr uint32_t kAnswersARefusal = 20;
// Half of both counts is forgotten at so many answers.
constexpr uint32_t kAnswersKept = 2'000;
constexpr Duration kSenderPause = std::chrono::minutes(15);
// The same for refusals that are said to pass (4xx to MAIL).
constexpr Duration kThrottlePause = std::chrono::minutes(1);
constexpr Duration kLearntFor = std::chrono::hours(1);

// A connection is dialled for so many rows, though one may carry more at a time: what is left when
// the last rows of a site are shared out evenly ends sooner.
constexpr uint32_t kRowsAConnection = 2;

// While other sites of the provider wait for a slot a connection carries so many messages.
constexpr uint64_t kSlotTurn = 25;

}  // namespace

void Lane::add_idle(Connection& connection) {
  if (connection.idle) return;
  connection.idle = true;
  idle_.push_back(&connection);
}

void Lane::remove_idle(Connection& connection) {
  if (!connection.idle) return;
  connection.idle = false;
  idle_.erase(std::find(idle_.begin(), idle_.end(), &connection));
}

void Lane::on_greeted(Connection& connection) {
  CHECK(dialling_ > 0 && !connection.greeted);
  connection.greeted = true;
  --dialling_;
  if (shard_.config().smtp.address_family == AddressFamily::kAny) {
    const Family family = connection.channel.peer().ip.family;
    site_.families.remember(*site_.route, connection.exchanger, family);
  }
  concurrency_.greeted(connection.attempt, open_, policy().connection_limit, now());
  nudge();
}

void Lane::on_first_answer() {
  ++working_;
  back_off_.succeeded();
}

void Lane::on_used_up(uint32_t accepted) {
  // A single message says little: who takes one and then defers may have meant that one.
  if (accepted > 1 && accepted == last_used_up_) {
    learnt_deliveries_ = accepted;
    learnt_until_ = shard_.now() + kLearntFor;
  }
  last_used_up_ = accepted;
}

uint32_t Lane::deliveries_max() const {
  const uint32_t allowed = policy().max_deliveries_per_connection;
  if (learnt_deliveries_ == 0 || shard_.now() >= learnt_until_) return allowed;
  return allowed == 0 ? learnt_deliveries_ : std::min(allowed, learnt_deliveries_);
}

void Lane::on_recipients_learnt(uint32_t accepted) {
  learnt_recipients_ = accepted;
  recipients_until_ = shard_.now() + kLearntFor;
}

uint32_t Lane::recipients_max() const {
  const uint32_t allowed = policy().max_recipients_per_batch;
  if (learnt_recipients_ == 0 || shard_.now() >= recipients_until_) return allowed;
  return std::min(allowed, learnt_recipients_);
}

void Lane::on_unreachable(const Connection& connection, std::string_view reason, bool local) {
  last_failure_ = reason;
  const uint32_t dialling = dialling_ - (connection.greeted ? 0 : 1);
  const uint32_t greeted = open_ - dialling_ - (connection.greeted ? 1 : 0);
  if (!local)
    concurrency_.failed(connection.attempt, greeted, dialling, now(), shard_.io().random());
  // A site that takes mail on others is not down: it has a limit.
  if (working_ > 0 && !local) return;
  const uint32_t threshold = policy().consecutive_connection_failures_before_delay;
  const bool was_delayed = back_off_.delayed(threshold);
  (void)back_off_.failed(connection.attempt.began, now(), threshold,
                         shard_.retry().max_retry_interval, shard_.io().random(),
                         local ? 0 : dialling + greeted);
  if (!was_delayed && back_off_.delayed(threshold)) {
    log(LogLevel::kWarning, "site " + site_.name +
                                (connection.greeted ? " breaks off, its mail waits: "
                                                    : " cannot be reached, its mail waits: ") +
                                last_failure_);
  }
}

void Lane::on_connection_end(const Connection& connection) {
  CHECK(open_ > 0 && working_ >= (connection.worked ? 1 : 0));
  --open_;
  limits_.give_back_connection();
  if (connection.worked) --working_;
  if (connection.yielding) --yielding_;
  if (!connection.greeted) {
    CHECK(dialling_ > 0);
    --dialling_;
  }
  nudge();
}

bool Lane::on_answer(const Verdict& verdict) {
  if (++answers_ >= kAnswersKept) {
    answers_ /= 2;
    refusals_ /= 2;
  }
  if (verdict.state == State::kDelivered) {
    sender_refusals_ = 0;
    if (concurrency_.accepted(now())) nudge();
    return false;
  }
  if (verdict.scope != Scope::kSource) {
    // Who refuses a recipient for its own sake does not refuse the sender.
    if (verdict.state == State::kBounced) sender_refusals_ = 0;
    return false;
  }
  ++refusals_;
  ++sender_refusals_;
  const bool too_many = sender_refusals_ >= kSenderRefusals ||
                        (refusals_ >= kSenderRefusals && refusals_ * kAnswersARefusal >= answers_);
  if (!too_many || defect(Defect::kBelieveRefusals)) return false;
  if (resume_at_ <= shard_.now()) {
    const bool for_good = verdict.state == State::kBounced;
    log(LogLevel::kError, "site " + site_.name + " refuses mail from source " +
                              shard_.config().sources[source_].name + ", pausing for " +
                              (for_good ? "15 minutes: " : "a minute: ") +
                              std::to_string(verdict.reply.code) + " " + verdict.reply.text);
    resume_at_ = shard_.now() + (for_good ? kSenderPause : kThrottlePause);
    answers_ = refusals_ = 0;
  }
  return true;
}

// How many more would be worth their handshake, were there no other limits.
uint32_t Lane::wanted_connections() const {
  const Instant moment = now();
  if (shard_.draining() || !may_send() || moment < back_off_.not_before()) return 0;
  // Under a rate one idle connection is enough, and none is dialled before it may send.
  if (moment < limits_.message_at() || (is_paced() && (!idle_.empty() || dialling_ > 0))) return 0;
  ConnectionDemand demand;
  demand.connection_limit =
      policy().connection_limit + (defect(Defect::kOneMoreConnection) ? 1 : 0);
  // A job with a rate of its own wants no more connections than it has turns.
  const uint32_t enough = 64 * demand.connection_limit;
  const uint64_t beyond = limits_.rows_beyond_turns(enough);
  const uint64_t most = std::min<uint64_t>(enough + beyond, UINT32_MAX);
  const uint64_t ready =
      ahead_.ready() + offered_ +
      queue_.rows_ready(shard_.peers().clock, moment, static_cast<uint32_t>(most));
  demand.rows_ready = ready - std::min(ready, beyond);
  demand.open = open_;
  demand.idle = static_cast<uint32_t>(idle_.size());
  demand.dialling = dialling_;
  demand.window = concurrency_.limit(demand.connection_limit, moment, open_ - dialling_);
  demand.in_flight_max = std::min(policy().max_in_flight, kRowsAConnection);
  return connections_wanted(demand);
}

// Whoever has connections goes on by the old route until the new one is there. A lane without any,
// perhaps since nothing answers there any more, waits a moment: the exchangers may have moved.
bool Lane::has_fresh_route() {
  if (site_.route->expires > now()) return true;
  if (site_.refreshed_at + kRouteRest <= now()) shard_.refresh_route(site_);
  return open_ > 0 || !site_.refreshing || site_.refresh_began + kRouteWait <= now();
}

void Lane::dial_more() {
  uint32_t wanted = wanted_connections();
  no_connection_left_ = false;
  if (wanted == 0 || (open_ == 0 && limits_.waits_for_turn())) {
    limits_.want_no_connection();
    return;
  }
  if (!has_fresh_route()) return;
  refresh_terms();
  for (; wanted > 0; --wanted) {
    if (!limits_.take_connection(now())) return;
    SlabHandle handle;
    Connection* connection = shard_.make_connection(&handle);
    if (connection == nullptr) {
      limits_.undo_connection(now());
      no_connection_left_ = true;
      return;
    }
    connection->attempt = {.began = now(), .beside = open_};
    ++open_;
    ++dialling_;
    shard_.spawn_delivery(*this, handle);
  }
}

bool Lane::is_outdated(const Connection& connection) const {
  return connection.attempt.began <= enforced_at_;
}

bool Lane::must_yield(Connection& connection) {
  if (connection.yielding) return true;
  if (connection.answered == 0 || !limits_.is_slot_wanted()) return false;
  const uint32_t kept = open_ - yielding_;
  connection.yielding = !has_mail() || kept > limits_.fair_share();
  if (!connection.yielding && limits_.is_provider_slot_wanted()) {
    const bool is_spare = kept > 1 && connection.dialog->idle();
    connection.yielding =
        is_spare || connection.answered >= kSlotTurn || limits_.is_wanted_by_poorer(kept);
  }
  if (connection.yielding) ++yielding_;
  return connection.yielding;
}

void Lane::yield_idle() {
  for (Connection* connection : idle_) connection->channel.changed().notify();
}

void Lane::wake_idle() {
  // Whoever is woken while nothing may be taken asks in vain, which wakes this lane again.
  if (!may_send() || ahead_.ready() == 0 || now() < limits_.message_at()) return;
  if (limits_.is_queued()) return;
  // Under a rate one at a time: each that takes a row asks for the next to be woken.
  uint64_t wake = is_paced() ? 1 : ahead_.ready();
  for (Connection* connection : idle_) {
    if (wake == 0) return;
    --wake;
    connection->channel.changed().notify();
  }
}

}  // namespace sluice
