#include "engine/converse/dialog.h"

#include <algorithm>
#include <charconv>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/strings.h"
#include "engine/converse/commands.h"

namespace sluice {
namespace {

constexpr std::string_view kDataLine = "DATA\r\n";
constexpr std::string_view kDotLine = ".\r\n";
constexpr std::string_view kRsetLine = "RSET\r\n";
constexpr std::string_view kQuitLine = "QUIT\r\n";
// What a server that does not swallow a refused chunk takes for commands does no harm.
constexpr std::string_view kProbeFlight =
    "RSET\r\nBDAT 18 LAST\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n";
// RSET, NOOP and EHLO.
constexpr uint32_t kProbeCommands = 3;
// Recipient domains remembered for RCPTDOMAINMAX; a receiver that allows more gets these.
constexpr size_t kDomainsMax = 64;
// While one content is on its way, one envelope behind it.
constexpr uint32_t kOverlappedWindow = 2;

// Twice the window, so that messages whose verdict is not proved, not collected, or whose bytes are
// still on their way do not close it.
size_t slots_for(const DialogOptions& options) {
  CHECK(options.in_flight_max > 0 && options.recipients_max > 0);
  return 2 * static_cast<size_t>(options.in_flight_max) + 2;
}

// At most eight commands and pieces belong to a slot (RSET, the envelope's three, content with its
// end, lone dot), and a slot is not reused while one of its own is queued; without PIPELINING each
// recipient is a piece of its own; EHLO, HELO, the probe and QUIT come on top.
size_t queue_for(const DialogOptions& options) {
  return 8 * slots_for(options) + 12 + options.recipients_max;
}

std::string hello_line(std::string_view verb, std::string_view name) {
  CHECK(!name.empty());
  for (const char c : name) CHECK(c > ' ' && c < 0x7F);
  return std::string(verb) + " " + std::string(name) + "\r\n";
}

void append_bdat(uint64_t size, std::string& out) {
  char digits[20];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, size);
  out.append("BDAT ").append(digits, end.ptr).append(" LAST\r\n");
}

}  // namespace

// Why a recipient gets a verdict without being sent.
struct Dialog::Unsent {
  State state;
  Scope scope;
  EnhancedCode enhanced;
  std::string_view text;
};

Dialog::Dialog(const DialogOptions& options)
    : options_(options),
      ehlo_(hello_line("EHLO", options.hello)),
      helo_(hello_line("HELO", options.hello)),
      slots_max_(slots_for(options)),
      parser_(options.reply_limits),
      open_(options.in_flight_max),
      held_(slots_max_),
      judged_(slots_max_),
      expected_(queue_for(options)),
      pieces_(queue_for(options)) {
  expected_.push({Step::kBanner, kNoSlot});
  live_ = 1;
}

// ---- How far to go.

void Dialog::set_depth(const DialogDepth& depth) {
  CHECK(ready_);
  if (finished_) return;
  if (taken_ == 0) {
    one_at_a_time_ = depth.one_at_a_time;
    chunking_ = chunking_ && depth.chunking;
  }
  blind_ = chunking_ && !one_at_a_time_ ? depth.blind : 0;
  few_refusals_ = depth.few_refusals;
  probe_due_ = depth.probe && chunking_ && probe_ == Probe::kNotMade && !exhausted();
  advance();
}

// The probe's commands count as those that follow a refusal do.
uint32_t Dialog::refusals_left() const {
  const uint32_t spent = refused_envelopes_ + (probe_ == Probe::kNotMade ? 0 : kProbeCommands);
  return options_.refusals_max - std::min(spent, options_.refusals_max);
}

uint32_t Dialog::window() const {
  if (!pipelining_ || one_at_a_time_) return 1;
  if (blind_ == 0) return std::min(options_.in_flight_max, kOverlappedWindow);
  uint32_t most = std::min(options_.in_flight_max, blind_);
  if (few_refusals_ && options_.refusals_max != 0) {
    most = std::min(most, std::max(refusals_left(), 1U));
  }
  return most;
}

uint32_t Dialog::recipients_at_once() const {
  uint32_t most = options_.recipients_max;
  if (capabilities_.rcpt_max != 0) most = std::min(most, capabilities_.rcpt_max);
  if (learnt_recipients_ != 0) most = std::min(most, learnt_recipients_);
  return most;
}

// ---- Messages.

Dialog::SlotIndex Dialog::free_slot() const {
  for (SlotIndex i = 0; i < slots_.size(); ++i) {
    if (slots_[i].phase == Phase::kFree && slots_[i].pieces == 0) return i;
  }
  return kNoSlot;
}

Dialog::SlotIndex Dialog::make_slot() {
  const SlotIndex free = free_slot();
  if (free != kNoSlot) return free;
  CHECK(slots_.size() < slots_max_);
  slots_.emplace_back();
  return static_cast<SlotIndex>(slots_.size() - 1);
}

