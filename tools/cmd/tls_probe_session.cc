#include "tools/cmd/tls_probe_session.h"

#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/connect/channel.h"
#include "engine/converse/dialog.h"

namespace sluice::tools {
namespace {

constexpr size_t kOutputsAtOnce = 8;

struct Talk {
  Talk(Loop& loop, const DialogOptions& options) : channel(loop), dialog(options) {}

  Channel channel;
  Dialog dialog;
  std::vector<iovec> pieces;  // with the channel
  bool greeted = false;       // the greeting's first line is whole
  // What had happened when the deadline was set.
  uint64_t sent_bytes = 0;
  const char* waiting_for = nullptr;
};

std::unique_ptr<Talk> make_talk(Loop& loop, const ProbeTarget& target, const TlsPlan& plan) {
  DialogOptions options;
  options.hello = target.hello;
  options.starttls = plan.starttls;
  options.in_flight_max = 1;
  options.timeouts = target.timeouts;
  return std::make_unique<Talk>(loop, options);
}

void note_greeting(std::string_view received, Talk& talk, ProbedSession& out) {
  if (talk.greeted) return;
  const size_t end = received.find('\n');
  talk.greeted = end != std::string_view::npos;
  out.greeting += received.substr(0, end);
  if (out.greeting.size() > kGreetingMax) out.greeting.resize(kGreetingMax);
  if (talk.greeted && out.greeting.ends_with('\r')) out.greeting.pop_back();
}

void say(Talk& talk) {
  if (talk.channel.sending()) return;
  std::array<Dialog::Output, kOutputsAtOnce> outputs;
  const size_t count = talk.dialog.gather(outputs);
  if (count == 0) return;
  talk.pieces.clear();
  for (size_t i = 0; i < count; ++i) {
    talk.pieces.push_back({const_cast<char*>(outputs[i].bytes.data()), outputs[i].bytes.size()});
  }
  talk.channel.send(talk.pieces);
}

void hear(Talk& talk, ProbedSession& out) {
  talk.channel.update();
  if (!talk.pieces.empty() && !talk.channel.sending()) {
    talk.dialog.sent(talk.pieces.size());
    talk.pieces.clear();
  }
  if (!talk.channel.received().empty()) {
    note_greeting(talk.channel.received(), talk, out);
    const bool starting = std::string_view(talk.dialog.waiting_for()) == "STARTTLS";
    talk.dialog.receive(talk.channel.received());
    talk.channel.consumed();
    out.offered = out.offered || starting;
    out.refused = out.refused || (starting && talk.dialog.ready());
  }
  if (talk.dialog.finished()) return;
  if (talk.channel.deadline_passed() || talk.channel.fault() == IoError::kTimedOut) {
    talk.dialog.fail(Fault::kTimedOut);
  } else if (talk.channel.fault() != IoError::kNone) {
    talk.dialog.fail(Fault::kReset);
  } else if (talk.channel.ended()) {
    talk.dialog.fail(Fault::kClosed);
  }
}

// Counts from the last progress: octets of a reply that come one by one are none.
void set_deadline(Loop& loop, const ProbeTarget& target, Talk& talk) {
  const char* const waiting_for = talk.dialog.waiting_for();
  const bool same = talk.sent_bytes == talk.channel.sent_bytes() && talk.waiting_for == waiting_for;
  if (same && talk.channel.deadline_armed()) return;
  talk.sent_bytes = talk.channel.sent_bytes();
  talk.waiting_for = waiting_for;
  const Duration wait =
      talk.dialog.awaits_reply() ? talk.dialog.reply_timeout() : target.timeouts.quit;
  talk.channel.set_deadline(loop.now() + wait);
}

Task<> make_handshake(Loop& loop, TlsFactory& factory, const ProbeTarget& target,
                      const TlsPlan& plan, Talk& talk, ProbedSession& out) {
  // The command has left, since it was answered; that may not have been said yet.
  while (talk.channel.sending() && talk.channel.fault() == IoError::kNone &&
         !talk.channel.ended()) {
    co_await talk.channel.changed();
    hear(talk, out);
    if (talk.dialog.finished()) co_return;
  }
  const std::string name = target.exchanger.name + ":" + std::to_string(target.to.port);
  TlsDemand demand = plan.demand;
  demand.peer = out.peer;
  std::unique_ptr<TlsEngine> engine = factory.connect(demand, name, loop.now());
  const Instant deadline = loop.now() + target.timeouts.tls_handshake;
  Task<std::optional<TlsFailure>> shaking = talk.channel.start_tls(std::move(engine), deadline);
  out.broken = co_await std::move(shaking);
  if (out.broken) {
    talk.dialog.on_handshake_failed("TLS: " + out.broken->text);
    co_return;
  }
  out.facts = talk.channel.tls()->facts();
  talk.dialog.on_encrypted();
}

std::string failure_words(const Verdict& failure) {
  std::string words;
  if (failure.command[0] != '\0') words += "after " + std::string(failure.command) + ": ";
  if (failure.reply.code != 0) words += std::to_string(failure.reply.code) + " ";
  if (failure.reply.enhanced.present()) words += to_string(failure.reply.enhanced) + " ";
  return words + failure.reply.text;
}

// One connection. True when mail would be sent on another one then, in clear.
Task<bool> converse(Loop& loop, TlsFactory& factory, const ProbeTarget& target, const TlsPlan& plan,
                    ProbedSession& out) {
  const std::unique_ptr<Talk> talk = make_talk(loop, target, plan);
  Task<IoResult> dialling =
      talk->channel.dial(target.to, target.from, loop.now() + target.timeouts.connect);
  const IoResult dialled = co_await std::move(dialling);
  out.connected = dialled.ok();
  if (!dialled.ok()) {
    out.failure = dialled.error == IoError::kAddressUnusable
                      ? "the source's address is none of this host, or no port of it is left"
                      : std::string(name_of(dialled.error));
    co_return false;
  }
  while (!talk->dialog.finished()) {
    if (talk->dialog.wants_handshake()) {
      out.offered = true;
      Task<> handshake = make_handshake(loop, factory, target, plan, *talk, out);
      co_await std::move(handshake);
    }
    if (talk->dialog.ready() && !out.ready) {
      out.ready = true;
      out.offered = out.offered || talk->dialog.capabilities().starttls;
      talk->dialog.quit();
    }
    say(*talk);
    if (talk->dialog.finished()) break;
    set_deadline(loop, target, *talk);
    co_await talk->channel.changed();
    hear(*talk, out);
  }
  Task<> closing = talk->channel.close();
  co_await std::move(closing);
  const Verdict* const failure = talk->dialog.session_failure();
  if (out.ready || failure == nullptr) co_return false;
  out.failure = failure_words(*failure);
  const bool of_tls =
      std::string_view(failure->command) == "STARTTLS" && failure->reply.code != 421;
  co_return of_tls&& plan.falls_back && !talk->dialog.injected();
}

}  // namespace

TlsPlan plan_of(const ProbeTarget& target) {
  return plan_tls(target.policy, target.terms, target.exchanger, nullptr, Instant{});
}

Task<> probe_session(Loop& loop, TlsFactory& factory, ProbeTarget target, ProbedSession& out) {
  const TlsPlan plan = plan_of(target);
  Task<bool> first = converse(loop, factory, target, plan, out);
  const bool again = co_await std::move(first);
  if (!again) co_return;
  TlsMemory::Note broken;
  broken.broken_until = kForever;
  broken.why = std::exchange(out.failure, {});
  out.greeting.clear();
  const TlsPlan in_clear =
      plan_tls(target.policy, target.terms, target.exchanger, &broken, loop.now());
  Task<bool> second = converse(loop, factory, target, in_clear, out);
  (void)co_await std::move(second);
}

}  // namespace sluice::tools
