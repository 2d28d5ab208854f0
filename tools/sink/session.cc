#include "tools/sink/session.h"

#include <algorithm>

#include "engine/base/strings.h"
#include "tools/sink/path.h"
#include "tools/sink/replies.h"

namespace sluice::sink {
namespace {

constexpr uint32_t kRecipientsDefault = 1'000;

// The first four octets, lower-cased, as a number to switch over.
constexpr uint32_t verb_of(std::string_view word) {
  uint32_t verb = 0;
  for (size_t i = 0; i < 4; ++i) {
    verb = verb << 8 | (i < word.size() ? static_cast<unsigned char>(ascii_lower(word[i])) : 0U);
  }
  return verb;
}

}  // namespace

Next Session::greet(std::string& out) {
  if (!struck(Command::kConnect, out)) {
    reply(220, "", context_->options.hostname + " ESMTP sluice sink", out);
  }
  return next_;
}

Next Session::feed(std::string_view bytes, std::string& out) {
  while (!bytes.empty() && next_ == Next::kGoOn) {
    size_t used = 0;
    switch (phase_) {
      case Phase::kCommand:
        used = feed_command(bytes, out);
        break;
      case Phase::kContent:
        used = feed_content(bytes, out);
        break;
      case Phase::kChunk:
        used = feed_chunk(bytes, out);
        break;
    }
    bytes.remove_prefix(used);
  }
  return next_;
}

size_t Session::feed_command(std::string_view bytes, std::string& out) {
  const size_t newline = bytes.find('\n');
  const size_t used = newline == std::string_view::npos ? bytes.size() : newline + 1;
  const bool too_long = skipping_line_ || line_.size() + used > kLineMax;
  if (newline == std::string_view::npos) {
    skipping_line_ = too_long;
    if (too_long) {
      line_.clear();
    } else {
      line_.append(bytes);
    }
    return used;
  }
  ++context_->counts.commands;
  if (too_long) {
    skipping_line_ = false;
    line_.clear();
    refuse(Command::kOther, 500, "5.5.2", "Line too long", out);
    return used;
  }
  std::string_view line = bytes.substr(0, newline);
  if (!line_.empty()) {
    line_.append(line);
    line = line_;
  }
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  more_follows_ = used < bytes.size();
  command(line, out);
  line_.clear();
  if (!context_->options.pipelining && used < bytes.size() && phase_ == Phase::kCommand) {
    ++context_->counts.pipelined_unasked;
  }
  return used;
}

void Session::command(std::string_view line, std::string& out) {
  const size_t space = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, space);
  const std::string_view arguments = trim(line.substr(space));
  switch (word.size() == 4 ? verb_of(word) : 0U) {
    case verb_of("ehlo"):
      return hello(arguments, true, out);
    case verb_of("helo"):
      return hello(arguments, false, out);
    case verb_of("mail"):
      return mail(arguments, out);
    case verb_of("rcpt"):
      return rcpt(arguments, out);
    case verb_of("data"):
      return data(arguments, out);
    case verb_of("bdat"):
      return bdat(arguments, out);
    case verb_of("quit"):
      reply(221, "2.0.0", context_->options.hostname + " closing connection", out);
      next_ = Next::kClose;
      return;
    case verb_of("rset"):
      if (struck(Command::kOther, out)) return;
      reset_transaction();
      return reply(250, "2.0.0", "OK", out);
    case verb_of("noop"):
      if (struck(Command::kOther, out)) return;
      return reply(250, "2.0.0", "OK", out);
    case verb_of("vrfy"):
      if (struck(Command::kOther, out)) return;
      return reply(252, "2.1.5", "Send some mail, I will try my best", out);
    case verb_of("help"):
      return reply(214, "2.0.0", "See RFC 5321", out);
    default:
      if (equals_ignore_case(word, "STARTTLS")) return starttls(arguments, out);
      return refuse(Command::kOther, 502, "5.5.1", "Unrecognized command", out);
  }
}

