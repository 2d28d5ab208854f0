#include "tests/sim/receiver.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace sluice::sim {
namespace {

bool begins(std::string_view line, std::string_view verb) {
  if (line.size() < verb.size()) return false;
  return std::equal(verb.begin(), verb.end(), line.begin(),
                    [](char v, char c) { return v == (c >= 'a' && c <= 'z' ? c - 32 : c); });
}

uint16_t code_of(const std::string& reply) {
  return reply.empty() ? uint16_t{250} : static_cast<uint16_t>(std::stoul(reply.substr(0, 3)));
}

constexpr Duration kTarpitOctet = std::chrono::milliseconds(300);
constexpr Duration kOddPause = std::chrono::milliseconds(4);
constexpr size_t kOddPacket = 40;
constexpr Duration kEndlessPause = std::chrono::milliseconds(50);
constexpr size_t kEndlessLines = 200;
constexpr uint64_t kTwiceOneIn = 4;

// What stands between < and >.
std::string path_of(std::string_view line) {
  const size_t open = line.find('<');
  const size_t close = line.find('>', open);
  if (open == std::string_view::npos || close == std::string_view::npos) return {};
  return std::string(line.substr(open + 1, close - open - 1));
}

}  // namespace

class Receiver::Session final : public Watcher {
 public:
  Session(Receiver& receiver, LinePtr line) : receiver_(receiver), line_(std::move(line)) {}

  void begin(bool welcome) {
    line_->ends[1].watcher = this;
    hides_tls_ = receiver_.world_.happens(rules().tls.hides_one_in);
    if (welcome) {
      say("220 mx.sim ESMTP");
    } else {
      say_and_end("421 4.7.0 too many connections");
    }
  }

  void on_change(Line&, int) override {
    flush();
    if (over_) return;
    const Line::End& mine = line_->ends[1];
    const std::string came = receiver_.network_.take(line_, 1, SIZE_MAX);
    if (tls_ && !came.empty() && !deaf_) {
      take_records(came);
    } else {
      in_ += came;
    }
    if (deaf_) in_.clear();
    while (!over_ && !ending_ && !deaf_ && take_one()) {
    }
    if (mine.reset || (mine.ended && mine.inbox.empty())) leave();
  }

 private:
  const ReceiverRules& rules() const { return receiver_.rules; }
  Witness* witness() const { return receiver_.witness; }

  // One command, or the content of one message. False when more octets are needed.
  bool take_one() {
    if (in_data_) return take_content();
    if (in_chunk_) return take_chunk();
    const size_t end = in_.find("\r\n");
    if (end == std::string::npos) return false;
    const std::string line = in_.substr(0, end);
    in_.erase(0, end + 2);
    obey(line);
    if (rules().drops_group) in_.clear();
    return true;
  }

  void obey(const std::string& line) {
    if (encrypted() && witness() != nullptr) witness()->on_command_within_tls(*line_);
    if (begins(line, "EHLO") && rules().no_ehlo) {
      say("502 5.5.2 no such command");
    } else if (begins(line, "EHLO") || begins(line, "HELO")) {
      greet(line);
    } else if (begins(line, "NOOP")) {
      say("250 2.0.0 mx.sim");
    } else if (begins(line, "STARTTLS")) {
      start_tls();
    } else if (begins(line, "MAIL FROM:")) {
      start_message(line);
    } else if (begins(line, "RCPT TO:")) {
      take_recipient(path_of(line));
    } else if (begins(line, "DATA")) {
      if (recipients_.empty()) {
        say("554 5.5.1 no valid recipients");
      } else {
        in_data_ = true;
        say("354 go on");
      }
    } else if (begins(line, "BDAT ")) {
      begin_chunk(std::stoul(line.substr(5)));
    } else if (begins(line, "RSET")) {
      forget_message();
      say("250 2.0.0 forgotten");
    } else if (begins(line, "QUIT")) {
      say_and_end("221 2.0.0 bye");
    } else {
      say("500 5.5.2 what?");
    }
  }

  void greet(const std::string& line) {
    if (witness() != nullptr) witness()->on_hello(*line_, line.substr(line.find(' ') + 1));
    forget_message();
    greeted_ = true;
    if (begins(line, "HELO")) return say("250 mx.sim");
    offers_tls_ = !encrypted() && !hides_tls_ && rules().tls.manner != TlsManner::kNotOffered;
    if (offers_tls_ && witness() != nullptr) witness()->on_offer(*line_);
    say(std::string("250-mx.sim\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n") +
        (rules().pipelining ? "250-PIPELINING\r\n" : "") +
        (rules().chunks != Chunks::kNotOffered ? "250-CHUNKING\r\n" : "") +
        (offers_tls_ ? "250-STARTTLS\r\n" : "") +
        (rules().refuses_size ? "250-SIZE 10000000\r\n" : "") + "250 ENHANCEDSTATUSCODES");
  }

