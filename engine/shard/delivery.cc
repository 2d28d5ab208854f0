#include "engine/shard/delivery.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/shard/carried.h"
#include "engine/shard/shard.h"
#include "engine/shard/targets.h"
#include "engine/shard/tls_forecast.h"
#include "engine/shard/tls_reports.h"

namespace sluice {
namespace {

constexpr Duration kRest = std::chrono::minutes(1);
constexpr Duration kCloseWait = std::chrono::seconds(1);
constexpr size_t kLastWordsMax = 4'096;  // octets behind the end of a conversation
constexpr size_t kOutputsAtOnce = 64;

std::unique_ptr<Dialog> make_dialog(Shard& shard, const Lane& lane, StartTls starttls) {
  const SitePolicy& policy = lane.policy();
  DialogOptions options;
  options.hello = shard.config().sources[lane.source()].hello;
  options.starttls = starttls;
  options.enable_pipelining = policy.enable_pipelining;
  options.enable_chunking = policy.enable_chunking;
  options.in_flight_max = std::min(policy.max_in_flight, shard.limits().in_flight_max);
  options.in_flight_bytes_max = shard.limits().in_flight_bytes_max;
  options.recipients_max = lane.recipients_max();
  options.deliveries_max = lane.deliveries_max();
  options.timeouts = policy.timeouts;
  options.reply_limits = {shard.limits().reply_line_bytes_max, shard.limits().reply_bytes_max};
  options.verdict_text_bytes_max = shard.limits().recorded_reply_bytes_max;
  return std::make_unique<Dialog>(options);
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

// What TLS says of it, where that is why the connection is over; else null.
const TlsFailure* broken_tls(const Channel& channel) {
  const TlsEngine* const engine = channel.tls();
  if (engine == nullptr || !engine->failed()) return nullptr;
  const TlsFailure& failure = engine->failure();
  return failure.kind == TlsFailureKind::kTruncated ? nullptr : &failure;
}

Fault fault_of(const Channel& channel) {
  if (channel.fault() == IoError::kTimedOut) return Fault::kTimedOut;
  if (broken_tls(channel) != nullptr) return Fault::kTlsBroken;
  if (channel.tls() != nullptr && channel.tls()->failed()) return Fault::kClosed;
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
  const bool theirs = fault != Fault::kTimedOut && fault != Fault::kStopped;
  c.tls_broke = theirs && c.dialog->encrypted() && !c.dialog->ready();
  const TlsFailure* const tls = fault == Fault::kTlsBroken ? broken_tls(c.channel) : nullptr;
  c.dialog->fail(fault, tls == nullptr ? std::string_view() : tls->text);
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
    if (c.dialog->idle() && c.waits_to_sign) {
      c.channel.set_deadline(kForever);  // to be set anew: it is not for want of mail
    } else if (c.dialog->idle()) {
      c.dialog->quit();
    } else {
      give_up(c, Fault::kTimedOut);
    }
  }
}

// What is being sent is the content of the one message whose reply is due.
bool sends_the_last(const Connection& c) {
  const std::string_view due = c.dialog->waiting_for();
  if (due != "." && due != "BDAT") return false;
  const auto is_open = [](const InFlight& flight) { return flight.taken; };
  return std::count_if(c.in_flight.begin(), c.in_flight.end(), is_open) == 1;
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
  const SitePolicy& policy = lane.policy();
  Duration wait = policy.idle_timeout;
  if (c.channel.sending()) {
    // Who has to answer what came before may be slow to read on.
    wait = policy.timeouts.data_block;
    if (!sends_the_last(c)) wait = std::max(wait, c.dialog->reply_timeout());
  } else if (c.dialog->awaits_reply()) {
    wait = c.dialog->reply_timeout();
  }
  if (defect(Defect::kNoDeadline)) wait = std::chrono::hours(24 * 365);
  c.channel.set_deadline(shard.now() + wait);
}

void look_for_end(Shard& shard, Lane& lane, Connection& c) {
  // Behind what is in flight, without a round trip of its own.
  if (c.dialog->exhausted() || lane.must_yield(c) || lane.is_outdated(c)) c.dialog->quit();
  if (!c.dialog->idle()) return;
  const bool spare = c.answered > 0 && shard.connections_wanted() && !lane.has_mail();
  if (spare || shard.draining()) c.dialog->quit();
}

const char* name_of(TlsCheck passed) {
  switch (passed) {
    case TlsCheck::kNone:
      return "";
    case TlsCheck::kNames:
      return "names";
    case TlsCheck::kDane:
      return "dane";
  }
  return "";
}

// Between the reply to STARTTLS and EHLO within TLS.
Task<> make_handshake(Shard& shard, const Lane& lane, Connection& c) {
  const Instant deadline = shard.now() + lane.policy().timeouts.tls_handshake;
  const std::string peer = c.exchanger + ":" + std::to_string(c.channel.peer().port);
  // The command has left, since it was answered; that may not have been said yet.
  while (c.channel.sending() && c.channel.fault() == IoError::kNone && !c.channel.ended()) {
    co_await c.channel.changed();
    take_in(shard, c);
    if (c.dialog->finished()) co_return;
  }
  std::unique_ptr<TlsEngine> engine = shard.tls().connect(c.tls_plan.demand, peer, shard.now());
  Task<std::optional<TlsFailure>> handshake = c.channel.start_tls(std::move(engine), deadline);
  const std::optional<TlsFailure> failure = co_await std::move(handshake);
  if (failure) {
    ++shard.tls_counts().failed[static_cast<size_t>(failure->kind)];
    note_tls_failure(shard, lane, c, *failure);
    c.dialog->on_handshake_failed("TLS: " + failure->text);
    co_return;
  }
  c.tls_facts = c.channel.tls()->facts();
  c.tls.protocol = c.tls_facts.protocol;
  c.tls.cipher = c.tls_facts.cipher;
  c.tls.passed = name_of(c.tls_facts.passed);
  c.tls.resumed = c.tls_facts.resumed;
  c.tls.reason = {};
  c.dialog->on_encrypted();
}

void begin_note(Connection& c) {
  c.tls = {};
  const bool clear = c.tls_plan.starttls == StartTls::kNever;
  if (clear && c.tls_plan.why.empty()) return;
  c.tls.policy = c.tls_plan.policy;
  c.tls.reason = clear ? std::string_view(c.tls_plan.why) : "STARTTLS is not offered";
}

// Why it is in clear although TLS would have been used.
void end_note(Connection& c) {
  if (c.dialog->encrypted() || c.tls.policy.empty() || c.dialog->tls_refusal().empty()) return;
  c.tls_plan.why = "STARTTLS is refused: " + c.dialog->tls_refusal();
  c.tls.reason = c.tls_plan.why;
}

void count_session(Shard& shard, const Connection& c) {
  TlsCounts& counts = shard.tls_counts();
  if (!c.dialog->encrypted()) {
    ++counts.clear;
  } else {
    ++(c.tls_facts.resumed ? counts.resumed : counts.full);
  }
}

// TLS 1.3 lets a client speak before the server has judged it: what ends the session before the
// first reply within TLS is a handshake that failed.
void note_broken_tls(Shard& shard, const Lane& lane, const Connection& c) {
  const Verdict* const failure = c.dialog->session_failure();
  if (!c.tls_broke || failure == nullptr) return;
  TlsFailure broken;
  broken.text = failure->reply.text;
  ++shard.tls_counts().failed[static_cast<size_t>(broken.kind)];
  note_tls_failure(shard, lane, c, broken);
}

// From the greeting to the end of the session.
Task<> converse(Shard& shard, Lane& lane, Connection& c) {
  bool tls_noted = false;
  while (true) {
    if (c.dialog->wants_handshake()) {
      Task<> handshake = make_handshake(shard, lane, c);
      co_await std::move(handshake);
    }
    if (c.dialog->ready() && !c.greeted) {
      end_note(c);
      count_session(shard, c);
      lane.on_greeted(c);
    }
    learn_depth(shard, lane, c);
    take_messages(shard, lane, c);
    if (!tls_noted) tls_noted = note_tls_session(shard, lane, c);
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
  c.channel.set_deadline(shard.now() + std::min<Duration>(lane.policy().timeouts.quit, kCloseWait));
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

void plan_connection(Shard& shard, const Lane& lane, const Exchanger& exchanger, Connection& c) {
  const Instant now = shard.now();
  const TlsMemory::Note* memory = lane.site().tls.find(exchanger.name, now);
  TlsMemory::Note broken;
  if (c.clear_next) {
    // Whatever the memory's length is.
    broken.broken_until = kForever;
    broken.why = c.clear_why;
    memory = &broken;
    c.clear_next = false;
  }
  const Configuration::Tls& tls = shard.config().tls;
  LaneTerms terms = terms_in_force(lane.terms(), lane.policy(), tls);
  // It may end before the lane has asked for the next one.
  if (terms.sts != nullptr && terms.sts->expires <= shard.wall_now()) terms.sts = nullptr;
  // TLSA records are asked for at [smtp] port: those of another port say nothing of this one.
  const uint16_t usual = shard.config().smtp.port;
  if (lane.policy().smtp_port.value_or(usual) != usual) terms.dane = false;
  c.tls_plan = plan_tls(policy_of(lane.policy(), tls), terms, exchanger, memory, now);
  begin_note(c);
}

// True when the exchanger is to be dialled again, in clear: TLS does not work there, and the mail
// may do without.
bool learn_broken_tls(Shard& shard, Lane& lane, Connection& c) {
  const Verdict* failure = c.dialog->session_failure();
  if (failure == nullptr || c.dialog->ready() || shard.draining()) return false;
  const bool refused =
      std::string_view(failure->command) == "STARTTLS" && failure->reply.code != 421;
  const bool tried = refused || c.tls_broke;
  if (!tried || c.dialog->injected() || !c.tls_plan.falls_back) return false;
  c.clear_next = true;
  c.clear_why = failure->reply.text;
  const Duration length = lane.policy().remember_broken_tls;
  const Instant now = shard.now();
  lane.site().tls.broke(c.exchanger, c.clear_why, now, now + length);
  return true;
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
  const SitePolicy& policy = lane.policy();
  const uint16_t port = policy.smtp_port.value_or(shard.config().smtp.port);
  std::string reason = "no exchanger has an address that source " + source.name + " can dial";
  bool reached = false;
  bool answered = false;
  bool theirs = false;                    // not only what is wrong here kept it from being reached
  std::optional<Family> unusable_family;  // of which the source has no usable address
  // Every dial counts against the connection rate; the lane had a permit for the first.
  bool permit = true;
  for (size_t next = 0; next < targets.size(); ++next) {
    const Target& target = targets[next];
    if (unusable_family == target.address.family) continue;
    c.exchanger = target.exchanger->name;
    plan_connection(shard, lane, *target.exchanger, c);
    if (c.tls_plan.skip) {
      reason = c.exchanger + " is not used: " + c.tls_plan.why;
      theirs = true;
      const auto is_same = [&](const Target& it) { return it.exchanger == target.exchanger; };
      const auto here = targets.begin() + static_cast<std::ptrdiff_t>(next);
      if (std::none_of(targets.begin(), here, is_same)) note_tls_skip(shard, lane, c);
      continue;
    }
    if (shard.draining() || !(std::exchange(permit, false) || lane.may_dial_next())) break;
    const SocketAddress to{target.address, port};
    const IoResult dialled = co_await c.channel.dial(
        to, local_address(source, target.address.family), shard.now() + policy.timeouts.connect);
    if (!dialled.ok()) {
      reason = c.exchanger + " (" + to_string(to) + "): " + std::string(name_of(dialled.error));
      if (dialled.error == IoError::kNoDescriptors || dialled.error == IoError::kCancelled) break;
      if (dialled.error == IoError::kAddressUnusable) {
        reason = unusable_source(source, target.address.family);
        unusable_family = target.address.family;
        continue;
      }
      theirs = true;
      lane.on_address_failed(target.address, shard.now(), shard.now() + kRest);
      continue;
    }
    theirs = true;
    c.tls_broke = false;
    c.dialog = make_dialog(shard, lane, c.tls_plan.starttls);
    c.session = shard.next_session();
    co_await converse(shard, lane, c);
    // Who fell out of step is not to go on reading what was sent.
    const Verdict* failure = c.dialog->session_failure();
    if (failure == nullptr || failure->reply.code != 0) co_await await_peer_end(shard, lane, c);
    co_await c.channel.close();
    for (InFlight& flight : c.in_flight) flight.content_out = false;
    c.outputs.clear();
    reached = c.dialog->ready();
    answered = reached && (failure == nullptr || c.answered > 0);
    if (failure != nullptr) reason = failure_text(c, *failure);
    if (c.dialog->used_up_after() > 0) lane.on_used_up(c.dialog->used_up_after());
    if (c.dialog->learnt_recipients_max() > 0) {
      lane.on_recipients_learnt(c.dialog->learnt_recipients_max());
    }
    learn_end(shard, lane, c);
    note_tls_end(shard, lane, c);
    note_broken_tls(shard, lane, c);
    if (learn_broken_tls(shard, lane, c)) {
      --next;  // once more, in clear
      continue;
    }
    if (answered) lane.site().on_answered(target.address);
    if (!answered) lane.on_address_failed(target.address, shard.now(), shard.now() + kRest);
    if (reached) break;
  }
  shard.signing_queue().leave(c);
  if (!answered && !shard.draining()) lane.on_unreachable(c, reason, !theirs);
  for (InFlight& flight : c.in_flight) {
    if (flight.message) shard.return_buffer(std::move(flight.message));
  }
}

}  // namespace sluice
