#include "engine/shard/delivery.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// One address of one exchanger to try.
struct Target {
  const Exchanger* exchanger;
  IpAddress address;
};

constexpr Duration kRest = std::chrono::minutes(1);
constexpr Duration kCloseWait = std::chrono::seconds(1);
constexpr size_t kLastWordsMax = 4'096;  // octets behind the end of a conversation
constexpr size_t kOutputsAtOnce = 16;

// The local address of that family; nothing: the system's choice.
std::optional<IpAddress> local_address(const Source& source, Family family) {
  for (const IpAddress& address : source.addresses) {
    if (address.family == family) return address;
  }
  return std::nullopt;
}

// A source with addresses never sends from another: without one of that family it cannot.
bool can_dial(const Source& source, Family family) {
  return source.addresses.empty() || local_address(source, family).has_value();
}

// All addresses in the order of RFC 5321 §5: exchangers by preference, those of equal preference
// shuffled anew, all addresses of one before the next. Rested ones come last.
std::vector<Target> targets_of(const Route& route, const Site& site, const Source& source,
                               Instant now, Random& random) {
  std::vector<const Exchanger*> exchangers;
  for (const Exchanger& exchanger : route.exchangers) exchangers.push_back(&exchanger);
  random.shuffle(exchangers);
  std::stable_sort(exchangers.begin(), exchangers.end(),
                   [](const auto* a, const auto* b) { return a->preference < b->preference; });
  std::vector<Target> fresh;
  std::vector<Target> rested;
  for (const Exchanger* exchanger : exchangers) {
    for (const IpAddress& address : exchanger->addresses) {
      if (!can_dial(source, address.family)) continue;
      auto& list = site.is_rested(address, now) ? rested : fresh;
      list.push_back({exchanger, address});
    }
  }
  fresh.insert(fresh.end(), rested.begin(), rested.end());
  return fresh;
}

std::unique_ptr<Dialog> make_dialog(Shard& shard, const Lane& lane) {
  const SitePolicy& policy = lane.site().policy;
  DialogOptions options;
  options.hello = shard.config().sources[lane.source()].hello;
  options.enable_pipelining = policy.enable_pipelining;
  options.in_flight_max = std::min(policy.max_in_flight, shard.limits().in_flight_max);
  options.deliveries_max = lane.deliveries_max();
  options.timeouts = policy.timeouts;
  options.reply_limits = {shard.limits().reply_line_bytes_max, shard.limits().reply_bytes_max};
  options.verdict_text_bytes_max = shard.limits().recorded_reply_bytes_max;
  return std::make_unique<Dialog>(options);
}

Attempt attempt_of(Shard& shard, const Lane& lane, const Connection& c, const InFlight& flight) {
  Attempt attempt;
  attempt.first_at = flight.date;
  attempt.size = flight.size;
  attempt.site = lane.site().name;
  attempt.exchanger = c.exchanger;
  attempt.peer = c.channel.peer();
  attempt.source = shard.config().sources[lane.source()].name;
  attempt.sender = flight.segment->segment->job->message->envelope_sender();
  attempt.session = c.session;
  return attempt;
}

void record(Shard& shard, Lane& lane, Connection& c, InFlight& flight, Verdict verdict) {
  CHECK(flight.taken);
  flight.taken = false;
  if (verdict.state != State::kWaiting) {
    ++c.answered;
    if (verdict.reply.code != 0 && !std::exchange(c.worked, true)) lane.on_first_answer();
    if (lane.on_answer(verdict) && verdict.state == State::kBounced) {
      verdict.state = State::kDeferred;
      verdict.reply.text = "not believed, the sender is refused too often: " + verdict.reply.text;
    }
  }
  const Attempt attempt = attempt_of(shard, lane, c, flight);
  shard.recorder().record({.segment = flight.segment,
                           .number = flight.number,
                           .lane = &lane,
                           .attempts = flight.attempts,
                           .first_at = flight.first_at,
                           .in_flight = true},
                          std::move(verdict), attempt);
}