  // --- STARTTLS

  bool encrypted() const { return tls_ && tls_->shook_hands(); }

  TlsManner draw_manner() const {
    const TlsRules& tls = rules().tls;
    if (!receiver_.world_.happens(tls.fails_one_in)) return tls.manner;
    static constexpr TlsManner kFailures[] = {TlsManner::kAlert, TlsManner::kGarbage,
                                              TlsManner::kCloses, TlsManner::kStalls};
    return kFailures[receiver_.world_.random().below(std::size(kFailures))];
  }

  void start_tls() {
    if (!offers_tls_) return say("503 5.5.1 not now");
    if (rules().tls.manner == TlsManner::kRefuses) {
      if (witness() != nullptr) witness()->on_no_tls(*line_);
      return say("454 4.7.0 TLS is not there");
    }
    if (!in_.empty() && witness() != nullptr) {
      witness()->violate(9, "something is said behind STARTTLS and before the handshake");
    }
    if (const Trick trick = draw_trick(); trick != Trick::kNone) return say("", trick);
    manner_ = draw_manner();
    std::string reply = "220 2.0.0 go on\r\n";
    if (manner_ == TlsManner::kInjects) {
      reply += "250-mx.sim\r\n250 PIPELINING\r\n";
      if (witness() != nullptr) witness()->on_injected(*line_);
    }
    put(reply);
    tls_ = std::make_unique<TlsServer>(receiver_.tickets_, rules().tls.certificate);
    in_.clear();
    offers_tls_ = greeted_ = false;
    forget_message();
  }

  void take_records(const std::string& came) {
    switch (manner_) {
      case TlsManner::kAlert:
        deaf_ = true;
        return put_and_end(TlsServer::alert());
      case TlsManner::kGarbage:
        deaf_ = true;
        return put("no hello\r\n");
      case TlsManner::kCloses:
        return leave();
      case TlsManner::kStalls:
        deaf_ = true;
        return;
      default:
        break;
    }
    const bool was_encrypted = encrypted();
    in_ += tls_->receive(came);
    if (const std::string hello = tls_->take_outgoing(); !hello.empty()) put_octets(hello);
    if (!was_encrypted && encrypted()) begin_session();
    if (tls_->failed()) leave();
  }

  void begin_session() {
    ++receiver_.encrypted_;
    receiver_.resumed_ += tls_->resumed() ? 1 : 0;
    receiver_.world_.note("encrypted " + std::to_string(line_->number) +
                          (tls_->resumed() ? " resumed" : ""));
    if (witness() != nullptr) witness()->on_encrypted(*line_, tls_->certificate());
  }

  // --- mail

  void start_message(const std::string& line) {
    if (!greeted_) {
      if (witness() != nullptr) witness()->violate(9, "MAIL before EHLO within TLS");
      return say("503 5.5.1 EHLO first");
    }
    if (has_sender_) {
      if (witness() != nullptr && !rules().drops_group) witness()->on_nested_mail(*line_);
      return say("503 5.5.1 MAIL already given");
    }
    const uint32_t most = rules().messages_per_line;
    if (most != 0 && messages_ >= most) return say_and_end("421 4.7.0 enough for one connection");
    if (rules().refuses_size && line.find(" SIZE=") != std::string::npos) {
      return say("555 5.5.4 SIZE is not known");
    }
    receiver_.messages_.push_back(receiver_.world_.now());
    const std::string reply = rules().mail ? rules().mail(messages_) : std::string();
    const bool wants_tls = rules().tls.is_wanted && offers_tls_;
    const uint16_t code = reply.empty() && wants_tls ? uint16_t{530} : code_of(reply);
    if (witness() != nullptr) witness()->on_mail(*line_, code, messages_);
    if (!reply.empty()) return say(reply);
    if (wants_tls) return say("530 5.7.0 STARTTLS first");
    ++messages_;
    has_sender_ = true;
    say("250 2.1.0 sender ok");
  }

