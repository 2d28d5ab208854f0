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
    if (welcome) {
      say("220 mx.sim ESMTP");
    } else {
      say("421 4.7.0 too many connections");
      end();
    }
  }
  bool over() const { return over_; }

  void on_change(Line&, int) override {
    flush();
    if (over_) return;
    const Line::End& mine = line_->ends[1];
    in_ += receiver_.network_.take(line_, 1, SIZE_MAX);
    while (!over_ && !ending_ && take_one()) {
    }
    if (mine.reset || (mine.ended && mine.inbox.empty())) leave();
  }

 private:
  // One command, or the content of one message. False when more octets are needed.
  bool take_one() {
    if (in_data_) return take_content();
    const size_t end = in_.find("\r\n");
    if (end == std::string::npos) return false;
    const std::string line = in_.substr(0, end);
    in_.erase(0, end + 2);
    obey(line);
    return true;
  }

  void obey(const std::string& line) {
    if (begins(line, "EHLO")) {
      say(std::string("250-mx.sim\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n") +
          (receiver_.rules.pipelining ? "250-PIPELINING\r\n" : "") + "250 ENHANCEDSTATUSCODES");
    } else if (begins(line, "HELO") || begins(line, "NOOP")) {
      say("250 2.0.0 mx.sim");
    } else if (begins(line, "MAIL FROM:")) {
      start_message();
    } else if (begins(line, "RCPT TO:")) {
      take_recipient(path_of(line));
    } else if (begins(line, "DATA")) {
      if (recipients_.empty()) {
        say("554 5.5.1 no valid recipients");
      } else {
        in_data_ = true;
        say("354 go on");
      }
    } else if (begins(line, "RSET")) {
      forget_message();
      say("250 2.0.0 forgotten");
    } else if (begins(line, "QUIT")) {
      say("221 2.0.0 bye");
      end();
    } else {
      say("500 5.5.2 what?");
    }
  }

  void start_message() {
    if (has_sender_) return say("503 5.5.1 MAIL already given");
    const uint32_t most = receiver_.rules.messages_per_line;
    if (most != 0 && messages_ >= most) {
      say("421 4.7.0 enough for one connection");
      return end();
    }
    ++messages_;
    has_sender_ = true;
    receiver_.messages_.push_back(receiver_.world_.now());
    say("250 2.1.0 sender ok");
  }

  void take_recipient(const std::string& recipient) {
    if (!has_sender_) return say("503 5.5.1 MAIL first");
    receiver_.tries_.push_back({receiver_.world_.now(), recipient});
    const uint32_t attempt = ++receiver_.attempts_[recipient];
    std::string reply;
    if (receiver_.rules.rcpt) reply = receiver_.rules.rcpt(recipient, attempt);
    receiver_.world_.note("rcpt " + recipient + " " + (reply.empty() ? "250" : reply));
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
    judge(content);
    forget_message();
    return true;
  }

  void judge(const std::string& content) {
    using Dot = ReceiverRules::Dot;
    const std::string& first = recipients_.front();
    const Dot dot = receiver_.rules.dot ? receiver_.rules.dot(first) : Dot::kAnswer;
    if (dot == Dot::kAnswer || dot == Dot::kTakeDrop) {
      for (const std::string& recipient : recipients_) {
        if (content.find("X-Recipient: " + recipient + "\r\n") == std::string::npos) {
          ++receiver_.misdirected_;
        }
        receiver_.deliveries_.push_back(
            {receiver_.world_.now(), recipient, line_->number, dot == Dot::kAnswer});
        receiver_.world_.note("taken " + recipient + " " + std::to_string(content.size()));
      }
    }
    switch (dot) {
      case Dot::kAnswer:
        return say("250 2.0.0 taken");
      case Dot::kRefuse:
        return say("554 5.7.1 not wanted");
      case Dot::kDefer:
        return say("451 4.3.0 not now");
      case Dot::kTakeDrop:
      case Dot::kDrop:
        receiver_.world_.note("dropped " + std::to_string(line_->number));
        receiver_.network_.reset(line_, 1);
        return leave();
    }
  }

  void forget_message() {
    has_sender_ = false;
    recipients_.clear();
  }

  void say(const std::string& reply) {
    const Duration delay = receiver_.rules.reply_delay;
    const std::string text = reply + "\r\n";
    if (delay == Duration{}) {
      out_ += text;
      return flush();
    }
    receiver_.world_.after(delay, &receiver_, [this, text] {
      out_ += text;
      flush();
    });
  }

  // Closes once what was said has left.
  void end() {
    ending_ = true;
    receiver_.world_.after(receiver_.rules.reply_delay, &receiver_, [this] {
      closing_ = true;
      flush();
    });
  }

  void flush() {
    if (over_) return;
    const size_t taken = receiver_.network_.write(line_, 1, out_);
    out_.erase(0, taken);
    if (closing_ && out_.empty()) leave();
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
  uint32_t messages_ = 0;
  bool has_sender_ = false;
  bool in_data_ = false;
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