InFlight& free_flight(Connection& c, uint64_t& ticket) {
  for (ticket = 0; ticket < c.in_flight.size(); ++ticket) {
    InFlight& flight = c.in_flight[ticket];
    if (!flight.taken && !flight.content_out) return flight;
  }
  c.in_flight.emplace_back();
  return c.in_flight.back();
}

// Takes one row from the lane into the dialog. False when there is none.
bool take_message(Shard& shard, Lane& lane, Connection& c) {
  std::optional<TakenRow> taken = lane.take_row();
  if (!taken) return false;
  uint64_t ticket = 0;
  InFlight& flight = free_flight(c, ticket);
  flight.segment = taken->segment;
  flight.number = taken->number;
  flight.attempts = taken->attempts + 1;
  flight.first_at = taken->first_at;
  flight.taken = true;
  flight.size = 0;
  shard.recorder().take(*taken->segment, taken->first_at);
  if (!flight.message) flight.message = shard.take_buffer();

  const Job& job = *taken->segment->segment->job;
  flight.date = taken->first_at == WallTime{} ? shard.wall_now() : taken->first_at;
  if (defect(Defect::kNewMessageId)) flight.date = shard.wall_now();
  ComposeResult composed = job.message->compose(taken->row, {.date = flight.date}, *flight.message);
  if (!composed.ok()) {
    Verdict refused;
    refused.state = State::kBounced;
    refused.reply = std::move(composed.refusal);
    record(shard, lane, c, flight, std::move(refused));
    return true;
  }
  flight.size = flight.message->bytes();
  c.dialog->take(ticket, {.sender = job.message->envelope_sender(),
                          .recipient = taken->row.address,
                          .size = flight.size,
                          .eight_bit = job.message->eight_bit(),
                          .smtputf8 = taken->row.needs_smtputf8});
  return true;
}

void take_messages(Shard& shard, Lane& lane, Connection& c) {
  while (c.dialog->wants_message() && !shard.draining()) {
    if (!take_message(shard, lane, c)) return;
  }
}

void record_verdicts(Shard& shard, Lane& lane, Connection& c) {
  while (const DialogVerdict* judged = c.dialog->next_verdict()) {
    record(shard, lane, c, c.in_flight[judged->ticket], judged->verdict);
  }
}

// Hands what the dialog wants to say to the channel, in one gathered send.
void send_outputs(Connection& c) {
  if (c.channel.sending()) return;
  std::array<Dialog::Output, kOutputsAtOnce> outputs;
  const size_t count = c.dialog->gather(outputs);
  if (count == 0) return;
  c.outputs.assign(outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(count));
  c.pieces.clear();
  c.output_ends.clear();
  for (const Dialog::Output& output : c.outputs) {
    if (output.kind == Dialog::Output::Kind::kCommands) {
      c.pieces.push_back({const_cast<char*>(output.bytes.data()), output.bytes.size()});
    } else {
      InFlight& flight = c.in_flight[output.ticket];
      flight.content_out = true;
      const size_t whose = defect(Defect::kWrongContent) ? 0 : output.ticket;
      const std::span<const iovec> content = c.in_flight[whose].message->pieces();
      c.pieces.insert(c.pieces.end(), content.begin(), content.end());
    }
    c.output_ends.push_back(c.pieces.size());
  }
  c.channel.send(c.pieces);
}

// The first `count` outputs are gone from the channel: their memory is free.
void outputs_left(Connection& c, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (c.outputs[i].kind == Dialog::Output::Kind::kContent) {
      c.in_flight[c.outputs[i].ticket].content_out = false;
    }
  }
}

// Tells the dialog how the last send ended, once it has.
void report_sent(Connection& c) {
  if (c.outputs.empty() || c.channel.sending()) return;
  c.dialog->sent(c.outputs.size());
  outputs_left(c, c.outputs.size());
  c.outputs.clear();
}

