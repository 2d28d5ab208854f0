// A conversation with a receiver: messages and replies in, octets to send and verdicts out.
//
// PURPOSE. Speaks SMTP (RFC 5321, with 1870, 2034, 2920, 6152, 6531, 9422) as pure protocol code:
// no socket, no clock, no callback. It keeps a window of messages open. With PIPELINING, a
// message's content and final dot and the next MAIL, RCPT, DATA are one flight (RFC 2920 §3.1): one
// round trip a message. Without, one command, one reply.
//
// HOW TO DRIVE IT. Made when the connection stands. Then, until finished(): take() messages while
// wants_message(); gather() what may be sent, send it, say sent(); receive() what comes, also while
// a send is under way; fail() when the connection broke or a time ran out; collect next_verdict()
// after each, also after take(): verdicts that nobody collects close the window. Arm a timer with
// reply_timeout() while awaits_reply(), anew after each receive() or sent(). When idle() with no
// mail for too long, or exhausted() and idle(): quit(). Close the connection when finished().
//
// OWNERSHIP. take() copies the envelope. The content of a ticket is the caller's: from the moment
// its kContent piece is gathered it must stay until that piece is reported sent or the send that
// carries it is over, even when its verdict comes earlier.
//
// PROMISES. Each ticket taken gets exactly one verdict, at the latest when finished(). Only a 2xx
// to the end of the content delivers. While the conversation goes on, bounces and deliveries are
// given out only when the replies are proved to be in step: by a 354, by the 250 to a RSET (which
// follows every failed transaction), or, for a delivery, when nothing was asked behind it. A reply
// that its command cannot have turns those that were not proved into deferrals. Verdicts do not
// depend on how the stream of replies was cut.
//
// THREAD. One connection's; not thread-safe.
//
// ERRORS. None by status: whatever the peer does becomes verdicts and session_failure(). Breaking a
// REQUIRES aborts.
//
// LIMITS. DialogOptions: window, messages of a connection, reply sizes. Memory is taken at
// construction and by the first messages, then reused: no allocation for a message in steady state.
//
// BUGS. No STARTTLS, no AUTH, no CHUNKING; one recipient a transaction.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/converse/capabilities.h"
#include "engine/converse/fifo.h"
#include "engine/converse/reply_parser.h"
#include "engine/converse/step.h"
#include "engine/converse/verdict.h"
#include "engine/model/limits.h"
#include "engine/model/outcome.h"
#include "engine/model/policy.h"

namespace sluice {

struct DialogOptions {
  std::string hello;  // the source's name, for EHLO: not empty, printable ASCII without spaces
  bool enable_pipelining = true;
  uint32_t in_flight_max = Limits{}.in_flight_max;  // messages without a verdict; at least 1
  uint32_t deliveries_max = 0;                      // messages of this connection; 0: no limit
  SmtpTimeouts timeouts;
  ReplyLimits reply_limits;
  // Octets of a reply's text in a verdict; the rest is cut off.
  size_t verdict_text_bytes_max = Limits{}.recorded_reply_bytes_max;
};

// A message as the dialog needs to know it. Views are copied by take().
struct Envelope {
  std::string_view sender;     // empty: the null sender
  std::string_view recipient;  // local part @ domain as A-labels
  uint64_t size = 0;           // octets of the content, not dot-stuffed; 0: unknown
  bool eight_bit = false;      // the content has octets above 127
  bool smtputf8 = false;       // the message needs SMTPUTF8 (implied by a non-ASCII address)
};

struct DialogVerdict {
  uint64_t ticket = 0;
  Verdict verdict;
};

class Dialog {
 public:
  // What is to be sent next. Its bytes stay valid until it is reported sent.
  struct Output {
    enum class Kind : uint8_t {
      kCommands,  // `bytes`, as they are
      kContent,   // the content of `ticket`: CRLF line ends, dot-stuffed, ending with CRLF; the
                  // final dot is not the caller's
    };
    Kind kind = Kind::kCommands;
    std::string_view bytes;
    uint64_t ticket = 0;
  };

  explicit Dialog(const DialogOptions& options);
  Dialog(const Dialog&) = delete;
  Dialog& operator=(const Dialog&) = delete;

