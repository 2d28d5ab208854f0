#include "engine/shard/carried.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// So long who takes no mail in clear (530) gets none.
constexpr Duration kTlsWanted = std::chrono::hours(1);

Attempt attempt_of(Shard& shard, const Lane& lane, const Connection& c, const InFlight& flight) {
  Attempt attempt;
  attempt.first_at = flight.date;
  attempt.size = flight.size;
  attempt.site = lane.site().name;
  attempt.exchanger = c.exchanger;
  attempt.peer = c.channel.peer();
  attempt.source = shard.config().sources[lane.source()].name;
  attempt.sender = flight.sender;
  attempt.session = c.session;
  attempt.tls = c.tls;
  attempt.dns_stale = lane.site().route->stale;
  return attempt;
}

// It takes no mail in clear: for this hour it gets none, and what was refused goes on another
// connection at once.
bool wants_tls(Shard& shard, Lane& lane, Connection& c, const Verdict& verdict) {
  if (verdict.reply.code != 530 || c.dialog->encrypted() || !c.dialog->capabilities().starttls) {
    return false;
  }
  // TLS was tried here, and failed.
  if (!c.tls_plan.why.empty()) return false;
  lane.site().tls.wants(c.exchanger, shard.now(), shard.now() + kTlsWanted);
  c.dialog->quit();
  return true;
}

void record(Shard& shard, Lane& lane, Connection& c, InFlight& flight, Verdict verdict) {
  CHECK(flight.taken);
  flight.taken = false;
  if (wants_tls(shard, lane, c, verdict)) verdict.state = State::kWaiting;
  if (verdict.state != State::kWaiting) {
    // Who takes MAIL and breaks off, or says 421, has not answered: the next one fares no better.
    const bool its_own = verdict.scope != Scope::kConnection;
    if (its_own) ++c.answered;
    if (its_own && verdict.reply.code != 0 && !std::exchange(c.worked, true))
      lane.on_first_answer();
    if (lane.on_answer(verdict) && verdict.state == State::kBounced) {
      verdict.state = State::kDeferred;
      verdict.reply.text = "not believed, the sender is refused too often: " + verdict.reply.text;
    }
  }
  if (verdict.maybe_delivered && verdict.state == State::kDeferred &&
      lane.policy().on_unknown == OnUnknown::kDelivered) {
    verdict.state = State::kDelivered;
  }
  const Attempt attempt = attempt_of(shard, lane, c, flight);
  shard.recorder().record({.segment = flight.segment,
                           .number = flight.number,
                           .lane = &lane,
                           .attempts = flight.attempts,
                           .first_at = flight.first_at,
                           .taken_at = flight.taken_at,
                           .in_flight = true},
                          std::move(verdict), attempt);
}

uint64_t free_ticket(Connection& c) {
  for (uint64_t ticket = 0; ticket < c.in_flight.size(); ++ticket) {
    const InFlight& flight = c.in_flight[ticket];
    if (!flight.taken && !flight.content_out) return ticket;
  }
  c.in_flight.emplace_back();
  return c.in_flight.size() - 1;
}

// Counts the row as in flight; returns its ticket.
uint64_t board(Shard& shard, Connection& c, const TakenRow& taken) {
  const uint64_t ticket = free_ticket(c);
  InFlight& flight = c.in_flight[ticket];
  flight.segment = taken.segment;
  flight.number = taken.number;
  flight.attempts = taken.attempts + 1;
  flight.first_at = taken.first_at;
  flight.taken = true;
  flight.taken_at = shard.now();
  flight.size = 0;
  const Job& job = *taken.segment->segment->job;
  const std::string_view sender = job.message->envelope_sender(taken.row, flight.sender);
  if (sender.data() != flight.sender.data()) flight.sender = sender;
  flight.date = taken.first_at == WallTime{} ? shard.wall_now() : taken.first_at;
  if (job.message->is_shared()) flight.date = job.created;  // one for all
  if (defect(Defect::kNewMessageId)) flight.date = shard.wall_now();
  shard.recorder().take(*taken.segment, taken.first_at);
  return ticket;
}

// True when the row is not sent now: it is suppressed and gets its verdict, or the disk must be
// asked whether it is, and it comes again or not.
bool hold_back(Shard& shard, Lane& lane, const TakenRow& taken) {
  if (shard.peers().intake == nullptr) return false;
  Suppressor& suppressor = shard.peers().intake->suppressor();
  const SuppressionSet::Answer answer =
      suppressor.ask(shard.number(), taken.row.address, taken.row.domain);
  if (answer == SuppressionSet::Answer::kClear) return false;
  lane.give_back_permit();
  shard.recorder().take(*taken.segment, taken.first_at);
  if (answer == SuppressionSet::Answer::kUnsure) {
    suppressor.look_up(shard, lane, taken);
    return true;
  }
  Attempt attempt;
  attempt.site = lane.site().name;
  shard.recorder().record({.segment = taken.segment,
                           .number = taken.number,
                           .lane = &lane,
                           .attempts = taken.attempts,
                           .first_at = taken.first_at,
                           .taken_at = shard.now(),
                           .in_flight = true},
                          suppressed_verdict(), attempt);
  return true;
}

bool may_take(Shard& shard) {
  if (shard.draining()) return false;
  return shard.peers().intake == nullptr ||
         !shard.peers().intake->suppressor().is_busy(shard.number());
}