Fault fault_of(const Channel& channel) {
  if (channel.fault() == IoError::kTimedOut) return Fault::kTimedOut;
  if (channel.fault() != IoError::kNone) return Fault::kReset;
  return Fault::kClosed;
}

// The connection is over: what is still open gets its verdicts.
void give_up(Connection& c, Fault fault) {
  if (!c.outputs.empty()) {
    size_t whole = 0;
    while (whole < c.outputs.size() && c.output_ends[whole] <= c.channel.whole_pieces_sent()) {
      ++whole;
    }
    if (whole > 0) c.dialog->sent(whole);
    if (whole < c.outputs.size()) c.dialog->not_sent();
  }
  c.dialog->fail(fault);
}

// Feeds the dialog with what has happened.
void take_in(Shard& shard, Connection& c) {
  c.channel.update();
  // What has left first: a reply to it may ask for it to be said otherwise.
  report_sent(c);
  // Before a failure is judged, what was read before it: earlier replies may be there.
  if (!c.channel.received().empty()) {
    c.dialog->receive(c.channel.received());
    c.channel.consumed();
  }
  if (c.dialog->finished()) return;
  if (c.channel.ended() || c.channel.fault() != IoError::kNone) {
    give_up(c, fault_of(c.channel));
  } else if (shard.cutting() || (shard.draining() && !c.dialog->ready())) {
    // Who has not been greeted yet carries no mail: a drain need not wait for it.
    give_up(c, Fault::kStopped);
  } else if (c.channel.deadline_passed()) {
    if (c.dialog->idle()) {
      c.dialog->quit();
    } else {
      give_up(c, Fault::kTimedOut);
    }
  }
}

void set_deadline(Shard& shard, const Lane& lane, Connection& c) {
  // Counts from the last progress: octets of a reply that come one by one are none.
  const Connection::Progress mark{.sent_bytes = c.channel.sent_bytes(),
                                  .answered = c.answered,
                                  .transactions = c.dialog->transactions(),
                                  .waiting_for = c.dialog->waiting_for(),
                                  .sending = c.channel.sending()};
  if (mark == c.progress && c.channel.deadline_armed()) return;
  c.progress = mark;
  const SitePolicy& policy = lane.site().policy;
  Duration wait = policy.idle_timeout;
  if (c.channel.sending()) {
    wait = std::max(policy.timeouts.data_block, c.dialog->reply_timeout());
  } else if (c.dialog->awaits_reply()) {
    wait = c.dialog->reply_timeout();
  }
  if (defect(Defect::kNoDeadline)) wait = std::chrono::hours(24 * 365);
  c.channel.set_deadline(shard.now() + wait);
}

void look_for_end(Shard& shard, const Lane& lane, Connection& c) {
  if (!c.dialog->idle()) return;
  const bool spare = c.answered > 0 && shard.connections_wanted() && !lane.has_mail();
  if (spare || shard.draining() || c.dialog->exhausted()) c.dialog->quit();
}

// From the greeting to the end of the session.
Task<> converse(Shard& shard, Lane& lane, Connection& c) {
  while (true) {
    if (c.dialog->ready() && !c.greeted) lane.on_greeted(c);
    take_messages(shard, lane, c);
    look_for_end(shard, lane, c);
    send_outputs(c);
    record_verdicts(shard, lane, c);
    if (c.dialog->finished()) break;
    if (c.dialog->idle() && !c.dialog->exhausted()) lane.add_idle(c);
    set_deadline(shard, lane, c);
    co_await c.channel.changed();
    lane.remove_idle(c);
    take_in(shard, c);
    record_verdicts(shard, lane, c);
  }
}

