#include "engine/converse/reply_parser.h"

#include "engine/base/strings.h"

namespace sluice {
namespace {

// Buffers above this are given back before the next reply.
constexpr size_t kKeptBytesMax = 1'024;

// One to three digits from the front of `text`; false when there are none, or more.
bool take_number(std::string_view& text, uint16_t& number) {
  size_t digits = 0;
  uint16_t value = 0;
  while (digits < text.size() && is_digit(text[digits])) {
    if (digits == 3) return false;
    value = static_cast<uint16_t>(value * 10 + (text[digits] - '0'));
    ++digits;
  }
  if (digits == 0) return false;
  text.remove_prefix(digits);
  number = value;
  return true;
}

bool take_dot(std::string_view& text) {
  if (text.empty() || text.front() != '.') return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

EnhancedCode take_enhanced_code(std::string_view& text) {
  std::string_view rest = text;
  uint16_t klass = 0;
  EnhancedCode code;
  // The class has one digit: "005.1.1" is text.
  if (rest.size() < 2 || rest[1] != '.') return {};
  if (!take_number(rest, klass) || (klass != 2 && klass != 4 && klass != 5)) return {};
  if (!take_dot(rest) || !take_number(rest, code.subject)) return {};
  if (!take_dot(rest) || !take_number(rest, code.detail)) return {};
  if (!rest.empty() && rest.front() != ' ') return {};
  if (!rest.empty()) rest.remove_prefix(1);
  code.klass = static_cast<uint8_t>(klass);
  text = rest;
  return code;
}

ReplyParser::Status ReplyParser::parse(std::string_view& bytes) {
  if (!error_.empty()) return Status::kError;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    // One more than the limit, for a CR that may yet turn out to be the line's end.
    const size_t room = limits_.line_bytes_max + 1 - partial_.size();
    if ((end == std::string_view::npos ? bytes.size() : end) > room) {
      return fail("reply line too long");
    }
    if (end == std::string_view::npos) {
      partial_.append(bytes);
      bytes = {};
      return Status::kNeedMore;
    }
    Status status;
    if (partial_.empty()) {
      status = line(bytes.substr(0, end));
    } else {
      partial_.append(bytes.substr(0, end));
      status = line(partial_);
      partial_.clear();
    }
    bytes.remove_prefix(end + 1);
    if (status != Status::kNeedMore) return status;
  }
  return Status::kNeedMore;
}

ReplyParser::Status ReplyParser::line(std::string_view text) {
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  if (text.size() > limits_.line_bytes_max) return fail("reply line too long");
  if (text.size() < 3 || text[0] < '2' || text[0] > '5' || !is_digit(text[1]) ||
      !is_digit(text[2])) {
    return fail("a line that is no reply");
  }
  const uint16_t code =
      static_cast<uint16_t>((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
  const char separator = text.size() > 3 ? text[3] : ' ';
  if (separator != ' ' && separator != '-') return fail("a line that is no reply");
  if (reply_ended_) {
    begin_reply();
    reply_.code = code;
  } else if (code != reply_.code) {
    return fail("lines of one reply with different codes");
  }
  const bool first = reply_bytes_ == 0;
  reply_bytes_ += text.size();
  if (reply_bytes_ > limits_.reply_bytes_max) return fail("reply too long");
  text.remove_prefix(text.size() > 3 ? 4 : 3);
  reply_.enhanced = take_enhanced_code(text);
  if (!first) reply_.text.push_back('\n');
  reply_.text.append(text);
  reply_ended_ = separator == ' ';
  return reply_ended_ ? Status::kReply : Status::kNeedMore;
}

void ReplyParser::begin_reply() {
  reply_.text.clear();
  if (reply_.text.capacity() > kKeptBytesMax) reply_.text.shrink_to_fit();
  if (partial_.empty() && partial_.capacity() > kKeptBytesMax) partial_.shrink_to_fit();
  reply_bytes_ = 0;
}

ReplyParser::Status ReplyParser::fail(std::string_view error) {
  error_ = error;
  return Status::kError;
}

}  // namespace sluice
