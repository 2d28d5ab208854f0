// The half of Dialog that listens: what each reply leads to.
#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/converse/commands.h"
#include "engine/converse/dialog.h"
#include "engine/converse/server_identity.h"

namespace sluice {
namespace {

constexpr size_t kRefusalBytesMax = 200;
constexpr std::string_view kStartTlsLine = "STARTTLS\r\n";

// The words of a reply without those that hold a digit: ids, sizes, addresses.
uint64_t wording_of(const Reply& reply) {
  constexpr uint64_t kPrime = 0x100000001B3;
  constexpr uint64_t kBasis = 0xCBF29CE484222325;
  uint64_t all = kBasis ^ (static_cast<uint64_t>(reply.enhanced.subject) << 10) ^
                 reply.enhanced.detail ^ (static_cast<uint64_t>(reply.enhanced.klass) << 20);
  uint64_t word = kBasis;
  bool counts = true;
  for (const char c : reply.text) {
    if (c == ' ' || c == '\n') {
      if (counts) all = (all ^ word) * kPrime;
      word = kBasis;
      counts = true;
      continue;
    }
    if (c >= '0' && c <= '9') counts = false;
    word = (word ^ static_cast<unsigned char>(c)) * kPrime;
  }
  return counts ? (all ^ word) * kPrime : all;
}

}  // namespace

void Dialog::receive(std::string_view bytes) {
  if (defect(Defect::kBelieveInjected) && encrypted_ && live_ > 0 &&
      std::exchange(injected_, false)) {
    receive(std::exchange(scratch_, {}));
  }
  if (wants_handshake() && !bytes.empty()) on_injected(bytes);
  while (!finished_ && !bytes.empty()) {
    switch (parser_.parse(bytes)) {
      case ReplyParser::Status::kNeedMore:
        return;
      case ReplyParser::Status::kReply:
        on_reply(parser_.reply());
        // RFC 3207 §6: who put it there is not known (CVE-2011-0411 and its like).
        if (wants_handshake() && !bytes.empty()) on_injected(bytes);
        break;
      case ReplyParser::Status::kError:
        end_by_fault(Fault::kProtocolError, parser_.error());
        break;
    }
  }
}

void Dialog::on_injected(std::string_view& bytes) {
  if (defect(Defect::kBelieveInjected)) {
    injected_ = true;
    scratch_ = bytes;
    bytes = {};
    return;
  }
  injected_ = true;
  end_by_fault(Fault::kProtocolError, "more came than the reply to STARTTLS");
}

void Dialog::on_reply(const Reply& reply) {
  if (live_ == 0) {
    on_unasked_reply(reply);
    return;
  }
  const Expected expected = expected_.front();
  if (probe_ == Probe::kUnderWay) {
    on_probe_reply(expected, reply);
    return;
  }
  const bool has_slot = expected.slot != kNoSlot;
  // A dot without a slot is the lone dot behind a refused envelope.
  const bool refused = has_slot ? slots_[expected.slot].refused : expected.step == Step::kDot;
  const Judgement judgement = judge(expected.step, reply, refused);
  if (judgement.ruling == Ruling::kDesynchronised ||
      (chunking_ && judgement.ruling == Ruling::kProceed && is_anothers(expected.step, reply))) {
    end_by_fault(Fault::kDesynchronised,
                 std::to_string(reply.code) + " in reply to " + name_of(expected.step));
    // What Exim says to one RSET too many, behind refusals: nobody is believed, but it is no habit.
    worn_out_ = expected.step == Step::kRset && reply.code == 554 && refused_envelopes_ > 0;
    if (worn_out_) desynchronised_ = false;
    return;
  }
  if (--expected_.front().replies == 0) expected_.pop();
  --live_;
  if (expected.step == Step::kRcpt) ++slots_[expected.slot].answered;
  switch (judgement.ruling) {
    case Ruling::kProceed:
      on_proceed(expected, reply, judgement);
      break;
    case Ruling::kFallBack:
      push_command(helo_, Step::kHelo, kNoSlot);
      break;
    case Ruling::kIgnore:
      if (expected.step == Step::kData || expected.step == Step::kBdat) {
        end_refused_envelope(expected.slot);
      }
      break;
    case Ruling::kRefuse:
      on_refusal(expected, reply, judgement);
      break;
    case Ruling::kRefuseParameters:
      on_refused_parameters(expected, reply, judgement);
      break;
    case Ruling::kNoTls:
      on_no_tls(reply, judgement);
      break;
    case Ruling::kRefuseAndClose:
    case Ruling::kSessionFailure:
      on_over(expected, reply, judgement);
      return;
    case Ruling::kDesynchronised:
      break;
  }
  if (expected.step == Step::kRcpt) on_recipient_answered(expected.slot);
  advance();
}

// A chunk has no reply as telling as 354: but a server has its own words for each command, and who
// hears those of another has lost step.
bool Dialog::is_anothers(Step step, const Reply& reply) {
  size_t own = 0;
  switch (step) {
    case Step::kMail:
      own = 1;
      break;
    case Step::kRcpt:
      own = 2;
      break;
    case Step::kBdat:
      own = 3;
      break;
    case Step::kRset:
      break;
    default:
      return false;
  }
  const uint64_t wording = wording_of(reply);
  if (wordings_[own] == 0) wordings_[own] = wording;
  if (wordings_[own] == wording) return false;
  return std::find(wordings_.begin(), wordings_.end(), wording) != wordings_.end();
}

// What it says to RSET it says to other commands as well: its words prove nothing.
bool Dialog::is_terse() const {
  return std::find(wordings_.begin() + 1, wordings_.end(), wordings_[0]) != wordings_.end();
}

// A 421 may come at any time; it is about what would have been answered next. Anything else answers
// nothing that was asked.
void Dialog::on_unasked_reply(const Reply& reply) {
  if (reply.code != 421) {
    end_by_fault(Fault::kDesynchronised, "a reply without a command");
    return;
  }
  const Expected expected = expected_.empty() ? Expected{Step::kMail, kNoSlot} : expected_.front();
  on_over(expected, reply, judge(expected.step, reply, false));
}

// The connection of a probe that failed is of no use, and nobody's mail was on it.
void Dialog::on_probe_reply(const Expected& expected, const Reply& reply) {
  bool good = judge(expected.step, reply, false).ruling == Ruling::kProceed;
  if (expected.step == Step::kEhlo) good = good && parse_capabilities(reply.text).chunking;
  if (!good) {
    probe_ = reply.code == 421 ? Probe::kNotMade : Probe::kFailed;
    finish();
    return;
  }
  expected_.pop();
  --live_;
  if (expected.step == Step::kNoop) push_command(ehlo_, Step::kEhlo, kNoSlot);
  if (expected.step != Step::kEhlo) return;
  probe_ = Probe::kPassed;
  clean_ = true;
  advance();
}

void Dialog::on_proceed(const Expected& expected, const Reply& reply, const Judgement& judgement) {
  const SlotIndex index = expected.slot;
  switch (expected.step) {
    case Step::kConnect:
    case Step::kProbe:
    case Step::kNoop:
      break;
    case Step::kBanner:
      identity_ = banner_identity(reply.text);
      push_command(ehlo_, Step::kEhlo, kNoSlot);
      break;
    case Step::kEhlo:
    case Step::kHelo:
      on_greeted(expected.step, reply);
      break;
    case Step::kStartTls:
      wants_handshake_ = true;
      break;
    case Step::kMail:
      if (!pipelining_) push_next_recipient(index);
      break;
    case Step::kRcpt:
      ++slots_[index].accepted;
      break;
    case Step::kData:
      // Only DATA is answered so: all replies before it belong to their commands.
      release_held();
      if (slots_[index].refused) {
        push_command(".\r\n", Step::kDot, kNoSlot);
        end_refused_envelope(index);
      } else {
        envelope_ = kNoSlot;
        push_content(index);
      }
      break;
    case Step::kDot:
    case Step::kBdat:
      end_delivered(expected, reply, judgement);
      break;
    case Step::kRset:
      if (chunking_ && is_terse()) {
        terse_ = true;
        quit_wanted_ = true;
      }
      release_held();
      break;
    case Step::kQuit:
      finish();
      break;
  }
}

void Dialog::on_greeted(Step step, const Reply& reply) {
  if (step == Step::kEhlo) capabilities_ = parse_capabilities(reply.text);
  if (begin_tls(step, reply)) return;
  greeting_ = reply.text;
  become_ready();
}

void Dialog::become_ready() {
  pipelining_ = options_.enable_pipelining && capabilities_.pipelining;
  chunking_ = pipelining_ && options_.enable_chunking && capabilities_.chunking;
  identity_ = whole_identity(greeting_, identity_);
  ready_ = true;
}

// True when the greeting is not over yet.
bool Dialog::begin_tls(Step step, const Reply& reply) {
  if (encrypted_ || options_.starttls == StartTls::kNever) return false;
  if (step == Step::kEhlo && capabilities_.starttls) {
    greeting_ = reply.text;
    push_command(kStartTlsLine, Step::kStartTls, kNoSlot);
    return true;
  }
  if (options_.starttls != StartTls::kRequired) return false;
  fail_tls(step, {4, 7, 4}, "TLS is required, and the receiver does not offer STARTTLS");
  push_quit();
  return true;
}

void Dialog::on_no_tls(const Reply& reply, const Judgement& judgement) {
  if (options_.starttls != StartTls::kIfOffered) {
    set_reply(failure_.emplace(), Step::kStartTls, reply, judgement);
    if (!failure_->reply.enhanced.present()) failure_->reply.enhanced = {4, 7, 4};
    push_quit();
    return;
  }
  capabilities_.starttls = false;
  tls_refusal_ = std::to_string(reply.code) + " " + reply.text.substr(0, kRefusalBytesMax);
  become_ready();
}

void Dialog::on_encrypted() {
  CHECK(wants_handshake());
  wants_handshake_ = false;
  encrypted_ = true;
  capabilities_ = {};
  identity_.clear();
  push_command(ehlo_, Step::kEhlo, kNoSlot);
}

void Dialog::on_handshake_failed(std::string_view why) {
  CHECK(wants_handshake());
  fail_tls(Step::kStartTls, {4, 7, 5}, why);
  finish();
}

void Dialog::fail_tls(Step step, EnhancedCode enhanced, std::string_view text) {
  Verdict& verdict = failure_.emplace();
  verdict.state = State::kDeferred;
  verdict.scope = Scope::kExchanger;
  verdict.reply.enhanced = enhanced;
  verdict.reply.text.assign(text.substr(0, options_.verdict_text_bytes_max));
  verdict.command = name_of(step);
}

// Of one of them; when it was the last, the message goes, or has nobody to go to.
void Dialog::on_recipient_answered(SlotIndex index) {
  Slot& slot = slots_[index];
  if (slot.answered < slot.said) {
    if (!pipelining_) push_next_recipient(index);
    return;
  }
  if (slot.accepted == 0) slot.refused = true;
  const bool waits = !pipelining_ || (chunking_ && !slot.blind);
  if (!waits) return;
  if (slot.refused) {
    end_refused_envelope(index);
  } else if (chunking_) {
    envelope_ = kNoSlot;
    push_content(index);
  } else {
    const std::string_view commands = slot.commands;
    push_command(commands.substr(slot.rcpt_end), Step::kData, index);
  }
}

void Dialog::on_refusal(const Expected& expected, const Reply& reply, Judgement judgement) {
  Slot& slot = slots_[expected.slot];
  note_used_up(expected, judgement);
  if (expected.step == Step::kRcpt) {
    Recipient& recipient = slot.recipients[slot.answered - 1];
    if (is_too_many(slot, reply)) {
      learnt_recipients_ = slot.accepted;
      judgement = {Ruling::kRefuse, State::kWaiting, Scope::kConnection};
    }
    set_reply(recipient.result.verdict, expected.step, reply, judgement);
    recipient.refused = true;
    return;
  }
  judge_accepted(expected.slot, expected.step, reply, judgement);
  if (expected.step == Step::kDot || expected.step == Step::kBdat) {
    // What was asked already behind it proves or disproves it; else a RSET does.
    if (expected_.empty()) reset_due_ = true;
    close_message(expected.slot);
    return;
  }
  slot.refused = true;
  if (!pipelining_ || expected.step == Step::kData) end_refused_envelope(expected.slot);
}

// RFC 5321 §4.5.3.1.10: not that mailbox, nor that message, is at fault.
bool Dialog::is_too_many(const Slot& slot, const Reply& reply) const {
  if (slot.accepted == 0 || (reply.code != 452 && reply.code != 552)) return false;
  const EnhancedCode& enhanced = reply.enhanced;
  if (!enhanced.present()) return true;
  return enhanced.subject != 2 && !(enhanced.subject == 3 && enhanced.detail == 4);
}

// Said once more without SIZE=; while its bytes are still on their way they cannot change, and it
// waits for another attempt: the receiver does not mean the recipient.
void Dialog::on_refused_parameters(const Expected& expected, const Reply& reply,
                                   Judgement judgement) {
  Slot& slot = slots_[expected.slot];
  if (slot.pieces == 0) {
    slot.plainer = drop_size(expected.slot) > 0;
  } else if (has_size(slot.commands)) {
    judgement.state = State::kDeferred;
    judgement.scope = Scope::kConnection;
    capabilities_.size = false;
  }
  on_refusal(expected, reply, judgement);
}

// A receiver that took messages on this connection and defers the next MAIL has had enough of the
// connection, not of that sender: asked again, it would say the same to each of the others. Those
// that it says it to all the same, since they were in flight, were not attempted.
void Dialog::note_used_up(const Expected& expected, Judgement& judgement) {
  const bool was_asked =
      expected.step == Step::kMail && expected.slot != kNoSlot && slots_[expected.slot].handed_out;
  if (!was_asked || judgement.state != State::kDeferred || accepted_ == 0) return;
  if (used_up_after_ > 0) {
    judgement.state = State::kWaiting;
    return;
  }
  used_up_after_ = accepted_;
  quit_wanted_ = true;
}

void Dialog::on_over(const Expected& expected, const Reply& reply, Judgement judgement) {
  note_used_up(expected, judgement);
  if (!may_part()) set_reply(failure_.emplace(), expected.step, reply, judgement);
  for (size_t i = 0; i < open_.size(); ++i) {
    Slot& slot = slots_[open_[i]];
    if (slot.refused && !slot.plainer) continue;
    Judgement of_slot = judgement;
    // Read in order: what lies behind it was not attempted.
    if (open_[i] != expected.slot || !slot.handed_out) {
      of_slot = {Ruling::kIgnore, State::kWaiting, judgement.scope};
    }
    judge_accepted(open_[i], expected.step, reply, of_slot);
  }
  finish();
}

void Dialog::set_reply(Verdict& verdict, Step step, const Reply& reply,
                       const Judgement& judgement) const {
  verdict.state = judgement.state;
  verdict.scope = judgement.scope;
  verdict.reply.code = reply.code;
  verdict.reply.enhanced = reply.enhanced;
  verdict.reply.text.assign(reply.text, 0, options_.verdict_text_bytes_max);
  verdict.command = name_of(step);
  verdict.maybe_delivered = false;
}

}  // namespace sluice