bool Dialog::exhausted() const {
  if (finished_ || quit_wanted_ || domains_full_) return true;
  if (options_.refusals_max != 0 && refusals_left() == 0) return true;
  const uint32_t most = options_.deliveries_max + (defect(Defect::kOneMoreDelivery) ? 1 : 0);
  return (options_.deliveries_max != 0 && taken_ >= most) ||
         (capabilities_.mail_max != 0 && taken_ >= capabilities_.mail_max);
}

bool Dialog::wants_message() const {
  return ready_ && !exhausted() && !probe_due_ && probe_ != Probe::kUnderWay &&
         open_.size() < window() && (open_.empty() || bytes_open_ < options_.in_flight_bytes_max) &&
         (slots_.size() < slots_max_ || free_slot() != kNoSlot);
}

void Dialog::take(uint64_t ticket, const Envelope& envelope) {
  const Addressee one = {ticket, envelope.recipient};
  take(std::span(&one, 1), envelope);
}

void Dialog::take(std::span<const Addressee> addressees, const Envelope& envelope) {
  CHECK(wants_message() && !addressees.empty() && addressees.size() <= recipients_at_once());
  const SlotIndex index = make_slot();
  Slot& slot = slots_[index];
  slot.blind = slot.plainer = slot.refused = slot.handed_out = slot.end_handed_out = false;
  slot.count = static_cast<uint32_t>(addressees.size());
  slot.said = slot.answered = slot.accepted = slot.given = 0;
  slot.content = addressees.front().ticket;
  slot.size = envelope.size;
  if (slot.recipients.size() < slot.count) slot.recipients.resize(slot.count);

  bool smtputf8 = envelope.smtputf8 || !is_ascii(envelope.sender);
  const Unsent* const message_unsent = why_unsent(envelope);
  uint32_t unsent_from = slot.count;
  const auto is_sent = [&](const Addressee& addressee) {
    const Unsent* why = why_unsent(addressee.address, smtputf8);
    if (message_unsent != nullptr) why = message_unsent;
    Recipient& recipient = slot.recipients[why == nullptr ? slot.said++ : --unsent_from];
    recipient.result.ticket = addressee.ticket;
    recipient.refused = why != nullptr;
    Verdict& verdict = recipient.result.verdict;
    verdict.maybe_delivered = false;
    if (why == nullptr) return true;
    verdict.state = why->state;
    verdict.scope = why->scope;
    verdict.reply.code = 0;
    verdict.reply.enhanced = why->enhanced;
    verdict.reply.text.assign(why->text);
    verdict.command = "";
    return false;
  };
  slot.commands.clear();
  for (const Addressee& addressee : addressees) {
    if (is_sent(addressee)) append_rcpt(addressee.address, slot.commands);
  }
  if (slot.said == 0) {
    release(index);
    return;
  }
  smtputf8 = smtputf8 || !is_ascii(slot.commands);
  scratch_.clear();
  append_mail(envelope.sender, {envelope.size, envelope.eight_bit, smtputf8}, capabilities_,
              scratch_);
  slot.commands.insert(0, scratch_);
  slot.mail_end = static_cast<uint32_t>(scratch_.size());
  slot.rcpt_end = static_cast<uint32_t>(slot.commands.size());
  if (chunking_) {
    append_bdat(envelope.size, slot.commands);
  } else {
    slot.commands.append(kDataLine);
  }
  slot.phase = Phase::kQueued;
  open_.push(index);
  bytes_open_ += slot.size;
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

const Dialog::Unsent* Dialog::why_unsent(const Envelope& envelope) const {
  static constexpr Unsent kBadSender = {
      State::kBounced, Scope::kMessage, {5, 1, 7}, "sender address cannot stand in a command"};
  static constexpr Unsent kTooLarge = {State::kBounced,
                                       Scope::kMessage,
                                       {5, 3, 4},
                                       "message exceeds the size that the receiver offers"};
  static constexpr Unsent kEightBit = {
      State::kBounced, Scope::kMessage, {5, 6, 3}, "receiver does not offer 8BITMIME"};
  if (!is_safe_address(envelope.sender)) return &kBadSender;
  if (capabilities_.size_limit != 0 && envelope.size > capabilities_.size_limit) return &kTooLarge;
  if (envelope.eight_bit && !capabilities_.eight_bit_mime) return &kEightBit;
  return nullptr;
}

const Dialog::Unsent* Dialog::why_unsent(std::string_view recipient, bool smtputf8) {
  static constexpr Unsent kBadRecipient = {
      State::kBounced, Scope::kRecipient, {5, 1, 3}, "recipient address cannot stand in a command"};
  static constexpr Unsent kSmtpUtf8 = {
      State::kBounced, Scope::kRecipient, {5, 6, 7}, "receiver does not offer SMTPUTF8"};
  static constexpr Unsent kDomainsFull = {
      State::kWaiting, Scope::kConnection, {}, "this connection takes no further recipient domain"};
  if (recipient.empty() || !is_safe_address(recipient)) return &kBadRecipient;
  if ((smtputf8 || !is_ascii(recipient)) && !capabilities_.smtputf8) return &kSmtpUtf8;
  if (!admit_domain(recipient)) {
    domains_full_ = true;
    return &kDomainsFull;
  }
  return nullptr;
}

bool Dialog::idle() const {
  return ready_ && !finished_ && open_.empty() && expected_.empty() && pieces_.empty();
}

void Dialog::quit() {
  quit_wanted_ = true;
  probe_due_ = false;
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

void Dialog::push_reset() {
  reset_due_ = false;
  clean_ = true;
  push_command(kRsetLine, Step::kRset, kNoSlot);
}

void Dialog::push_envelope(SlotIndex index) {
  Slot& slot = slots_[index];
  if (chunking_ && !clean_ && !defect(Defect::kForgetReset)) push_reset();
  clean_ = false;
  slot.phase = Phase::kEnvelope;
  slot.answered = slot.accepted = 0;
  bytes_pushed_ += slot.size;
  const std::string_view commands = slot.commands;
  slot.blind = blind_ > 0 && slot.size <= options_.in_flight_bytes_max;
  if (!slot.blind) envelope_ = index;
  if (!pipelining_) {
    slot.rcpt_next = slot.mail_end;
    push_command(commands.substr(0, slot.mail_end), Step::kMail, index);
    return;
  }
  expected_.push({Step::kMail, index});
  expected_.push({Step::kRcpt, index, slot.said});
  if (!chunking_) {
    expected_.push({Step::kData, index});
    push_piece({{Output::Kind::kCommands, commands, 0}, index, 2 + slot.said, false});
  } else if (slot.blind) {
    expected_.push({Step::kBdat, index});
    push_piece({{Output::Kind::kCommands, commands, 0}, index, 1 + slot.said, false});
    push_piece({{Output::Kind::kContent, {}, slot.content}, index, 1, true});
  } else {
    push_piece({{Output::Kind::kCommands, commands.substr(0, slot.rcpt_end), 0},
                index,
                1 + slot.said,
                false});
  }
}

void Dialog::push_next_recipient(SlotIndex index) {
  Slot& slot = slots_[index];
  const size_t end = slot.commands.find('\n', slot.rcpt_next) + 1;
  const std::string_view commands = slot.commands;
  push_command(commands.substr(slot.rcpt_next, end - slot.rcpt_next), Step::kRcpt, index);
  slot.rcpt_next = static_cast<uint32_t>(end);
}

void Dialog::push_content(SlotIndex index) {
  Slot& slot = slots_[index];
  slot.phase = Phase::kContent;
  const Output content = {Output::Kind::kContent, {}, slot.content};
  if (chunking_) {
    expected_.push({Step::kBdat, index});
    const std::string_view bdat = std::string_view(slot.commands).substr(slot.rcpt_end);
    push_piece({{Output::Kind::kCommands, bdat, 0}, index, 0, false});
    push_piece({content, index, 1, true});
    return;
  }
  expected_.push({Step::kDot, index});
  push_piece({content, index, 0, false});
  push_piece({{Output::Kind::kCommands, kDotLine, 0}, index, 1, true});
}

// NOOP ends its group (RFC 2920 §3.1); an EHLO behind its answer tells that from answers to lines
// of the chunk.
void Dialog::push_probe() {
  probe_due_ = false;
  probe_ = Probe::kUnderWay;
  expected_.push({Step::kRset, kNoSlot});
  expected_.push({Step::kProbe, kNoSlot});
  expected_.push({Step::kNoop, kNoSlot});
  push_piece({{Output::Kind::kCommands, kProbeFlight, 0}, kNoSlot, 3, false});
}

// DATA is the last command of a flight (RFC 2920 §3.1), and an overlapped chunk waits for its
// envelope: the next envelope waits until the one in front is answered, and then goes behind the
// content.
void Dialog::advance() {
  if (finished_ || !ready_ || probe_ == Probe::kUnderWay) return;
  if (probe_due_ && !reset_due_ && open_.empty() && expected_.empty()) {
    push_probe();
    return;
  }
  while (pipelining_ ? envelope_ == kNoSlot : expected_.empty()) {
    if (!push_next()) return;
  }
}

// False when there is nothing to push.
bool Dialog::push_next() {
  if (reset_due_) {
    push_reset();
    return true;
  }
  for (size_t i = 0; i < open_.size(); ++i) {
    const Slot& slot = slots_[open_[i]];
    if (slot.phase != Phase::kQueued) continue;
    const bool room =
        i == 0 || blind_ == 0 || bytes_pushed_ + slot.size <= options_.in_flight_bytes_max;
    if (room) push_envelope(open_[i]);
    return room;
  }
  if (quit_wanted_ && !quit_queued_ && open_.empty()) {
    push_quit();
  }
  return false;
}

void Dialog::push_quit() {
  quit_queued_ = true;
  push_command(kQuitLine, Step::kQuit, kNoSlot);
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
    if (piece.end) slot.end_handed_out = true;
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
    if (pieces_[i].end) slots_[pieces_[i].slot].end_handed_out = false;
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
  Slot& slot = slots_[judged_.front()];
  const DialogVerdict* verdict = &slot.recipients[slot.given++].result;
  if (slot.given == slot.count) {
    slot.phase = Phase::kFree;  // its memory stays as it is until it is taken again
    judged_.pop();
  }
  return verdict;
}

}  // namespace sluice
