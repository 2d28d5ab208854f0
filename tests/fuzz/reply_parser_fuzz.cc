// The replies in a stream are those that RFC 5321 §4.2 says, wherever the stream was cut.
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/converse/reply_parser.h"
#include "tests/fuzz/input.h"

namespace sluice {
namespace {

struct Stream {
  std::vector<Reply> replies;
  bool failed = false;
};

bool same(const Stream& a, const Stream& b) {
  if (a.failed != b.failed || a.replies.size() != b.replies.size()) return false;
  for (size_t i = 0; i < a.replies.size(); ++i) {
    const Reply& x = a.replies[i];
    const Reply& y = b.replies[i];
    if (x.code != y.code || x.enhanced != y.enhanced || x.text != y.text) return false;
  }
  return true;
}

Stream parse(std::string_view octets, const ReplyLimits& limits, fuzz::Cutter cutter) {
  Stream stream;
  ReplyParser parser(limits);
  while (!octets.empty()) {
    std::string_view piece = cutter.next(octets);
    while (!piece.empty() || stream.failed) {
      const ReplyParser::Status status = parser.parse(piece);
      if (status == ReplyParser::Status::kNeedMore) {
        CHECK(piece.empty());
        CHECK(!stream.failed);
      } else if (status == ReplyParser::Status::kReply) {
        CHECK(!stream.failed);
        CHECK(parser.error().empty());
        CHECK(parser.reply().text.size() <= limits.reply_bytes_max);
        stream.replies.push_back(parser.reply());
      } else {
        CHECK(!parser.error().empty());
        if (stream.failed) break;
        stream.failed = true;
      }
    }
  }
  return stream;
}

// ---- The same, read off the RFCs line by line.

size_t digits_at(std::string_view text) {
  size_t count = 0;
  while (count < text.size() && is_digit(text[count])) ++count;
  return count;
}

// RFC 2034 §4, RFC 3463 §2: "5.7.26 ".
EnhancedCode cut_enhanced(std::string_view& text) {
  if (text.size() < 5 || text[1] != '.') return {};
  if (text[0] != '2' && text[0] != '4' && text[0] != '5') return {};
  const size_t subject = digits_at(text.substr(2));
  if (subject < 1 || subject > 3 || text.size() < 2 + subject + 2) return {};
  if (text[2 + subject] != '.') return {};
  const size_t detail_at = 3 + subject;
  const size_t detail = digits_at(text.substr(detail_at));
  const size_t end = detail_at + detail;
  if (detail < 1 || detail > 3 || (end < text.size() && text[end] != ' ')) return {};
  const auto number = [&text](size_t at, size_t count) {
    return static_cast<uint16_t>(std::stoi(std::string(text.substr(at, count))));
  };
  const EnhancedCode code = {static_cast<uint8_t>(text[0] - '0'), number(2, subject),
                             number(detail_at, detail)};
  text.remove_prefix(std::min(end + 1, text.size()));
  return code;
}

Stream read_by_the_book(std::string_view octets, const ReplyLimits& limits) {
  Stream stream;
  std::vector<std::string> lines;
  Reply reply;
  size_t bytes = 0;
  while (!octets.empty() && !stream.failed) {
    stream.failed = true;
    const size_t end = octets.find('\n');
    std::string_view line = octets.substr(0, end);
    if (end == std::string_view::npos) {
      stream.failed = line.size() > limits.line_bytes_max + 1;
      break;
    }
    octets.remove_prefix(end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.size() > limits.line_bytes_max || line.size() < 3 || digits_at(line) < 3) break;
    if (line[0] < '2' || line[0] > '5') break;
    const char separator = line.size() == 3 ? ' ' : line[3];
    if (separator != ' ' && separator != '-') break;
    const auto code = static_cast<uint16_t>(std::stoi(std::string(line.substr(0, 3))));
    if (!lines.empty() && code != reply.code) break;
    bytes += line.size();
    if (bytes > limits.reply_bytes_max) break;
    stream.failed = false;
    reply.code = code;
    std::string_view text = line.substr(std::min<size_t>(4, line.size()));
    reply.enhanced = cut_enhanced(text);
    lines.emplace_back(text);
    if (separator == '-') continue;
    reply.text = join(lines, "\n");
    stream.replies.push_back(reply);
    lines.clear();
    bytes = 0;
  }
  return stream;
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  ReplyLimits limits;
  if (input.flag()) limits = {40, 100};
  const std::string_view lengths = input.choices(1 + input.below(8));
  const std::string_view octets = input.rest();

  const Stream whole = parse(octets, limits, fuzz::Cutter());
  CHECK(same(whole, parse(octets, limits, fuzz::Cutter(lengths))));
  CHECK(same(whole, read_by_the_book(octets, limits)));
  return 0;
}
