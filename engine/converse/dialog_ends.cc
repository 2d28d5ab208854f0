// How messages, and the conversation, end: verdicts, held until they are proved.
#include <algorithm>
#include <string>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/converse/commands.h"
#include "engine/converse/dialog.h"

namespace sluice {

// ---- Ends of messages.

// All recipients that were not refused before.
void Dialog::judge_accepted(SlotIndex index, Step step, const Reply& reply,
                            const Judgement& judgement) {
  Slot& slot = slots_[index];
  for (uint32_t i = 0; i < slot.said; ++i) {
    Recipient& recipient = slot.recipients[i];
    if (!recipient.refused) set_reply(recipient.result.verdict, step, reply, judgement);
  }
}

void Dialog::end_refused_envelope(SlotIndex index) {
  if (envelope_ == index) envelope_ = kNoSlot;
  ++refused_envelopes_;
  if (!expects(Step::kRset)) reset_due_ = !defect(Defect::kForgetReset);
  if (slots_[index].plainer) {
    say_plainer(index);
  } else {
    close_message(index);
  }
}

void Dialog::give_back_queued() {
  for (size_t left = open_.size(); left > 0; --left) {
    const SlotIndex index = open_.pop();
    Slot& slot = slots_[index];
    if (slot.phase != Phase::kQueued) {
      open_.push(index);
      continue;
    }
    bytes_open_ -= slot.size;
    for (uint32_t i = 0; i < slot.said; ++i) {
      Verdict& verdict = slot.recipients[i].result.verdict;
      verdict.state = State::kWaiting;
      verdict.scope = Scope::kConnection;
      verdict.reply = {0, {}, "this connection takes no further message"};
      verdict.command = "";
    }
    release(index);
  }
  if (open_.empty()) reset_due_ = false;  // QUIT is next
}

// Begins anew, behind a RSET and behind what is in flight already.
void Dialog::say_plainer(SlotIndex index) {
  CHECK(open_.front() == index);
  Slot& slot = slots_[index];
  slot.plainer = slot.refused = false;
  for (uint32_t i = 0; i < slot.said; ++i) slot.recipients[i].refused = false;
  slot.phase = Phase::kQueued;
  bytes_pushed_ -= slot.size;
  capabilities_.size = false;
  if (slot.blind) {
    slot.end_handed_out = false;
    open_.push(open_.pop());
  }
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

void Dialog::end_delivered(const Expected& expected, const Reply& reply, Judgement judgement) {
  judgement.state = State::kDelivered;
  judge_accepted(expected.slot, expected.step, reply, judgement);
  ++accepted_;
  close_message(expected.slot);
}

void Dialog::close_message(SlotIndex index) {
  CHECK(open_.front() == index);
  open_.pop();
  Slot& slot = slots_[index];
  bytes_open_ -= slot.size;
  bytes_pushed_ -= slot.size;
  ++answered_;
  ++fitted_;
  bool delivered = false;
  bool bounced = false;
  for (uint32_t i = 0; i < slot.said; ++i) {
    const State state = slot.recipients[i].result.verdict.state;
    delivered = delivered || state == State::kDelivered;
    bounced = bounced || state == State::kBounced;
  }
  // DATA's 354 has shown that the replies before it were in step. A chunk has no such reply: a
  // receiver that answered an earlier one twice may have said so of the recipient only.
  const bool proved = chunking_ || !delivered ? !delivered && !bounced : expected_.empty();
  if (!proved && chunking_ && !expects(Step::kRset)) reset_due_ = true;
  if (proved) {
    release(index);
  } else {
    slot.phase = Phase::kHeld;
    held_.push(index);
  }
  if (used_up_after_ > 0) give_back_queued();
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
    for (uint32_t r = 0; r < slot.said; ++r) {
      Verdict& verdict = slot.recipients[r].result.verdict;
      const bool maybe = slot.end_handed_out || verdict.state == State::kDelivered;
      judge_fault(chunking_ ? Step::kBdat : Step::kDot, Fault::kDesynchronised, verdict);
      verdict.maybe_delivered = maybe;
    }
  }
}

// ---- Ends of the conversation.

// The receiver may end the connection now without having failed: QUIT is said, or it has answered a
// message at least and nothing more was said to it.
bool Dialog::may_part() const {
  if (quit_queued_) return true;
  if (answered_ == 0 || live_ > 0) return false;
  return open_.empty() || !slots_[open_.front()].handed_out;
}

void Dialog::fail(Fault fault, std::string_view detail) {
  if (!finished_) end_by_fault(fault, detail);
}

void Dialog::end_by_fault(Fault fault, std::string_view detail) {
  if (probe_ == Probe::kUnderWay) {
    probe_ = fault == Fault::kStopped ? Probe::kNotMade : Probe::kFailed;
    finish();
    return;
  }
  const bool wrong = fault == Fault::kProtocolError || fault == Fault::kDesynchronised;
  if (fault == Fault::kDesynchronised) {
    desynchronised_ = true;
    doubt_held();
  }
  if (wrong ? !quit_queued_ : !may_part()) {
    const Step step = expected_.empty() ? Step::kMail : expected_.front().step;
    judge_fault(ready_ ? step : std::min(step, Step::kStartTls), fault, failure_.emplace());
    if (!detail.empty()) failure_->reply.text.append(": ").append(detail);
  }
  judge_open_by_fault(fault, detail);
  finish();
}

void Dialog::judge_open_by_fault(Fault fault, std::string_view detail) {
  // Who falls silent behind a refusal has missed a command: the refusal may be another's reply.
  const bool in_step = fault != Fault::kDesynchronised && fault != Fault::kTimedOut;
  for (size_t i = 0; i < open_.size(); ++i) {
    Slot& slot = slots_[open_[i]];
    const Step step = step_of(open_[i]);
    if (slot.end_handed_out && fault != Fault::kStopped) broke_in_flight_ = true;
    for (uint32_t r = 0; r < slot.said; ++r) {
      const bool refused = slot.refused || slot.recipients[r].refused;
      if (refused && !slot.plainer && in_step) continue;
      Verdict& verdict = slot.recipients[r].result.verdict;
      judge_fault(step, fault, verdict);
      if (!detail.empty()) verdict.reply.text.append(": ").append(detail);
      verdict.maybe_delivered = slot.end_handed_out && !defect(Defect::kForgetMaybe);
      if (!slot.handed_out) verdict.state = State::kWaiting;
    }
  }
}

// The first command of the message that has no reply.
Step Dialog::step_of(SlotIndex index) const {
  for (size_t i = 0; i < expected_.size(); ++i) {
    if (expected_[i].slot == index) return expected_[i].step;
  }
  if (!slots_[index].end_handed_out) return Step::kMail;
  return chunking_ ? Step::kBdat : Step::kDot;
}

bool Dialog::expects(Step step) const {
  for (size_t i = 0; i < expected_.size(); ++i) {
    if (expected_[i].step == step) return true;
  }
  return false;
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
