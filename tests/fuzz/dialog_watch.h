// A Dialog with a watcher beside it, who sees only octets: what the dialog wrote, what the receiver
// said, and the verdicts; he keeps count by RFC 5321 and aborts when they do not fit together.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/converse/commands.h"
#include "engine/converse/dialog.h"

namespace sluice::fuzz {

// How replies are handed to the dialog. The watcher judges octet by octet only: he must know which
// reply made the dialog end.
enum class Feed : uint8_t { kWhole, kOctets };

// A message out of the ordinary: bits of `how` and octets inside its addresses.
struct OddMessage {
  uint8_t how = 0;
  std::string_view text;
};

class DialogWatch {
 public:
  DialogWatch(const DialogOptions& options, Feed feed)
      : options_(options), feed_(feed), dialog_(options), parser_(options.reply_limits) {
    expected_.push_back({Step::kBanner, 0});
  }

  const Dialog& dialog() const { return dialog_; }

  void receive(std::string_view octets) {
    if (feed_ == Feed::kWhole) {
      dialog_.receive(octets);
    } else {
      for (const char& octet : octets) {
        if (!dialog_.finished()) hear(octet);
        dialog_.receive({&octet, 1});
      }
    }
    collect();
  }

  // How far to go: three bits each way.
  void set_depth(uint8_t how) {
    if (!dialog_.ready() || dialog_.finished()) return;
    DialogDepth depth;
    depth.blind = how & 3;
    depth.probe = (how & 4) != 0;
    depth.one_at_a_time = (how & 8) != 0;
    depth.chunking = (how & 16) == 0;
    dialog_.set_depth(depth);
    blind_ = blind_ || depth.blind > 0;
    collect();
  }
  bool take(const OddMessage& odd) {
    if (!dialog_.wants_message()) return false;
    CHECK(!dialog_.finished() && dialog_.ready());
    const uint64_t ticket = ++tickets_;
    Message& message = messages_[ticket];
    message.sender = "s" + std::to_string(ticket) + "@x.example";
    message.recipient = "r" + std::to_string(ticket);
    if ((odd.how & 1) != 0) message.sender.append(odd.text);
    if ((odd.how & 2) != 0) message.recipient.append("_").append(odd.text);
    message.recipient += (odd.how & 4) != 0 ? "@other.example" : "@y.example";
    Envelope envelope = {message.sender, message.recipient, 0, false, false};
    if ((odd.how & 8) != 0 || dialog_.chunked()) envelope.size = 1'000;
    if ((odd.how & 16) != 0) envelope.size = 5'000'000;
    envelope.eight_bit = (odd.how & 32) != 0;
    envelope.smtputf8 = (odd.how & 64) != 0;
    message.size = envelope.size;
    dialog_.take(ticket, envelope);
    CHECK(open() <= 2 * options_.in_flight_max + 2);
    collect();
    return true;
  }
  void gather(size_t count) {
    Dialog::Output pieces[3];
    count = dialog_.gather(std::span(pieces).first(std::min<size_t>(count, 3)));
    CHECK(count == 0 || !dialog_.finished());
    for (size_t i = 0; i < count; ++i) write(pieces[i]);
  }
  void sent(size_t count) {
    count = std::min(count, under_way_.size());
    under_way_.erase(under_way_.begin(), under_way_.begin() + static_cast<ptrdiff_t>(count));
    dialog_.sent(count);
    collect();
  }
  void not_sent() {
    for (const uint64_t ticket : under_way_) {
      if (ticket != 0 && !dialog_.finished()) messages_[ticket].cut = true;
    }
    dialog_.not_sent();
  }
  void quit() {
    dialog_.quit();
    collect();
  }
  void fail(Fault fault) {
    dialog_.fail(fault);
    CHECK(dialog_.finished());
    collect();
  }
  // All that may be sent leaves at once.
  void work() {
    do {
      sent(under_way_.size());
      gather(3);
    } while (!under_way_.empty());
  }

  // The connection is given up; everything must be judged then.
  std::string end() {
    if (!dialog_.finished()) fail(Fault::kStopped);
    collect();
    CHECK(!dialog_.wants_message() && !dialog_.awaits_reply());
    gather(3);
    for (const auto& [ticket, message] : messages_) CHECK(message.verdicts == 1);
    return log_;
  }

 private:
  struct Message {
    std::string sender, recipient;
    bool mail = false;     // MAIL was written
    bool refused = false;  // MAIL, RCPT or DATA had a 4xx or 5xx
    bool refused_ever = false;
    bool hard = false;       // some command of it had a 5xx
    uint16_t data_code = 0;  // reply to DATA
    bool content = false;    // its content was handed out
    bool dot = false;        // and the dot
    bool cut = false;        // the dot has not left
    uint16_t dot_code = 0;   // reply to the dot
    int verdicts = 0;
    uint64_t size = 0;
    bool accepted = false;  // RCPT had a 2xx
  };
  struct Expected {
    Step step;
    uint64_t ticket;  // 0: of no message
  };