  // ---- From the connection.

  // What the peer sent, cut anywhere. Ignored once finished().
  void receive(std::string_view bytes);
  // The connection is over, or given up. Before it, receive() everything that was still read, and
  // call not_sent() if the last send is known to have failed. Ignored once finished().
  void fail(Fault fault);

  // ---- Messages.

  // The greeting is over, the window is open, no limit is reached, nobody said quit().
  bool wants_message() const;
  // `ticket` names the message and comes back in Output and DialogVerdict; the caller's choice.
  // A message that this receiver cannot take (too large: 5.3.4; SMTPUTF8 or 8BITMIME needed and not
  // offered: 5.6.7, 5.6.3; an address that no command can carry: 5.1.3, 5.1.7) has its verdict at
  // once and is not sent; so has one whose domain exceeds RCPTDOMAINMAX (kWaiting: for another
  // connection). REQUIRES: wants_message().
  void take(uint64_t ticket, const Envelope& envelope);
  // This connection takes no further message, whatever happens: quit() when idle().
  bool exhausted() const;
  // The greeting is over; no message without a verdict, nothing to send and no reply due.
  bool idle() const;
  // QUIT follows what is in flight; messages taken already are still sent.
  void quit();

  // ---- To the connection.

  // Hands out what may be sent now and was not handed out yet, in order, at most out.size() pieces;
  // returns how many. What is handed out counts as possibly sent.
  size_t gather(std::span<Output> out);
  // The first `count` pieces handed out and not reported yet have wholly left, or their memory is
  // needed no more. REQUIRES: there are so many.
  void sent(size_t count);
  // The pieces handed out and not reported have not wholly left and never will: for a send that
  // failed, was cut short or was cancelled. Report the whole pieces before it by sent(); fail()
  // follows. It tells a message that was cut in its content (deferred) from one whose reply is
  // missing (maybe delivered).
  void not_sent();

  // ---- What it waits for.

  // The reply to something that was handed out, or the greeting, is due.
  bool awaits_reply() const { return !finished_ && live_ > 0; }
  // For the reply that is due next; zero when none is.
  Duration reply_timeout() const;
  // "banner", "EHLO", "MAIL", "RCPT", "DATA", "." ..., "" when no reply is due. A literal.
  const char* waiting_for() const;

  // ---- Results.

  // The next verdict, each once; null when there is none now. Valid until any non-const call.
  const DialogVerdict* next_verdict();
  // Nothing will be sent or taken any more; all verdicts are there. Close the connection.
  bool finished() const { return finished_; }
  // The greeting is over: messages could be taken.
  bool ready() const { return ready_; }
  // Why the session itself failed; null when it did not (also when the peer went away between
  // messages after it had answered at least one, or after QUIT). With !ready() no message was
  // touched and the scope is kExchanger: the site backs off.
  const Verdict* session_failure() const { return failure_ ? &*failure_ : nullptr; }
  // Replies did not belong to their commands: to be remembered for this exchanger.
  bool desynchronised() const { return desynchronised_; }
  // How many messages the receiver had accepted when it refused a further MAIL for now (4xx): it
  // takes no more on one connection, and this one takes none either. 0: it did not.
  uint32_t used_up_after() const { return used_up_after_; }
  // As offered; `size` turns false when the receiver refused SIZE=.
  const Capabilities& capabilities() const { return capabilities_; }
  // Messages handed to the receiver (MAIL handed out) on this connection.
  uint32_t transactions() const { return transactions_; }

 private:
  using SlotIndex = uint32_t;
  static constexpr SlotIndex kNoSlot = UINT32_MAX;

