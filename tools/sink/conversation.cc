#include "tools/sink/conversation.h"

namespace sluice::sink {
namespace {

// A record of TLS: alert, TLS 1.2, 2 octets: fatal, handshake_failure.
constexpr std::string_view kAlertRecord("\x15\x03\x03\x00\x02\x02\x28", 7);
constexpr std::string_view kNoTls = "500 5.5.1 Sorry, what?\r\n";

}  // namespace

Conversation::Conversation(SessionContext& context, bool offers_tls)
    : context_(&context), session_(context) {
  if (!offers_tls || context.tls == nullptr) session_.offer_no_tls();
}

Next Conversation::feed(std::string_view octets, std::string& out) {
  if (tls_) return feed_tls(octets, out);
  const Next next = session_.feed(octets, out);
  if (next != Next::kTls) return next;
  tls_.emplace(*context_->tls);
  return Next::kGoOn;
}

Next Conversation::feed_tls(std::string_view octets, std::string& out) {
  const size_t from = out.size();
  tls_->give(octets);
  Next next = Next::kGoOn;
  while (next == Next::kGoOn) {
    const std::string_view plain = tls_->read(out);
    if (!answered_ && out.size() > from && !tls_->failed()) {
      answered_ = true;
      const Fault& fault = context_->faults.draw(Command::kHandshake);
      if (fault.action != FaultAction::kNone) return strike(fault, from, out);
    }
    if (!announced_ && tls_->open()) opened();
    if (plain.empty()) break;
    std::string& replies = context_->replies;
    replies.clear();
    next = session_.feed(plain, replies);
    tls_->write(replies, out);
  }
  return end_tls(next, out);
}

Next Conversation::end_tls(Next next, std::string& out) {
  if (tls_->failed()) {
    failed(tls_->failure());
    return Next::kClose;
  }
  if (tls_->ended() && next == Next::kGoOn) next = Next::kClose;
  if (next == Next::kClose && announced_ && !session_.breaks_off()) tls_->end(out);
  return next;
}

void Conversation::opened() {
  announced_ = true;
  TlsCounts& counts = context_->counts.tls;
  ++counts.handshakes;
  if (tls_->resumed()) ++counts.resumed;
  const std::string_view protocol = tls_->protocol();
  const std::string_view cipher = tls_->cipher();
  ++counts.sessions[std::string(protocol) + " " + std::string(cipher)];
  const std::string name = tls_->server_name();
  if (!name.empty()) {
    const bool known = counts.server_names.count(name) > 0;
    if (known || counts.server_names.size() < TlsCounts::kServerNamesMax) {
      ++counts.server_names[name];
    }
  }
  session_.begin_tls(protocol);
  context_->recorder.tls_opened(TlsOpened{protocol, cipher, name, tls_->resumed()});
}

void Conversation::failed(const std::string& reason) {
  ++context_->counts.tls.failed[reason];
  context_->recorder.tls_failed(reason);
}

void Conversation::client_gone() {
  if (!tls_) return;
  if (announced_) {
    ++context_->counts.tls.truncated;
  } else {
    failed("the client ended the connection");
  }
}

Next Conversation::strike(const Fault& fault, size_t from, std::string& out) {
  ++context_->counts.refused[{Command::kHandshake, uint16_t{0}}];
  const size_t flight = out.size() - from;
  out.resize(fault.action == FaultAction::kCut ? from + flight / 2 : from);
  switch (fault.action) {
    case FaultAction::kReset:
      return Next::kReset;
    case FaultAction::kHang:
      return Next::kHang;
    case FaultAction::kGarbage:
      out += kNoTls;
      return Next::kHang;
    case FaultAction::kAlert:
      out += kAlertRecord;
      return Next::kClose;
    default:
      return Next::kClose;
  }
}

}  // namespace sluice::sink