void Session::hello(std::string_view name, bool extended, std::string& out) {
  const SessionOptions& o = context_->options;
  if (struck(Command::kEhlo, out)) return;
  if (extended && !o.ehlo) return refuse(Command::kEhlo, 502, "5.5.1", "Unrecognized command", out);
  if (name.empty()) return refuse(Command::kEhlo, 501, "5.5.4", "A name is required", out);
  greeted_ = true;
  reset_transaction();
  std::vector<std::string> lines = {o.hostname};
  if (extended) {
    if (o.pipelining) lines.emplace_back("PIPELINING");
    if (o.size) lines.push_back("SIZE " + std::to_string(o.size_max));
    if (o.chunking) lines.emplace_back("CHUNKING");
    if (o.eight_bit_mime) lines.emplace_back("8BITMIME");
    if (o.smtputf8) lines.emplace_back("SMTPUTF8");
    if (o.enhanced_codes) lines.emplace_back("ENHANCEDSTATUSCODES");
    if (offers_tls_) lines.emplace_back("STARTTLS");
    if (o.limits && (o.messages_max > 0 || o.recipients_max > 0)) {
      std::string limits = "LIMITS";
      if (o.messages_max > 0) limits += " MAILMAX=" + std::to_string(o.messages_max);
      if (o.recipients_max > 0) limits += " RCPTMAX=" + std::to_string(o.recipients_max);
      lines.push_back(limits);
    }
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    out += i + 1 < lines.size() ? "250-" : "250 ";
    out += lines[i];
    out += "\r\n";
  }
}

void Session::starttls(std::string_view arguments, std::string& out) {
  if (!tls_.empty()) return refuse(Command::kStarttls, 503, "5.5.1", "TLS is active", out);
  if (!offers_tls_) return refuse(Command::kStarttls, 502, "5.5.1", "Unrecognized command", out);
  if (!arguments.empty()) {
    return refuse(Command::kStarttls, 501, "5.5.4", "STARTTLS takes no argument", out);
  }
  if (!greeted_) return refuse(Command::kStarttls, 503, "5.5.1", "Say EHLO first", out);
  if (more_follows_) {
    refuse(Command::kStarttls, 554, "5.5.0", "Octets came behind STARTTLS in clear", out);
    next_ = Next::kClose;
    return;
  }
  const Fault& fault = context_->faults.draw(Command::kStarttls);
  const bool injects = fault.action == FaultAction::kInject;
  if (fault.action != FaultAction::kNone && !injects) {
    return strike(Command::kStarttls, fault, out);
  }
  reply(220, "2.0.0", "Ready to start TLS", out);
  if (injects) {
    ++context_->counts.refused[{Command::kStarttls, uint16_t{0}}];
    out += "250-" + context_->options.hostname + "\r\n250-AUTH PLAIN\r\n250 INJECTED\r\n";
  }
  next_ = Next::kTls;
}

void Session::begin_tls(std::string_view protocol) {
  tls_ = protocol;
  next_ = Next::kGoOn;
  offers_tls_ = false;
  greeted_ = false;
  reset_transaction();
}

void Session::mail(std::string_view arguments, std::string& out) {
  const SessionOptions& o = context_->options;
  if (o.tls_required && tls_.empty()) {
    return refuse(Command::kMail, 530, "5.7.0", "Must issue a STARTTLS command first", out);
  }
  if (!greeted_) return refuse(Command::kMail, 503, "5.5.1", "Say EHLO first", out);
  if (o.messages_max > 0 && messages_ >= o.messages_max) {
    refuse(Command::kMail, 421, "4.7.0", "Too many messages for this connection", out);
    next_ = Next::kClose;
    return;
  }
  if (has_sender_) return refuse(Command::kMail, 503, "5.5.1", "Nested MAIL command", out);
  const Path path = parse_path(arguments, "FROM:");
  if (!path.ok) return refuse(Command::kMail, 501, "5.1.7", "Bad sender address syntax", out);
  utf8_ = false;
  std::string_view rest = path.parameters;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(' '), rest.size());
    if (!mail_parameter(rest.substr(0, end), out)) return;
    rest = trim(rest.substr(end));
  }
  if (!utf8_ && !is_ascii(path.address)) {
    return refuse(Command::kMail, 553, "5.6.7", "SMTPUTF8 is required for this address", out);
  }
  if (struck(Command::kMail, out)) return;
  has_sender_ = true;
  sender_.assign(path.address);
  reply(250, "2.1.0", "OK", out);
}

bool Session::mail_parameter(std::string_view parameter, std::string& out) {
  const SessionOptions& o = context_->options;
  if (starts_with_ignore_case(parameter, "SIZE=") && o.size) {
    const auto size = parse_decimal(parameter.substr(5));
    if (!size) {
      refuse(Command::kMail, 501, "5.5.4", "Bad SIZE value", out);
      return false;
    }
    if (*size > o.size_max) {
      refuse(Command::kMail, 552, "5.3.4", "Message size exceeds fixed limit", out);
      return false;
    }
    return true;
  }
  if (o.eight_bit_mime && (equals_ignore_case(parameter, "BODY=8BITMIME") ||
                           equals_ignore_case(parameter, "BODY=7BIT"))) {
    return true;
  }
  if (o.smtputf8 && equals_ignore_case(parameter, "SMTPUTF8")) {
    utf8_ = true;
    return true;
  }
  refuse(Command::kMail, 555, "5.5.4", "Unsupported parameter", out);
  return false;
}