  size_t open() const {
    return static_cast<size_t>(std::count_if(messages_.begin(), messages_.end(),
                                             [](const auto& m) { return m.second.verdicts == 0; }));
  }

  // ---- What the receiver says.

  void hear(char octet) {
    std::string_view rest(&octet, 1);
    if (parser_.parse(rest) != ReplyParser::Status::kReply) return;
    const uint16_t code = parser_.reply().code;
    if (expected_.empty()) return;
    const Expected expected = expected_.front();
    expected_.pop_front();
    if (expected.ticket == 0) return;
    Message& message = messages_[expected.ticket];
    if (code >= 500) message.hard = true;
    if (expected.step == Step::kDot || expected.step == Step::kBdat) {
      message.dot_code = code;
      return;
    }
    if (expected.step == Step::kRcpt && code < 300) message.accepted = true;
    if (code >= 400) message.refused = message.refused_ever = true;
    if (expected.step == Step::kData) message.data_code = code;
  }

  // ---- What the dialog writes.

  void write(const Dialog::Output& piece) {
    CHECK(!quit_written_);
    if (piece.kind == Dialog::Output::Kind::kContent) {
      log_ += "[content " + std::to_string(piece.ticket) + "]\n";
      Message& message = messages_[piece.ticket];
      if (chunk_ != 0) {
        write_chunk(piece.ticket, message);
        return;
      }
      CHECK(transaction_ == piece.ticket && transaction_step_ == Step::kData);
      CHECK(!message.content);
      if (feed_ == Feed::kOctets) CHECK(message.data_code / 100 == 3 && !message.refused);
      message.content = true;
      content_ = piece.ticket;
      under_way_.push_back(0);
      return;
    }
    log_ += piece.bytes;
    std::string_view rest = piece.bytes;
    CHECK(!rest.empty());
    const bool dot = rest == ".\r\n" && content_ != 0;
    under_way_.push_back(dot ? content_ : 0);
    while (!rest.empty()) {
      const size_t end = rest.find("\r\n");
      CHECK(end != std::string_view::npos);
      write_line(rest.substr(0, end));
      rest.remove_prefix(end + 2);
    }
  }

