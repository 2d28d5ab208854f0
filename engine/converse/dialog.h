// A conversation with a receiver: messages and replies in, octets to send and verdicts out.
//
// PURPOSE. Speaks SMTP (RFC 5321, with 1870, 2034, 2920, 3030, 6152, 6531, 9422) as pure protocol
// code: no socket, no clock, no callback. It keeps a window of messages open:
//   without PIPELINING   one command, one reply
//   DATA                 a message's content and final dot and the next MAIL, RCPT, DATA are one
//                        flight (RFC 2920 §3.1): one round trip a message
//   CHUNKING, overlapped BDAT and content, and behind them RSET, MAIL, RCPT of the next message,
//                        whose BDAT goes when its recipient is accepted: one round trip a message
//   CHUNKING, blind      RSET, MAIL, RCPT, BDAT and content of several messages in flight: no round
//                        trip a message. Only towards an exchanger that depth.h trusts.
// RSET goes before every MAIL behind a chunk, so that each message stands alone whatever became of
// the one before it.
//
// STARTTLS is said behind the first EHLO, and EHLO once more within TLS.
//
// HOW TO DRIVE IT. Made when the connection stands. When wants_handshake(), make it. When ready(),
// set_depth() says how far to go. Then, until finished(): take() messages while wants_message();
// gather() what may be sent, send it, say sent(); receive() what comes, also while a send is under
// way; fail() when the connection broke or a time ran out; collect next_verdict() after each, also
// after take(): verdicts that nobody collects close the window. Arm a timer with reply_timeout()
// while awaits_reply(), anew after each receive() or sent(). When idle() with no mail for too long,
// or exhausted() and idle(): quit(). Close the connection when finished().
//
// OWNERSHIP. take() copies the envelope. The content of a ticket is the caller's: from the moment
// its kContent piece is gathered it must stay until that piece is reported sent or the send that
// carries it is over, even when its verdict comes earlier.
//
// PROMISES. Each recipient taken gets exactly one verdict, at the latest when finished(). Only a
// 2xx to the end of the content delivers. While the conversation goes on, bounces and deliveries
// are given out only when the replies are proved to be in step: by a 354, by the 250 to a RSET
// (which follows every failed transaction and every chunk), or, for a delivery by DATA, when
// nothing was asked behind it. A reply that its command cannot have turns those that were not
// proved into deferrals. Verdicts do not depend on how the stream of replies was cut.
//
// THREAD. One connection's; not thread-safe.
//
// ERRORS. None by status: whatever the peer does becomes verdicts and session_failure(). Breaking a
// REQUIRES aborts.
//
// LIMITS. DialogOptions: window, messages of a connection, reply sizes. Memory is taken at
// construction and by the first messages, then reused: no allocation for a message in steady state.
//
// BUGS. No AUTH. A recipient that is refused beside others that are accepted has its
// verdict when the transaction ends.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
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

// Whether STARTTLS is said (RFC 3207).
enum class StartTls : uint8_t {
  kNever,
  kIfOffered,     // else, and when it is refused, the conversation goes on in clear
  kWhereOffered,  // in clear only where it is not offered: refused, the session fails
  kRequired,      // else the session fails
};

struct DialogOptions {
  std::string hello;  // the source's name, for EHLO: not empty, printable ASCII without spaces
  StartTls starttls = StartTls::kNever;
  bool enable_pipelining = true;
  bool enable_chunking = true;
  uint32_t in_flight_max = SitePolicy{}.max_in_flight;  // messages without a verdict; at least 1
  // Of their content; a single message may be larger.
  uint64_t in_flight_bytes_max = Limits{}.in_flight_bytes_max;
  // Envelopes that may be refused before the connection is replaced, three less after a probe; 0:
  // any number. Each costs a RSET, of which Exim allows ten; Postfix answers slower and slower.
  uint32_t refusals_max = 9;
  // Of one transaction; at least 1.
  uint32_t recipients_max = SitePolicy{}.max_recipients_per_batch;
  uint32_t deliveries_max = 0;  // messages of this connection; 0: no limit
  SmtpTimeouts timeouts;
  ReplyLimits reply_limits;
  // Octets of a reply's text in a verdict; the rest is cut off.
  size_t verdict_text_bytes_max = Limits{}.recorded_reply_bytes_max;
};