void Session::rcpt(std::string_view arguments, std::string& out) {
  const SessionOptions& o = context_->options;
  if (!has_sender_ || chunked_) return refuse(Command::kRcpt, 503, "5.5.1", "Need MAIL first", out);
  const Path path = parse_path(arguments, "TO:");
  if (!path.ok || path.address.empty()) {
    return refuse(Command::kRcpt, 501, "5.1.3", "Bad recipient address syntax", out);
  }
  if (!path.parameters.empty()) {
    return refuse(Command::kRcpt, 555, "5.5.4", "Unsupported parameter", out);
  }
  if (!utf8_ && !is_ascii(path.address)) {
    return refuse(Command::kRcpt, 553, "5.6.7", "SMTPUTF8 is required for this address", out);
  }
  if (recipient_count_ >= (o.recipients_max > 0 ? o.recipients_max : kRecipientsDefault)) {
    return refuse(Command::kRcpt, 452, "4.5.3", "Too many recipients", out);
  }
  const Fault& fault = context_->faults.judge_recipient(path.address);
  if (fault.action != FaultAction::kNone) return strike(Command::kRcpt, fault, out);
  if (struck(Command::kRcpt, out)) return;
  if (recipient_count_ == recipients_.size()) recipients_.emplace_back();
  std::string& recipient = recipients_[recipient_count_++];
  recipient.assign(path.address);
  for (size_t i = recipient.rfind('@'); i < recipient.size(); ++i) {
    recipient[i] = ascii_lower(recipient[i]);
  }
  reply(250, "2.1.5", "OK", out);
}

void Session::data(std::string_view arguments, std::string& out) {
  if (!arguments.empty())
    return refuse(Command::kData, 501, "5.5.4", "DATA takes no argument", out);
  if (!has_sender_ || chunked_) return refuse(Command::kData, 503, "5.5.1", "Need MAIL first", out);
  if (recipient_count_ == 0)
    return refuse(Command::kData, 554, "5.5.1", "No valid recipients", out);
  if (struck(Command::kData, out)) return;
  phase_ = Phase::kContent;
  scan_.begin();
  content_bytes_ = 0;
  content_.clear();
  keep_content_ = context_->options.store || context_->options.identity != IdentityKind::kRecipient;
  reply(354, "", "End data with <CR><LF>.<CR><LF>", out);
}

size_t Session::feed_content(std::string_view bytes, std::string& out) {
  bool ended = false;
  const size_t used = scan_.feed(bytes, ended);
  content_bytes_ += used;
  keep(bytes.substr(0, used));
  if (ended) {
    phase_ = Phase::kCommand;
    content_bytes_ -= 3;  // the dot and its CRLF
    if (context_->options.store && content_bytes_ <= context_->options.size_max) {
      content_.resize(remove_dot_stuffing(content_.data(), content_bytes_));
    }
    finish_message(out);
  }
  return used;
}

void Session::bdat(std::string_view arguments, std::string& out) {
  const SessionOptions& o = context_->options;
  const size_t space = std::min(arguments.find(' '), arguments.size());
  const auto size = parse_decimal(arguments.substr(0, space));
  const std::string_view last = trim(arguments.substr(space));
  if (!o.chunking) return refuse(Command::kData, 502, "5.5.1", "Unrecognized command", out);
  if (!size || *size >= (1ULL << 62) || (!last.empty() && !equals_ignore_case(last, "LAST"))) {
    return refuse(Command::kData, 501, "5.5.4", "Bad BDAT argument", out);
  }
  chunk_left_ = *size;
  chunk_last_ = !last.empty();
  chunk_refused_ = true;
  chunk_reply_.clear();
  const bool first = !chunked_;
  if (first) {
    content_bytes_ = 0;
    content_.clear();
    keep_content_ = o.store || o.identity != IdentityKind::kRecipient;
  }
  if (!has_sender_) {
    refuse(Command::kData, 503, "5.5.1", "Need MAIL first", chunk_reply_);
  } else if (recipient_count_ == 0) {
    refuse(Command::kData, 503, "5.5.1", "No valid recipients", chunk_reply_);
  } else if (content_bytes_ + *size > o.size_max) {
    refuse(Command::kDot, 552, "5.3.4", "Message size exceeds fixed limit", chunk_reply_);
  } else {
    chunk_refused_ = first && struck(Command::kData, chunk_reply_);
  }
  if (next_ != Next::kGoOn) {
    out += chunk_reply_;
    return;
  }
  chunked_ = true;
  phase_ = Phase::kChunk;
  if (chunk_left_ == 0) end_chunk(out);
}