// The receiver counts a connection until it has closed its side: the next one waits for that, so
// that a limit holds as the receiver sees it. A moment at most: nobody waits on QUIT.
Task<> await_peer_end(Shard& shard, const Lane& lane, Connection& c) {
  c.channel.set_deadline(shard.now() +
                         std::min<Duration>(lane.site().policy.timeouts.quit, kCloseWait));
  // What is still being sent was given up: it must not go on. Nor is who talks on listened to.
  size_t heard = 0;
  while (!c.channel.sending() && !c.channel.ended() && c.channel.fault() == IoError::kNone &&
         !c.channel.deadline_passed() && !shard.draining() && heard < kLastWordsMax) {
    co_await c.channel.changed();
    c.channel.update();
    heard += c.channel.received().size();
    c.channel.consumed();
  }
}

std::string unusable_source(const Source& source, Family family) {
  const std::optional<IpAddress> address = local_address(source, family);
  return "source " + source.name + (address ? " (" + to_string(*address) + ")" : std::string()) +
         ": no address of this host, or no port of it is left";
}

std::string failure_text(const Connection& c, const Verdict& failure) {
  std::string text = c.exchanger + " (" + to_string(c.channel.peer()) + ")";
  if (failure.command[0] != '\0') text += std::string(" after ") + failure.command;
  text += ": ";
  if (failure.reply.code != 0) text += std::to_string(failure.reply.code) + " ";
  text += failure.reply.text;
  return text;
}

}  // namespace

Task<> deliver(Shard& shard, Lane& lane, Connection& c) {
  const Instant began = shard.now();
  const RoutePtr route = lane.site().route;
  const Source& source = shard.config().sources[defect(Defect::kWrongSource) ? 0 : lane.source()];
  const std::vector<Target> targets =
      targets_of(*route, lane.site(), source, began, shard.io().random());
  const SitePolicy& policy = lane.site().policy;
  const uint16_t port = policy.smtp_port.value_or(shard.config().smtp.port);
  std::string reason = "no exchanger has an address that source " + source.name + " can dial";
  bool reached = false;
  bool answered = false;
  bool local = targets.empty();
  std::optional<Family> unusable_family;  // of which the source has no usable address
  for (const Target& target : targets) {
    // Every dial counts against the connection rate; the lane had a permit for the first.
    if (shard.draining() || (&target != targets.data() && !lane.may_dial_next())) break;
    if (unusable_family == target.address.family) continue;
    c.exchanger = target.exchanger->name;
    const SocketAddress to{target.address, port};
    const IoResult dialled = co_await c.channel.dial(
        to, local_address(source, target.address.family), shard.now() + policy.timeouts.connect);
    if (!dialled.ok()) {
      reason = c.exchanger + " (" + to_string(to) + "): " + std::string(name_of(dialled.error));
      // What is wrong here is no exchanger's fault.
      local = dialled.error == IoError::kNoDescriptors ||
              dialled.error == IoError::kAddressUnusable || dialled.error == IoError::kCancelled;
      if (dialled.error == IoError::kNoDescriptors) break;
      if (dialled.error == IoError::kAddressUnusable) {
        reason = unusable_source(source, target.address.family);
        unusable_family = target.address.family;
        continue;
      }
      lane.rest(target.address, shard.now(), shard.now() + kRest);
      continue;
    }
    local = false;
    c.dialog = make_dialog(shard, lane);
    c.session = shard.next_session();
    co_await converse(shard, lane, c);
    co_await await_peer_end(shard, lane, c);
    co_await c.channel.close();
    for (InFlight& flight : c.in_flight) flight.content_out = false;
    c.outputs.clear();
    reached = c.dialog->ready();
    const Verdict* failure = c.dialog->session_failure();
    answered = reached && (failure == nullptr || c.answered > 0);
    if (failure != nullptr) reason = failure_text(c, *failure);
    if (c.dialog->used_up_after() > 0) lane.on_used_up(c.dialog->used_up_after());
    if (!answered) lane.rest(target.address, shard.now(), shard.now() + kRest);
    if (reached) break;
  }
  if (!answered && !shard.draining()) lane.on_unreachable(began, reason, c.greeted, local);
  for (InFlight& flight : c.in_flight) {
    if (flight.message) shard.return_buffer(std::move(flight.message));
  }
}

}  // namespace sluice