// The first of them, which is composed, and as many more of the same job as may go with it.
void take_together(Shard& shard, Lane& lane, Connection& c, uint64_t first, const Job& job,
                   Envelope envelope) {
  // Where flights lie changes as others come.
  const std::string sender(envelope.sender);
  envelope.sender = sender;
  std::vector<uint64_t> tickets = {first};
  std::vector<std::string> addresses = {std::string(envelope.recipient)};
  const uint32_t most = c.dialog->recipients_at_once();
  while (tickets.size() < most && may_take(shard)) {
    const std::optional<TakenRow> taken = lane.take_row_of(job);
    if (!taken) break;
    if (hold_back(shard, lane, *taken)) continue;
    tickets.push_back(board(shard, c, *taken));
    addresses.emplace_back(taken->row.address);
    c.in_flight[tickets.back()].size = envelope.size;
    envelope.smtputf8 = envelope.smtputf8 || taken->row.needs_smtputf8;
  }
  std::vector<Addressee> addressees;
  for (size_t i = 0; i < tickets.size(); ++i) addressees.push_back({tickets[i], addresses[i]});
  c.dialog->take(addressees, envelope);
}

#ifdef SLUICE_SIGNATURE_MICROSECONDS
// For bench/spread: uses so much of the core, as a signature would.
void sign(Io& io) {
  const Duration end = io.cpu_time() + std::chrono::microseconds(SLUICE_SIGNATURE_MICROSECONDS);
  while (io.cpu_time() < end) {
  }
}
#endif

// Takes a message from the lane into the dialog. False when there is none.
bool take_message(Shard& shard, Lane& lane, Connection& c) {
  const std::optional<TakenRow> taken = lane.take_row();
  if (!taken) return false;
  if (hold_back(shard, lane, *taken)) return true;
  const uint64_t ticket = board(shard, c, *taken);
  InFlight& flight = c.in_flight[ticket];
  if (!flight.message) flight.message = shard.take_buffer();
  const Job& job = *taken->segment->segment->job;
  const MessageContext context = {.date = flight.date,
                                  .dot_stuffed = !c.dialog->chunked(),
                                  .eight_bit = c.dialog->capabilities().eight_bit_mime};
  ComposeResult composed = job.message->compose(taken->row, context, *flight.message);
#ifdef SLUICE_SIGNATURE_MICROSECONDS
  sign(shard.io());
#endif
  if (!composed.ok()) {
    Verdict refused;
    refused.state = composed.refusal.enhanced.klass == 4 ? State::kDeferred : State::kBounced;
    refused.reply = std::move(composed.refusal);
    record(shard, lane, c, flight, std::move(refused));
    return true;
  }
  flight.size = flight.message->bytes();
  const Envelope envelope = {.sender = flight.sender,
                             .recipient = taken->row.address,
                             .size = flight.size,
                             .eight_bit = context.eight_bit && job.message->eight_bit(),
                             .smtputf8 = taken->row.needs_smtputf8};
  if (job.message->is_shared()) {
    take_together(shard, lane, c, ticket, job, envelope);
  } else {
    c.dialog->take(ticket, envelope);
  }
  return true;
}

}  // namespace

void take_messages(Shard& shard, Lane& lane, Connection& c) {
  SigningQueue& signing = shard.signing_queue();
  const bool in_turns = signing.needed();
  const bool is_turn = signing.take_turn(c);
  const auto wants = [&] {
    return c.dialog->wants_message() && may_take(shard) && !lane.is_outdated(c);
  };
  if (in_turns && !is_turn) {
    if (wants()) signing.ask(c);
    return;
  }
  const Instant end = in_turns ? shard.io().precise_now() + SigningQueue::kSlice : kForever;
  while (wants()) {
    if (in_turns && shard.io().precise_now() >= end) return signing.ask(c);
    if (!take_message(shard, lane, c)) return;
  }
}

void record_verdicts(Shard& shard, Lane& lane, Connection& c) {
  while (const DialogVerdict* judged = c.dialog->next_verdict()) {
    record(shard, lane, c, c.in_flight[judged->ticket], judged->verdict);
  }
}

void learn_depth(Shard& shard, const Lane& lane, Connection& c) {
  Dialog& dialog = *c.dialog;
  if (!dialog.ready() || dialog.finished()) return;
  const SitePolicy& policy = lane.policy();
  if (!c.depth) {
    c.depth = lane.site().depths->find(c.exchanger, dialog.identity());
  } else if (dialog.fitted() == c.fitted && dialog.probe() == c.probe) {
    return;
  }
  c.depth->on_fitted(dialog.fitted() - c.fitted, policy);
  c.fitted = dialog.fitted();
  if (dialog.probe() != c.probe) c.depth->on_probe(dialog.probe());
  c.probe = dialog.probe();
  dialog.set_depth(c.depth->plan(policy, shard.now()));
}

void learn_end(Shard& shard, const Lane& lane, Connection& c) {
  const std::shared_ptr<Depth> depth = std::exchange(c.depth, nullptr);
  const Dialog& dialog = *c.dialog;
  if (!depth) return;
  if (dialog.probe() != c.probe) {
    depth->on_probe(dialog.probe());
    if (dialog.probe() == Probe::kFailed) {
      log(LogLevel::kInfo, c.exchanger + " (" + dialog.identity() +
                               ") does not refuse a chunk as it should: one round trip a message");
    }
  }
  if (dialog.terse()) depth->on_terse();
  if (dialog.desynchronised()) {
    const Verdict* failure = dialog.session_failure();
    depth->on_desynchronised(shard.now(), failure == nullptr ? "out of step" : failure->reply.text);
    log(LogLevel::kWarning,
        c.exchanger + " (" + dialog.identity() + ") " + depth->words(lane.policy(), shard.now()));
  } else if (dialog.worn_out()) {
    depth->on_worn_out();
  } else if (dialog.broke_in_flight()) {
    depth->on_broken(lane.policy());
  }
}

}  // namespace sluice