  void write_line(std::string_view line) {
    CHECK(line.size() <= 2 * kAddressBytesMax);
    for (const char c : line) CHECK(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
    CHECK(content_ == 0 || line == ".");
    CHECK(chunk_ == 0);
    if (line == "EHLO me.example" || line == "HELO me.example") {
      CHECK(tickets_ == 0 || transaction_step_ == Step::kNoop);
      expected_.push_back({line[0] == 'E' ? Step::kEhlo : Step::kHelo, 0});
    } else if (line.starts_with("MAIL FROM:<")) {
      write_mail(line);
    } else if (line.starts_with("RCPT TO:<")) {
      CHECK(transaction_step_ == Step::kMail);
      CHECK(line == "RCPT TO:<" + messages_[transaction_].recipient + ">");
      step(Step::kRcpt);
    } else if (line.starts_with("BDAT ")) {
      begin_chunk(line);
    } else if (line == "NOOP") {
      // Those of the probe's chunk are content.
      if (probe_lines_ > 0) {
        --probe_lines_;
      } else {
        CHECK(transaction_step_ == Step::kProbe);
        step(Step::kNoop);
      }
    } else if (line == "DATA") {
      CHECK(transaction_step_ == Step::kRcpt);
      step(Step::kData);
    } else if (line == ".") {
      write_dot();
    } else if (line == "RSET") {
      transaction_ = 0;
      step(Step::kRset);
    } else {
      CHECK(line == "QUIT");
      if (feed_ == Feed::kOctets) {
        for (const auto& [ticket, message] : messages_) {
          CHECK(message.verdicts == 1 || message.refused || message.dot_code != 0);
        }
      }
      transaction_ = 0;
      quit_written_ = true;
      step(Step::kQuit);
    }
  }
  void write_mail(std::string_view line) {
    // Behind another message's transaction stands its dot, or a RSET.
    CHECK(transaction_ == 0);
    const auto sender = [&line](const auto& entry) {
      const std::string path = "MAIL FROM:<" + entry.second.sender + ">";
      return line.starts_with(path) && (line.size() == path.size() || line[path.size()] == ' ');
    };
    const auto found = std::find_if(messages_.begin(), messages_.end(), sender);
    CHECK(found != messages_.end());
    Message& message = found->second;
    CHECK(message.verdicts == 0 && (!message.content || blind_));
    CHECK(!message.mail || message.refused_ever || feed_ == Feed::kWhole);
    message.mail = true;
    message.refused = message.accepted = message.dot = message.cut = false;
    message.data_code = message.dot_code = 0;
    transaction_ = found->first;
    step(Step::kMail);
  }
  void begin_chunk(std::string_view line) {
    if (transaction_ == 0) {
      CHECK(line == "BDAT 18 LAST" && transaction_step_ == Step::kRset);
      probe_lines_ = 3;
      step(Step::kProbe);
      return;
    }
    CHECK(transaction_step_ == Step::kRcpt);
    CHECK(line == "BDAT " + std::to_string(messages_[transaction_].size) + " LAST");
    chunk_ = transaction_;
  }
  // Before the answer to its recipient only where it was told to be blind.
  void write_chunk(uint64_t ticket, Message& message) {
    CHECK(chunk_ == ticket);
    // Said once more without SIZE=, it goes once more too.
    CHECK(!message.content || message.refused_ever || feed_ == Feed::kWhole);
    if (feed_ == Feed::kOctets && !blind_) CHECK(message.accepted && !message.refused);
    message.content = message.dot = true;
    under_way_.push_back(ticket);
    chunk_ = 0;
    step(Step::kBdat);
  }
  void write_dot() {
    CHECK(transaction_step_ == Step::kData);
    if (content_ != 0) {
      messages_[content_].dot = true;
    } else if (feed_ == Feed::kOctets) {
      // A lone dot: DATA was accepted although the envelope was refused.
      CHECK(messages_[transaction_].refused && messages_[transaction_].data_code / 100 == 3);
    }
    transaction_ = content_;
    step(Step::kDot);
    transaction_ = content_ = 0;
  }
  void step(Step step) {
    transaction_step_ = step;
    expected_.push_back({step, transaction_});
  }

  // ---- What it concludes.

  void collect() {
    while (const DialogVerdict* judged = dialog_.next_verdict()) {
      const Verdict& verdict = judged->verdict;
      log_ += "[" + std::to_string(judged->ticket) + " " + std::string(name_of(verdict.state)) +
              " " + std::to_string(verdict.reply.code) + " " + verdict.command +
              (verdict.maybe_delivered ? " maybe" : "") + " " + verdict.reply.text + "]\n";
      CHECK(messages_.contains(judged->ticket));
      Message& message = messages_[judged->ticket];
      CHECK(++message.verdicts == 1);
      if (verdict.reply.code != 0) {
        CHECK(verdict.reply.text.size() <= options_.verdict_text_bytes_max);
      }
      if (feed_ == Feed::kOctets) check(verdict, message);
    }
  }
  void check(const Verdict& verdict, const Message& message) const {
    const bool accepted = message.dot_code / 100 == 2;
    switch (verdict.state) {
      case State::kDelivered:
        CHECK(accepted && !verdict.maybe_delivered);
        return;
      case State::kBounced:
        CHECK(message.hard || !message.mail);
        CHECK(!accepted);
        break;
      case State::kWaiting:
      case State::kDeferred:
        break;
      default:
        CHECK(false);
    }
    // The receiver may have taken it: the next attempt may be a twin, and the record says so.
    if (accepted) CHECK(verdict.maybe_delivered);
    // A blind content was not taken where its envelope was refused, or the session ended, in order.
    const bool settled = blind_ && verdict.reply.code != 0;
    if (message.dot && !message.cut && message.dot_code == 0) {
      CHECK(verdict.maybe_delivered || settled);
    }
    if (verdict.maybe_delivered) CHECK(message.dot && verdict.state == State::kDeferred);
    if (verdict.state == State::kWaiting) CHECK(!message.content || blind_);
  }

  const DialogOptions options_;
  const Feed feed_;
  Dialog dialog_;
  ReplyParser parser_;
  std::map<uint64_t, Message> messages_;  // by ticket
  uint64_t tickets_ = 0;
  std::deque<Expected> expected_;   // handed out, not answered
  std::deque<uint64_t> under_way_;  // a piece each: the ticket whose dot it is, or 0
  uint64_t transaction_ = 0;        // of the last MAIL, until RSET or dot
  Step transaction_step_ = Step::kConnect;
  uint64_t chunk_ = 0;    // its BDAT line was written and not its content
  int probe_lines_ = 0;   // of the probe's chunk, still to come
  bool blind_ = false;    // it was ever told so
  uint64_t content_ = 0;  // its content was written and not its dot
  bool quit_written_ = false;
  std::string log_;
};

}  // namespace sluice::fuzz