size_t Session::feed_chunk(std::string_view bytes, std::string& out) {
  const size_t used = static_cast<size_t>(std::min<uint64_t>(chunk_left_, bytes.size()));
  chunk_left_ -= used;
  if (!chunk_refused_) {
    content_bytes_ += used;
    keep(bytes.substr(0, used));
  }
  if (chunk_left_ == 0) end_chunk(out);
  return used;
}

void Session::end_chunk(std::string& out) {
  phase_ = Phase::kCommand;
  if (chunk_refused_) {
    out += chunk_reply_;
    reset_transaction();
  } else if (chunk_last_) {
    finish_message(out);
  } else {
    reply(250, "2.0.0", "Chunk taken", out);
  }
}

void Session::finish_message(std::string& out) {
  const SessionOptions& o = context_->options;
  if (content_bytes_ > o.size_max) {
    refuse(Command::kDot, 552, "5.3.4", "Message size exceeds fixed limit", out);
    return reset_transaction();
  }
  const Fault& fault = context_->faults.draw(Command::kDot);
  if (fault.action != FaultAction::kNone && fault.action != FaultAction::kLoseReply) {
    strike(Command::kDot, fault, out);
    return reset_transaction();
  }
  Message message;
  message.sender = sender_;
  message.recipients = recipients_.data();
  message.recipient_count = recipient_count_;
  message.identity = find_identity();
  message.content = content_;
  message.bytes = content_bytes_;
  message.tls = tls_;
  context_->recorder.accept(message);
  ++messages_;
  uint64_t& most = context_->counts.messages_on_a_connection_max;
  most = std::max(most, messages_);
  if (fault.action == FaultAction::kLoseReply) {
    ++context_->counts.refused[{Command::kDot, uint16_t{0}}];
    next_ = Next::kClose;
    breaks_off_ = true;
  } else {
    reply(250, "2.0.0", "OK: queued", out);
  }
  reset_transaction();
}

std::string_view Session::find_identity() {
  if (context_->options.identity == IdentityKind::kRecipient) return {};
  return find_header_field(content_, context_->options.identity_header, identity_)
             ? identity_
             : std::string_view();
}

void Session::keep(std::string_view piece) {
  if (!keep_content_) return;
  const SessionOptions& o = context_->options;
  const size_t most = o.store ? std::max<size_t>(o.size_max, kHeaderMax) + 8 : kHeaderMax;
  const size_t from = content_.size() < 3 ? 0 : content_.size() - 3;
  content_.append(piece.substr(0, most - content_.size()));
  if (!o.store &&
      (content_.size() == most || content_.find("\r\n\r\n", from) != std::string::npos)) {
    keep_content_ = false;
  }
}

void Session::reset_transaction() {
  has_sender_ = false;
  chunked_ = false;
  recipient_count_ = 0;
}

bool Session::struck(Command command, std::string& out) {
  const Fault& fault = context_->faults.draw(command);
  if (fault.action == FaultAction::kNone) return false;
  strike(command, fault, out);
  return true;
}

void Session::strike(Command command, const Fault& fault, std::string& out) {
  ++context_->counts.refused[{command, fault.code}];
  switch (fault.action) {
    case FaultAction::kReply:
      append_fault_reply(out, command, fault.code, fault.enhanced, context_->picks++,
                         context_->options.enhanced_codes);
      if (fault.code == 421) next_ = Next::kClose;
      break;
    case FaultAction::kReset:
      next_ = Next::kReset;
      break;
    case FaultAction::kHang:
      next_ = Next::kHang;
      break;
    default:
      next_ = Next::kClose;
      breaks_off_ = true;
      break;
  }
}

void Session::refuse(Command command, uint16_t code, std::string_view enhanced,
                     std::string_view text, std::string& out) {
  ++context_->counts.refused[{command, code}];
  reply(code, enhanced, text, out);
}

void Session::reply(uint16_t code, std::string_view enhanced, std::string_view text,
                    std::string& out) {
  const char number[4] = {static_cast<char>('0' + code / 100),
                          static_cast<char>('0' + code / 10 % 10),
                          static_cast<char>('0' + code % 10), ' '};
  out.append(number, sizeof number);
  if (!enhanced.empty() && context_->options.enhanced_codes) {
    out += enhanced;
    out += ' ';
  }
  out += text;
  out += "\r\n";
}

}  // namespace sluice::sink
