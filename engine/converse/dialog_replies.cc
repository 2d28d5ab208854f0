// The half of Dialog that listens: replies and faults become verdicts.
#include <algorithm>
#include <string>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/converse/commands.h"
#include "engine/converse/dialog.h"

namespace sluice {

void Dialog::receive(std::string_view bytes) {
  while (!finished_ && !bytes.empty()) {
    switch (parser_.parse(bytes)) {
      case ReplyParser::Status::kNeedMore:
        return;
      case ReplyParser::Status::kReply:
        on_reply(parser_.reply());
        break;
      case ReplyParser::Status::kError:
        end_by_fault(Fault::kProtocolError, parser_.error());
        break;
    }
  }
}

void Dialog::on_reply(const Reply& reply) {
  if (live_ == 0) {
    on_unasked_reply(reply);
    return;
  }
  const Expected expected = expected_.front();
  const bool has_slot = expected.slot != kNoSlot;
  // A dot without a slot is the lone dot behind a refused envelope.
  const bool refused = has_slot ? slots_[expected.slot].refused : expected.step == Step::kDot;
  const Judgement judgement = judge(expected.step, reply, refused);
  if (judgement.ruling == Ruling::kDesynchronised) {
    end_by_fault(Fault::kDesynchronised,
                 std::to_string(reply.code) + " in reply to " + name_of(expected.step));
    return;
  }
  expected_.pop();
  --live_;
  switch (judgement.ruling) {
    case Ruling::kProceed:
      on_proceed(expected, reply, judgement);
      break;
    case Ruling::kFallBack:
      push_command(helo_, Step::kHelo, kNoSlot);
      break;
    case Ruling::kIgnore:
      if (expected.step == Step::kData) end_refused_envelope(expected.slot);
      break;
    case Ruling::kRefuse:
      on_refusal(expected, reply, judgement);
      break;
    case Ruling::kRefuseParameters:
      on_refused_parameters(expected, reply, judgement);
      break;
    case Ruling::kRefuseAndClose:
    case Ruling::kSessionFailure:
      on_over(expected, reply, judgement);
      break;
    case Ruling::kDesynchronised:
      break;
  }
  advance();
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

void Dialog::on_proceed(const Expected& expected, const Reply& reply, const Judgement& judgement) {
  const SlotIndex index = expected.slot;
  switch (expected.step) {
    case Step::kConnect:
      break;
    case Step::kBanner:
      push_command(ehlo_, Step::kEhlo, kNoSlot);
      break;
    case Step::kEhlo:
    case Step::kHelo:
      on_greeted(expected.step, reply);
      break;
    case Step::kMail:
    case Step::kRcpt:
      if (!pipelining_) {
        const Slot& slot = slots_[index];
        const std::string_view commands = slot.commands;
        if (expected.step == Step::kMail) {
          push_command(commands.substr(slot.mail_end, slot.rcpt_end - slot.mail_end), Step::kRcpt,
                       index);
        } else {
          push_command(commands.substr(slot.rcpt_end), Step::kData, index);
        }
      }
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
      set_reply(slots_[index].result.verdict, Step::kDot, reply, judgement);
      end_delivered(index);
      break;
    case Step::kRset:
      release_held();
      break;
    case Step::kQuit:
      finish();
      break;
  }
}

void Dialog::on_greeted(Step step, const Reply& reply) {
  if (step == Step::kEhlo) capabilities_ = parse_capabilities(reply.text);
  pipelining_ = options_.enable_pipelining && capabilities_.pipelining;
  ready_ = true;
}

void Dialog::on_refusal(const Expected& expected, const Reply& reply, const Judgement& judgement) {
  Slot& slot = slots_[expected.slot];
  set_reply(slot.result.verdict, expected.step, reply, judgement);
  slot.refused = true;
  note_used_up(expected, judgement);
  if (expected.step == Step::kDot) {
    // What was asked already behind it proves or disproves it; else a RSET does.
    if (expected_.empty()) reset_due_ = true;
    close_message(expected.slot);
  } else if (!pipelining_ || expected.step == Step::kData) {
    end_refused_envelope(expected.slot);
  }
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
// connection, not of that sender: asked again, it would say the same to each of the others.
void Dialog::note_used_up(const Expected& expected, const Judgement& judgement) {
  const bool was_asked =
      expected.step == Step::kMail && expected.slot != kNoSlot && slots_[expected.slot].handed_out;
  if (!was_asked || judgement.state != State::kDeferred || accepted_ == 0) return;
  used_up_after_ = accepted_;
  quit_wanted_ = true;
}

void Dialog::on_over(const Expected& expected, const Reply& reply, const Judgement& judgement) {
  note_used_up(expected, judgement);
  if (!may_part()) set_reply(failure_.emplace(), expected.step, reply, judgement);
  for (size_t i = 0; i < open_.size(); ++i) {
    Slot& slot = slots_[open_[i]];
    if (slot.refused && !slot.plainer) continue;
    Verdict& verdict = slot.result.verdict;
    if (open_[i] == expected.slot && slot.handed_out) {
      set_reply(verdict, expected.step, reply, judgement);
      continue;
    }
    // Read in order: what lies behind it was not attempted.
    set_reply(verdict, expected.step, reply, {Ruling::kIgnore, State::kWaiting, judgement.scope});
  }
  finish();
}

// ---- Ends of messages.

void Dialog::end_refused_envelope(SlotIndex index) {
  envelope_ = kNoSlot;
  reset_due_ = !defect(Defect::kForgetReset);
  if (slots_[index].plainer) {
    say_plainer(index);
  } else {
    close_message(index);
  }
  if (used_up_after_ > 0) give_back_queued();
}

void Dialog::give_back_queued() {
  reset_due_ = false;  // QUIT is next
  while (!open_.empty() && slots_[open_.front()].phase == Phase::kQueued) {
    Verdict& verdict = slots_[open_.front()].result.verdict;
    verdict.state = State::kWaiting;
    verdict.scope = Scope::kConnection;
    verdict.reply = {0, {}, "this connection takes no further message"};
    verdict.command = "";
    release(open_.pop());
  }
}

// The message stays at the front of the window and begins anew, behind the RSET.
void Dialog::say_plainer(SlotIndex index) {
  Slot& slot = slots_[index];
  slot.plainer = slot.refused = false;
  slot.phase = Phase::kQueued;
  capabilities_.size = false;
  for (size_t i = 0; i < open_.size(); ++i) {
    if (slots_[open_[i]].phase == Phase::kQueued) drop_size(open_[i]);
  }
}

uint32_t Dialog::drop_size(SlotIndex index) {
  Slot& slot = slots_[index];
  const uint32_t count = static_cast<uint32_t>(remove_size(slot.commands));
  slot.mail_end -= count;
  slot.rcpt_end -= count;
  return count;
}

void Dialog::end_delivered(SlotIndex index) {
  slots_[index].result.verdict.state = State::kDelivered;
  ++accepted_;
  close_message(index);
}

void Dialog::close_message(SlotIndex index) {
  CHECK(open_.front() == index);
  open_.pop();
  ++answered_;
  const State state = slots_[index].result.verdict.state;
  const bool proved =
      state == State::kDeferred || (state == State::kDelivered && expected_.empty());
  if (proved) {
    release(index);
  } else {
    hold(index);
  }
}

void Dialog::hold(SlotIndex index) {
  slots_[index].phase = Phase::kHeld;
  held_.push(index);
}

void Dialog::release(SlotIndex index) {
  slots_[index].phase = Phase::kJudged;
  judged_.push(index);
}

void Dialog::release_held() {
  while (!held_.empty()) release(held_.pop());
}

// The replies that they rest on may have belonged to other commands.
void Dialog::doubt_held() {
  for (size_t i = 0; i < held_.size(); ++i) {
    Slot& slot = slots_[held_[i]];
    judge_fault(Step::kDot, Fault::kDesynchronised, slot.result.verdict);
    slot.result.verdict.maybe_delivered = slot.dot_handed_out;
  }
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

// ---- Ends of the conversation.

// The receiver may end the connection now without having failed: QUIT is said, or it has answered a
// message at least and nothing more was said to it.
bool Dialog::may_part() const {
  if (quit_queued_) return true;
  if (answered_ == 0 || live_ > 0) return false;
  return open_.empty() || !slots_[open_.front()].handed_out;
}

void Dialog::fail(Fault fault) {
  if (!finished_) end_by_fault(fault, {});
}

void Dialog::end_by_fault(Fault fault, std::string_view detail) {
  const bool wrong = fault == Fault::kProtocolError || fault == Fault::kDesynchronised;
  if (fault == Fault::kDesynchronised) {
    desynchronised_ = true;
    doubt_held();
  }
  if (wrong ? !quit_queued_ : !may_part()) {
    const Step step = expected_.empty() ? Step::kMail : expected_.front().step;
    judge_fault(ready_ ? step : std::min(step, Step::kHelo), fault, failure_.emplace());
    if (!detail.empty()) failure_->reply.text.append(": ").append(detail);
  }
  judge_open_by_fault(fault, detail);
  finish();
}

void Dialog::judge_open_by_fault(Fault fault, std::string_view detail) {
  for (size_t i = 0; i < open_.size(); ++i) {
    Slot& slot = slots_[open_[i]];
    Verdict& verdict = slot.result.verdict;
    // Who falls silent behind a refusal has missed a command: the refusal may be another's reply.
    const bool in_step = fault != Fault::kDesynchronised && fault != Fault::kTimedOut;
    const bool certain = slot.refused && !slot.plainer && in_step;
    if (certain) continue;
    judge_fault(step_of(open_[i]), fault, verdict);
    if (!detail.empty()) verdict.reply.text.append(": ").append(detail);
    verdict.maybe_delivered = slot.dot_handed_out && !defect(Defect::kForgetMaybe);
    if (!slot.handed_out) verdict.state = State::kWaiting;
  }
}

// The first command of the message that has no reply.
Step Dialog::step_of(SlotIndex index) const {
  for (size_t i = 0; i < expected_.size(); ++i) {
    if (expected_[i].slot == index) return expected_[i].step;
  }
  return slots_[index].dot_handed_out ? Step::kDot : Step::kMail;
}

void Dialog::finish() {
  finished_ = true;
  release_held();
  while (!open_.empty()) release(open_.pop());
  for (size_t i = handed_out_; i < pieces_.size(); ++i) {
    if (pieces_[i].slot != kNoSlot) --slots_[pieces_[i].slot].pieces;
  }
  pieces_.truncate(handed_out_);
}

}  // namespace sluice