  void take_recipient(const std::string& recipient) {
    if (!has_sender_) return say("503 5.5.1 MAIL first");
    receiver_.tries_.push_back({receiver_.world_.now(), recipient});
    const uint32_t attempt = ++receiver_.attempts_[recipient];
    std::string reply;
    if (rules().rcpt) reply = rules().rcpt(recipient, attempt);
    receiver_.world_.note("rcpt " + recipient + " " + (reply.empty() ? "250" : reply));
    if (witness() != nullptr) witness()->on_recipient(*line_, recipient, code_of(reply));
    if (reply.empty()) recipients_.push_back(recipient);
    say(reply.empty() ? "250 2.1.5 recipient ok" : reply);
  }

  bool take_content() {
    size_t size = std::string::npos;
    size_t skip = 3;
    if (in_.compare(0, 3, ".\r\n") == 0) {
      size = 0;
    } else if (const size_t dot = in_.find("\r\n.\r\n"); dot != std::string::npos) {
      size = dot + 2;
    }
    if (size == std::string::npos) return false;
    const std::string content = in_.substr(0, size);
    in_.erase(0, size + skip);
    in_data_ = false;
    judge(content, draw_dot());
    forget_message();
    return true;
  }

  // One that is refused at once is swallowed, or it is not.
  void begin_chunk(size_t size) {
    using Dot = ReceiverRules::Dot;
    const bool refused = recipients_.empty();
    if (rules().chunks == Chunks::kReadAsCommands) {
      if (refused) return say("503 5.5.1 no valid recipients");
      const Dot dot = draw_dot();
      if (dot == Dot::kRefuse || dot == Dot::kDefer) {
        judge("", dot);
        return forget_message();
      }
    }
    chunk_ = size;
    in_chunk_ = true;
  }

  bool take_chunk() {
    if (in_.size() < chunk_) return false;
    const std::string content = in_.substr(0, chunk_);
    in_.erase(0, chunk_);
    in_chunk_ = false;
    if (recipients_.empty()) {
      say("503 5.5.1 no valid recipients");
      if (rules().chunks != Chunks::kKeepsSender) forget_message();
      return true;
    }
    judge(content, draw_dot());
    forget_message();
    const bool again = rules().chunks == Chunks::kAnswersTwice && !over_ && !ending_ && !deaf_ &&
                       receiver_.world_.happens(kTwiceOneIn);
    if (again) say("250 2.0.0 taken, really");
    return true;
  }

  ReceiverRules::Dot draw_dot() const {
    return rules().dot ? rules().dot(recipients_.front()) : ReceiverRules::Dot::kAnswer;
  }

  void judge(const std::string& content, ReceiverRules::Dot dot) {
    using Dot = ReceiverRules::Dot;
    const Trick trick = dot == Dot::kAnswer ? draw_trick() : Trick::kNone;
    // Whoever says 421 has not taken it.
    if (trick == Trick::kGoAway) return say("", trick);
    if (dot == Dot::kAnswer || dot == Dot::kTakeDrop || dot == Dot::kTakeClose) {
      if (witness() != nullptr) witness()->on_taken(*line_, recipients_, content);
      for (const std::string& recipient : recipients_) {
        if (content.find("X-Recipient: " + recipient + "\r\n") == std::string::npos) {
          ++receiver_.misdirected_;
        }
        receiver_.deliveries_.push_back(
            {receiver_.world_.now(), recipient, line_->number, dot == Dot::kAnswer, encrypted()});
        receiver_.world_.note("taken " + recipient + " " + std::to_string(content.size()));
      }
    }
    if (dot == Dot::kRefuse && witness() != nullptr) {
      for (const std::string& recipient : recipients_)
        witness()->on_content_refused(recipient, 554);
    }
    switch (dot) {
      case Dot::kAnswer:
        return say("250 2.0.0 taken", trick);
      case Dot::kRefuse:
        return say("554 5.7.1 not wanted");
      case Dot::kDefer:
        return say("451 4.3.0 not now");
      case Dot::kTakeClose:
        return leave();
      case Dot::kTakeDrop:
      case Dot::kDrop:
        return drop();
    }
  }

  void drop() {
    receiver_.world_.note("dropped " + std::to_string(line_->number));
    receiver_.network_.reset(line_, 1);
    leave();
  }

  void forget_message() {
    has_sender_ = false;
    recipients_.clear();
  }

  Trick draw_trick() const { return rules().trick ? rules().trick() : Trick::kNone; }
  void say(const std::string& reply) { say(reply, draw_trick()); }