// How far a dialog may go: what is known of the exchanger (depth.h), within the site's policy.
struct DialogDepth {
  bool one_at_a_time = false;  // no envelope before the message in front of it is answered
  bool chunking = true;
  uint32_t blind = 0;  // messages that may be in flight blind; 0: none
  bool probe = false;  // to be probed when nothing is in flight
  // No more envelopes in flight than may still be refused (DialogOptions::refusals_max).
  bool few_refusals = false;
};

// What became of the probe (protocol: RSET; a chunk of NOOP lines with no transaction open; NOOP;
// EHLO). A good server refuses the chunk once, swallows it, and answers the others in step.
enum class Probe : uint8_t { kNotMade, kUnderWay, kPassed, kFailed };

// A message as the dialog needs to know it. Views are copied by take().
struct Envelope {
  std::string_view sender;     // empty: the null sender
  std::string_view recipient;  // local part @ domain as A-labels
  // Octets of the content as it is sent: of a chunk exactly; else 0 is unknown.
  uint64_t size = 0;
  bool eight_bit = false;  // the content has octets above 127
  bool smtputf8 = false;   // the message needs SMTPUTF8 (implied by a non-ASCII address)
};

// One of several who get the same message in one transaction.
struct Addressee {
  uint64_t ticket = 0;
  std::string_view address;
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
      kContent,   // the content of `ticket`: CRLF line ends, ending with CRLF, dot-stuffed unless
                  // chunked(); the final dot is not the caller's
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
  // `detail`: more words, for people; may be empty.
  void fail(Fault fault, std::string_view detail = {});

  // ---- TLS.

  // STARTTLS was accepted: nothing is said or heard until the caller has made the handshake and
  // says how it went. What the receiver sent behind its acceptance ends the session instead:
  // nothing of it is believed.
  bool wants_handshake() const { return wants_handshake_ && !finished_; }
  // It is over: EHLO is said anew, and nothing that was learnt in clear counts. REQUIRES:
  // wants_handshake().
  void on_encrypted();
  // There will be no session: deferred with 4.7.5, `why` in words. REQUIRES: wants_handshake().
  void on_handshake_failed(std::string_view why);
  bool encrypted() const { return encrypted_; }
  // What the receiver said to STARTTLS when the conversation went on in clear; "" when it did not.
  const std::string& tls_refusal() const { return tls_refusal_; }
  // The session ended because more came than the reply to STARTTLS.
  bool injected() const { return injected_; }

  // ---- How far to go.

  // REQUIRES: ready(), and no message was taken yet, or only `blind` and `probe` differ from the
  // last time. A probe that was made is not made again.
  void set_depth(const DialogDepth& depth);
  // Contents go as chunks: not dot-stuffed, their size exactly known. Stays as it is after the
  // first set_depth().
  bool chunked() const { return chunking_; }
  Probe probe() const { return probe_; }
  // Who answers, in words: its own name and what it says of itself that is the same for each
  // connection. "" before ready().
  const std::string& identity() const { return identity_; }
  // Contents that were answered in step.
  uint32_t fitted() const { return fitted_; }
  // Chunks were sent, and it has the same words for every command: replies that slipped could not
  // be told. It takes no further message on this connection, and is to get DATA.
  bool terse() const { return terse_; }
  // It ended the session for too many RSETs behind refused envelopes.
  bool worn_out() const { return worn_out_; }
  // The connection broke while contents were unanswered.
  bool broke_in_flight() const { return broke_in_flight_; }

  // ---- Messages.