  // The life of a slot. A slot is reused when it is free and none of its pieces is still queued
  // or on its way.
  enum class Phase : uint8_t {
    kFree,
    kQueued,    // taken, nothing queued for sending
    kEnvelope,  // MAIL, RCPT, DATA
    kContent,   // DATA accepted: content and dot
    kHeld,      // has its verdict, not proved yet
    kJudged,    // its verdict waits for next_verdict()
  };
  struct Slot {
    DialogVerdict result;
    std::string commands;   // MAIL, RCPT and DATA lines, one behind the other
    uint32_t mail_end = 0;  // where the RCPT line begins
    uint32_t rcpt_end = 0;  // where the DATA line begins
    uint32_t pieces = 0;    // queued or handed out, not reported sent
    Phase phase = Phase::kFree;
    bool plainer = false;  // refused only for SIZE=: to be said once more without
    bool refused = false;  // MAIL or RCPT was refused: result holds its verdict
    bool handed_out = false;
    bool dot_handed_out = false;  // behind its content
  };
  // A command that was queued, in order; the first live_ were handed out.
  struct Expected {
    Step step = Step::kBanner;
    SlotIndex slot = kNoSlot;
  };
  struct Piece {
    Output output;
    SlotIndex slot = kNoSlot;  // whose memory or content it is
    uint32_t replies = 0;      // become due when it is handed out
    bool dot = false;          // the end of a content
  };

  // Queueing of output.
  void push_piece(const Piece& piece);
  void push_command(std::string_view bytes, Step step, SlotIndex slot);
  void push_envelope(SlotIndex index);
  void push_content(SlotIndex index);
  void advance();  // queues whatever may be sent after an event

  // Replies.
  void on_reply(const Reply& reply);
  void on_unasked_reply(const Reply& reply);
  void on_proceed(const Expected& expected, const Reply& reply, const Judgement& judgement);
  void on_greeted(Step step, const Reply& reply);
  void on_refusal(const Expected& expected, const Reply& reply, const Judgement& judgement);
  void on_refused_parameters(const Expected& expected, const Reply& reply, Judgement judgement);
  void on_over(const Expected& expected, const Reply& reply, const Judgement& judgement);

  // Ends of messages: each takes the oldest message off the window.
  void say_plainer(SlotIndex index);
  uint32_t drop_size(SlotIndex index);
  void end_refused_envelope(SlotIndex index);  // and all its commands are answered
  void end_delivered(SlotIndex index);
  void close_message(SlotIndex index);
  void hold(SlotIndex index);
  void release(SlotIndex index);
  void release_held();
  void doubt_held();
  void note_used_up(const Expected& expected, const Judgement& judgement);
  void give_back_queued();

  // Ends of the conversation.
  void end_by_fault(Fault fault, std::string_view detail);
  void judge_open_by_fault(Fault fault, std::string_view detail);
  void finish();
  bool may_part() const;

  bool admit_domain(std::string_view recipient);
  bool refuse_unsent(const Envelope& envelope, bool smtputf8, Verdict& verdict) const;
  void set_reply(Verdict& verdict, Step step, const Reply& reply, const Judgement& judgement) const;
  Step step_of(SlotIndex index) const;
  SlotIndex free_slot() const;
  uint32_t window() const;

  const DialogOptions options_;
  const std::string ehlo_, helo_;
  ReplyParser parser_;
  Capabilities capabilities_;
  std::vector<std::string> domains_;  // of recipients, where the receiver limits them (RFC 9422)
  std::vector<Slot> slots_;
  Fifo<SlotIndex> open_;     // without a verdict, in the order in which they were taken
  Fifo<SlotIndex> held_;     // verdict not proved
  Fifo<SlotIndex> judged_;   // for next_verdict()
  Fifo<Expected> expected_;  // commands without a reply
  Fifo<Piece> pieces_;       // the first handed_out_ were handed out
  size_t live_ = 0;
  size_t handed_out_ = 0;
  SlotIndex envelope_ = kNoSlot;  // the slot in Phase::kEnvelope
  uint32_t taken_ = 0;
  uint32_t transactions_ = 0;
  uint32_t answered_ = 0;  // transactions that the receiver answered
  uint32_t accepted_ = 0;  // of them, delivered
  uint32_t used_up_after_ = 0;
  bool pipelining_ = false;
  bool ready_ = false;
  bool reset_due_ = false;
  bool quit_wanted_ = false;
  bool quit_queued_ = false;
  bool domains_full_ = false;
  bool finished_ = false;
  bool desynchronised_ = false;
  std::optional<Verdict> failure_;  // see session_failure()
};

}  // namespace sluice
