#include "engine/converse/dialog.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/strings.h"
#include "engine/converse/commands.h"

namespace sluice {
namespace {

constexpr std::string_view kDataLine = "DATA\r\n";
constexpr std::string_view kDotLine = ".\r\n";
constexpr std::string_view kRsetLine = "RSET\r\n";
// Recipient domains remembered for RCPTDOMAINMAX; a receiver that allows more gets these.
constexpr size_t kDomainsMax = 64;

constexpr std::string_view kQuitLine = "QUIT\r\n";

// Twice the window, so that messages whose verdict is not proved, not collected, or whose bytes are
// still on their way do not close it.
size_t slots_for(const DialogOptions& options) {
  CHECK(options.in_flight_max > 0);
  return 2 * static_cast<size_t>(options.in_flight_max) + 2;
}

std::string hello_line(std::string_view verb, std::string_view name) {
  CHECK(!name.empty());
  for (const char c : name) CHECK(c > ' ' && c < 0x7F);
  return std::string(verb) + " " + std::string(name) + "\r\n";
}

}  // namespace

// At most seven commands and pieces belong to a slot (RSET, the envelope's three, content, dot,
// lone dot), and a slot is not reused while one of its own is queued; EHLO, HELO and QUIT come on
// top.
Dialog::Dialog(const DialogOptions& options)
    : options_(options),
      ehlo_(hello_line("EHLO", options.hello)),
      helo_(hello_line("HELO", options.hello)),
      parser_(options.reply_limits),
      slots_(slots_for(options)),
      open_(options.in_flight_max),
      held_(slots_.size()),
      judged_(slots_.size()),
      expected_(7 * slots_.size() + 8),
      pieces_(7 * slots_.size() + 8) {
  expected_.push({Step::kBanner, kNoSlot});
  live_ = 1;
}

// ---- Messages.

uint32_t Dialog::window() const { return pipelining_ ? options_.in_flight_max : 1; }

Dialog::SlotIndex Dialog::free_slot() const {
  for (SlotIndex i = 0; i < slots_.size(); ++i) {
    if (slots_[i].phase == Phase::kFree && slots_[i].pieces == 0) return i;
  }
  return kNoSlot;
}

bool Dialog::exhausted() const {
  if (finished_ || quit_wanted_ || domains_full_) return true;
  const uint32_t most = options_.deliveries_max + (defect(Defect::kOneMoreDelivery) ? 1 : 0);
  return (options_.deliveries_max != 0 && taken_ >= most) ||
         (capabilities_.mail_max != 0 && taken_ >= capabilities_.mail_max);
}

bool Dialog::wants_message() const {
  return ready_ && !exhausted() && open_.size() < window() && free_slot() != kNoSlot;
}

void Dialog::take(uint64_t ticket, const Envelope& envelope) {
  CHECK(wants_message());
  const SlotIndex index = free_slot();
  Slot& slot = slots_[index];
  slot.plainer = slot.refused = slot.handed_out = slot.dot_handed_out = false;
  slot.commands.clear();
  slot.result.ticket = ticket;
  Verdict& verdict = slot.result.verdict;
  verdict.maybe_delivered = false;
  const bool smtputf8 =
      envelope.smtputf8 || !is_ascii(envelope.sender) || !is_ascii(envelope.recipient);
  if (refuse_unsent(envelope, smtputf8, verdict)) {
    release(index);
    return;
  }
  if (!admit_domain(envelope.recipient)) {
    domains_full_ = true;
    verdict.state = State::kWaiting;
    verdict.scope = Scope::kConnection;
    verdict.reply = {0, {}, "this connection takes no further recipient domain"};
    verdict.command = "";
    release(index);
    return;
  }
  append_mail(envelope.sender, {envelope.size, envelope.eight_bit, smtputf8}, capabilities_,
              slot.commands);
  slot.mail_end = static_cast<uint32_t>(slot.commands.size());
  append_rcpt(envelope.recipient, slot.commands);
  slot.rcpt_end = static_cast<uint32_t>(slot.commands.size());
  slot.commands.append(kDataLine);
  slot.phase = Phase::kQueued;
  open_.push(index);
  ++taken_;
  advance();
}

bool Dialog::admit_domain(std::string_view recipient) {
  if (capabilities_.rcpt_domain_max == 0) return true;
  const std::string_view domain = recipient.substr(recipient.rfind('@') + 1);
  for (const std::string& known : domains_) {
    if (equals_ignore_case(known, domain)) return true;
  }
  if (domains_.size() >= std::min<size_t>(capabilities_.rcpt_domain_max, kDomainsMax)) return false;
  domains_.emplace_back(domain);
  return true;
}

bool Dialog::refuse_unsent(const Envelope& envelope, bool smtputf8, Verdict& verdict) const {
  const auto refuse = [&verdict](EnhancedCode enhanced, Scope scope, std::string_view why) {
    verdict.state = State::kBounced;
    verdict.scope = scope;
    verdict.reply.code = 0;
    verdict.reply.enhanced = enhanced;
    verdict.reply.text.assign(why);
    verdict.command = "";
    return true;
  };
  if (!is_safe_address(envelope.sender)) {
    return refuse({5, 1, 7}, Scope::kMessage, "sender address cannot stand in a command");
  }
  if (envelope.recipient.empty() || !is_safe_address(envelope.recipient)) {
    return refuse({5, 1, 3}, Scope::kRecipient, "recipient address cannot stand in a command");
  }
  if (capabilities_.size_limit != 0 && envelope.size > capabilities_.size_limit) {
    return refuse({5, 3, 4}, Scope::kMessage, "message exceeds the size that the receiver offers");
  }
  if (smtputf8 && !capabilities_.smtputf8) {
    return refuse({5, 6, 7}, Scope::kRecipient, "receiver does not offer SMTPUTF8");
  }
  if (envelope.eight_bit && !capabilities_.eight_bit_mime) {
    return refuse({5, 6, 3}, Scope::kMessage, "receiver does not offer 8BITMIME");
  }
  return false;
}

bool Dialog::idle() const {
  return ready_ && !finished_ && open_.empty() && expected_.empty() && pieces_.empty();
}

void Dialog::quit() {
  quit_wanted_ = true;
  advance();
}

// ---- Output.

void Dialog::push_piece(const Piece& piece) {
  if (piece.slot != kNoSlot) ++slots_[piece.slot].pieces;
  pieces_.push(piece);
}

void Dialog::push_command(std::string_view bytes, Step step, SlotIndex slot) {
  expected_.push({step, slot});
  push_piece({{Output::Kind::kCommands, bytes, 0}, slot, 1, false});
}

void Dialog::push_envelope(SlotIndex index) {
  Slot& slot = slots_[index];
  slot.phase = Phase::kEnvelope;
  envelope_ = index;
  const std::string_view commands = slot.commands;
  if (!pipelining_) {
    push_command(commands.substr(0, slot.mail_end), Step::kMail, index);
    return;
  }
  expected_.push({Step::kMail, index});
  expected_.push({Step::kRcpt, index});
  expected_.push({Step::kData, index});
  push_piece({{Output::Kind::kCommands, commands, 0}, index, 3, false});
}

void Dialog::push_content(SlotIndex index) {
  Slot& slot = slots_[index];
  slot.phase = Phase::kContent;
  expected_.push({Step::kDot, index});
  push_piece({{Output::Kind::kContent, {}, slot.result.ticket}, index, 0, false});
  push_piece({{Output::Kind::kCommands, kDotLine, 0}, index, 1, true});
}

// DATA is the last command of a flight (RFC 2920 §3.1): the next envelope waits until it is
// answered, and then goes behind the content.
void Dialog::advance() {
  if (finished_ || !ready_) return;
  if (pipelining_ ? envelope_ != kNoSlot : !expected_.empty()) return;
  if (reset_due_) {
    reset_due_ = false;
    push_command(kRsetLine, Step::kRset, kNoSlot);
    if (!pipelining_) return;
  }
  for (size_t i = 0; i < open_.size(); ++i) {
    if (slots_[open_[i]].phase == Phase::kQueued) {
      push_envelope(open_[i]);
      return;
    }
  }
  if (quit_wanted_ && !quit_queued_ && open_.empty()) {
    quit_queued_ = true;
    push_command(kQuitLine, Step::kQuit, kNoSlot);
  }
}

size_t Dialog::gather(std::span<Output> out) {
  size_t count = 0;
  while (!finished_ && count < out.size() && handed_out_ < pieces_.size()) {
    const Piece& piece = pieces_[handed_out_++];
    out[count++] = piece.output;
    live_ += piece.replies;
    if (piece.slot == kNoSlot) continue;
    Slot& slot = slots_[piece.slot];
    if (!slot.handed_out) ++transactions_;
    slot.handed_out = true;
    if (piece.dot) slot.dot_handed_out = true;
  }
  return count;
}

void Dialog::sent(size_t count) {
  CHECK(count <= handed_out_);
  handed_out_ -= count;
  for (; count > 0; --count) {
    const Piece piece = pieces_.pop();
    if (piece.slot != kNoSlot) --slots_[piece.slot].pieces;
  }
}

void Dialog::not_sent() {
  if (finished_) return;
  for (size_t i = 0; i < handed_out_; ++i) {
    if (pieces_[i].dot) slots_[pieces_[i].slot].dot_handed_out = false;
  }
}

// ---- What it waits for.

Duration Dialog::reply_timeout() const {
  return awaits_reply() ? timeout_of(expected_.front().step, options_.timeouts) : Duration::zero();
}

const char* Dialog::waiting_for() const {
  return awaits_reply() ? name_of(expected_.front().step) : "";
}

const DialogVerdict* Dialog::next_verdict() {
  if (judged_.empty()) return nullptr;
  Slot& slot = slots_[judged_.pop()];
  slot.phase = Phase::kFree;  // its memory stays as it is until it is taken again
  return &slot.result;
}

}  // namespace sluice