  // The greeting is over, the window is open, no limit is reached, nobody said quit().
  bool wants_message() const;
  // `ticket` names the message and comes back in Output and DialogVerdict; the caller's choice.
  // A message that this receiver cannot take (too large: 5.3.4; SMTPUTF8 or 8BITMIME needed and not
  // offered: 5.6.7, 5.6.3; an address that no command can carry: 5.1.3, 5.1.7) has its verdict at
  // once and is not sent; so has one whose domain exceeds RCPTDOMAINMAX (kWaiting: for another
  // connection). REQUIRES: wants_message().
  void take(uint64_t ticket, const Envelope& envelope);
  // The same message to several in one transaction (envelope.recipient is not looked at); `ticket`
  // of the first names the content. Recipients that the receiver finds too many for one transaction
  // get kWaiting (RFC 5321 §4.5.3.1.10). REQUIRES: 1 to recipients_at_once() addressees.
  void take(std::span<const Addressee> addressees, const Envelope& envelope);
  // The policy's limit, the receiver's, and what it was seen to take.
  uint32_t recipients_at_once() const;
  // What it was seen to take in one transaction; 0: nothing was learnt.
  uint32_t learnt_recipients_max() const { return learnt_recipients_; }
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
    kEnvelope,  // MAIL, RCPT, DATA; of a blind message everything
    kContent,   // the envelope is accepted: content and its end
    kHeld,      // has its verdicts, not proved yet
    kJudged,    // its verdicts wait for next_verdict()
  };
  struct Recipient {
    DialogVerdict result;
    bool refused = false;  // result holds its verdict, whatever becomes of the message
  };
  // A transaction.
  struct Slot {
    std::vector<Recipient> recipients;  // grows only; of this transaction are the first `count`
    uint32_t count = 0;
    uint32_t said = 0;      // of these, the first that have a RCPT line
    uint32_t answered = 0;  // of these, the first that had a reply
    uint32_t accepted = 0;
    uint32_t given = 0;    // by next_verdict()
    uint64_t content = 0;  // its ticket
    uint64_t size = 0;
    std::string commands;    // MAIL, RCPT and DATA or BDAT lines, one behind the other
    uint32_t mail_end = 0;   // where the RCPT lines begin
    uint32_t rcpt_end = 0;   // where the DATA or BDAT line begins
    uint32_t rcpt_next = 0;  // one command, one reply: where the next RCPT line begins
    uint32_t pieces = 0;     // queued or handed out, not reported sent
    Phase phase = Phase::kFree;
    bool blind = false;
    bool plainer = false;  // refused only for SIZE=: to be said once more without
    bool refused = false;  // MAIL, all RCPT or DATA were refused
    bool handed_out = false;
    bool end_handed_out = false;  // of its content
  };
  // Commands of one kind that were queued, in order.
  struct Expected {
    Step step = Step::kBanner;
    SlotIndex slot = kNoSlot;
    uint32_t replies = 1;
  };
  struct Piece {
    Output output;
    SlotIndex slot = kNoSlot;  // whose memory or content it is
    uint32_t replies = 0;      // become due when it is handed out
    bool end = false;          // of a content
  };

  // Queueing of output.
  void push_piece(const Piece& piece);
  void push_command(std::string_view bytes, Step step, SlotIndex slot);
  void push_reset();
  void push_envelope(SlotIndex index);
  void push_next_recipient(SlotIndex index);
  void push_content(SlotIndex index);
  void push_probe();
  void advance();  // queues whatever may be sent after an event
  bool push_next();

  // Replies.
  void on_reply(const Reply& reply);
  bool is_anothers(Step step, const Reply& reply);
  bool is_terse() const;
  void on_unasked_reply(const Reply& reply);
  void on_probe_reply(const Expected& expected, const Reply& reply);
  void on_recipient_answered(SlotIndex index);
  bool is_too_many(const Slot& slot, const Reply& reply) const;
  void on_proceed(const Expected& expected, const Reply& reply, const Judgement& judgement);
  void on_greeted(Step step, const Reply& reply);
  void on_injected(std::string_view& bytes);
  bool begin_tls(Step step, const Reply& reply);
  void become_ready();
  void on_no_tls(const Reply& reply, const Judgement& judgement);
  void push_quit();
  void fail_tls(Step step, EnhancedCode enhanced, std::string_view text);
  void on_refusal(const Expected& expected, const Reply& reply, Judgement judgement);
  void on_refused_parameters(const Expected& expected, const Reply& reply, Judgement judgement);
  void on_over(const Expected& expected, const Reply& reply, Judgement judgement);

  // Ends of messages: each takes the oldest message off the window.
  void say_plainer(SlotIndex index);
  uint32_t drop_size(SlotIndex index);
  void end_refused_envelope(SlotIndex index);  // and all its commands are answered
  void end_delivered(const Expected& expected, const Reply& reply, Judgement judgement);
  void close_message(SlotIndex index);
  void release(SlotIndex index);
  void release_held();
  void doubt_held();
  void judge_accepted(SlotIndex index, Step step, const Reply& reply, const Judgement& judgement);
  void note_used_up(const Expected& expected, Judgement& judgement);
  void give_back_queued();

  // Ends of the conversation.
  void end_by_fault(Fault fault, std::string_view detail);
  void judge_open_by_fault(Fault fault, std::string_view detail);
  void finish();
  bool may_part() const;

  struct Unsent;
  bool admit_domain(std::string_view recipient);
  const Unsent* why_unsent(const Envelope& envelope) const;
  const Unsent* why_unsent(std::string_view recipient, bool smtputf8);
  void set_reply(Verdict& verdict, Step step, const Reply& reply, const Judgement& judgement) const;
  Step step_of(SlotIndex index) const;
  bool expects(Step step) const;
  SlotIndex free_slot() const;  // kNoSlot: none
  SlotIndex make_slot();
  uint32_t window() const;
  // While refusals are limited (DialogOptions::refusals_max).
  uint32_t refusals_left() const;

  const DialogOptions options_;
  const std::string ehlo_, helo_;
  std::string scratch_;
  const size_t slots_max_;
  ReplyParser parser_;
  Capabilities capabilities_;
  std::vector<std::string> domains_;  // of recipients, where the receiver limits them (RFC 9422)
  std::string identity_;
  std::string tls_refusal_;
  std::string greeting_;     // the text of the reply to EHLO or HELO
  std::deque<Slot> slots_;   // as many as were needed at once
  Fifo<SlotIndex> open_;     // without a verdict, in the order in which they were taken
  Fifo<SlotIndex> held_;     // verdict not proved
  Fifo<SlotIndex> judged_;   // for next_verdict()
  Fifo<Expected> expected_;  // commands without a reply
  Fifo<Piece> pieces_;       // the first handed_out_ were handed out
  size_t live_ = 0;          // replies due to what was handed out
  size_t handed_out_ = 0;
  SlotIndex envelope_ = kNoSlot;  // the slot in Phase::kEnvelope that is not blind
  uint64_t bytes_open_ = 0;       // of content: of all in open_,
  uint64_t bytes_pushed_ = 0;     // and of those whose envelope was queued
  uint32_t blind_ = 0;            // as DialogDepth says it
  uint32_t taken_ = 0;
  uint32_t transactions_ = 0;
  uint32_t answered_ = 0;  // transactions that the receiver answered
  uint32_t accepted_ = 0;  // of them, delivered
  uint32_t used_up_after_ = 0;
  uint32_t refused_envelopes_ = 0;
  uint32_t fitted_ = 0;
  uint32_t learnt_recipients_ = 0;
  std::array<uint64_t, 4> wordings_{};  // of the first 2xx to RSET, MAIL, RCPT and BDAT
  Probe probe_ = Probe::kNotMade;
  bool probe_due_ = false;
  bool broke_in_flight_ = false;
  bool few_refusals_ = false;
  bool worn_out_ = false;
  bool terse_ = false;
  bool one_at_a_time_ = false;
  bool pipelining_ = false;
  bool chunking_ = false;
  bool clean_ = true;  // nothing was said behind the last RSET, or the greeting
  bool wants_handshake_ = false;
  bool injected_ = false;
  bool encrypted_ = false;
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