  void say(const std::string& reply, Trick trick) {
    if (trick != Trick::kNone) {
      receiver_.world_.note("trick " + std::to_string(static_cast<int>(trick)) + " on " +
                            std::to_string(line_->number));
    }
    switch (trick) {
      case Trick::kNone:
        return put(reply + "\r\n");
      case Trick::kGoAway:
        return put_and_end("421 4.3.2 going down\r\n");
      case Trick::kReset:
        return drop();
      case Trick::kGarbage:
        return put(std::string("\0\xff?? 25\r\n", 9));
      case Trick::kHalfClose:
        receiver_.network_.finish(line_, 1);
        break;
      case Trick::kEndless:
        babble();
        break;
      case Trick::kSilent:
        break;
    }
    deaf_ = true;
    in_.clear();
  }

  void babble() {
    if (over_) return;
    for (size_t i = 0; i < kEndlessLines && out_.size() < 64'000; ++i) {
      out_ += on_the_line("250-and more\r\n");
    }
    flush();
    receiver_.world_.after(kEndlessPause, &receiver_, [this] { babble(); });
  }

  void say_and_end(const std::string& reply) { put_and_end(reply + "\r\n"); }

  // Closes once what was said has left.
  void put_and_end(const std::string& text) {
    ending_ = true;
    put(text);
    if (encrypted()) put_octets(TlsServer::end());
    receiver_.world_.after(rules().reply_delay, &receiver_, [this] {
      closing_ = true;
      flush();
    });
  }

  std::string on_the_line(const std::string& text) const {
    return encrypted() ? tls_->write(text) : text;
  }

  void put(const std::string& text) { put_octets(on_the_line(text)); }

  void put_octets(const std::string& text) {
    const Duration delay = rules().reply_delay;
    if (delay == Duration{}) {
      out_ += text;
      return flush();
    }
    receiver_.world_.after(delay, &receiver_, [this, text] {
      out_ += text;
      flush();
    });
  }

  void flush() {
    if (over_) return;
    switch (rules().manner) {
      case Manner::kPlain:
        write_some(out_.size());
        break;
      case Manner::kOneOctet:
        while (!out_.empty() && write_some(1)) {
        }
        break;
      case Manner::kOddPackets:
        write_later(receiver_.world_.between(Duration{}, kOddPause),
                    1 + receiver_.world_.random().below(kOddPacket));
        break;
      case Manner::kTarpit:
        write_later(kTarpitOctet, 1);
        break;
    }
    if (closing_ && out_.empty()) leave();
  }

  bool write_some(size_t most) {
    const size_t taken = receiver_.network_.write(line_, 1, std::string_view(out_).substr(0, most));
    out_.erase(0, taken);
    return taken > 0;
  }

  void write_later(Duration pause, size_t most) {
    if (out_.empty() || std::exchange(writing_, true)) return;
    receiver_.world_.after(pause, &receiver_, [this, most] {
      writing_ = false;
      if (over_) return;
      if (write_some(most) || rules().manner == Manner::kPlain) flush();
    });
  }

  void leave() {
    if (std::exchange(over_, true)) return;
    --receiver_.lines_open_;
    line_->ends[1].watcher = nullptr;
    receiver_.network_.close(line_, 1);
  }

  Receiver& receiver_;
  const LinePtr line_;
  std::string in_;
  std::string out_;
  std::vector<std::string> recipients_;
  std::unique_ptr<TlsServer> tls_;  // from the reply to STARTTLS on
  TlsManner manner_ = TlsManner::kNotOffered;
  bool greeted_ = true;  // turns false when TLS begins
  bool hides_tls_ = false;
  bool offers_tls_ = false;
  uint32_t messages_ = 0;
  bool has_sender_ = false;
  bool in_data_ = false;
  bool in_chunk_ = false;
  size_t chunk_ = 0;
  bool deaf_ = false;  // reads and never answers
  bool writing_ = false;
  bool ending_ = false;
  bool closing_ = false;
  bool over_ = false;
};

Receiver::Receiver(World& world, Network& network, const SocketAddress& address,
                   ReceiverRules its_rules)
    : rules(std::move(its_rules)), world_(world), network_(network), address_(address) {
  CHECK(network_.listen(address_, *this));
}

Receiver::~Receiver() {
  network_.unlisten(address_);
  world_.forget(this);
}

void Receiver::on_connection(const LinePtr& line) {
  ++lines_open_;
  lines_open_max_ = std::max(lines_open_max_, lines_open_);
  auto session = std::make_unique<Session>(*this, line);
  Session& made = *session;
  sessions_[line->number] = std::move(session);
  made.begin(rules.lines_max == 0 || lines_open_ <= rules.lines_max);
}

}  // namespace sluice::sim
