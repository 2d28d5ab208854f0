#include "engine/compose/mustache.h"

#include <algorithm>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The word for a tag that begins with `sigil`, null for those that are known.
const char* unbuilt_kind(char sigil) {
  switch (sigil) {
    case '#':
      return "sections are";
    case '^':
      return "inverted sections are";
    case '/':
      return "sections are";
    case '>':
      return "partials are";
    case '=':
      return "set-delimiter tags are";
    case '$':
    case '<':
      return "blocks and parents are";
    default:
      return nullptr;
  }
}

class Parser {
 public:
  explicit Parser(ParsedText& out) : out_(out), source_(out.source) {}

  Status run() {
    while (true) {
      const size_t open = source_.find("{{", at_);
      if (open == std::string_view::npos) break;
      out_.text.append(source_.substr(at_, open - at_));
      at_ = open;
      RETURN_IF_ERROR(tag());
      out_.jumps.emplace_back(out_.text.size(), at_);
    }
    out_.text.append(source_.substr(at_));
    return absl::OkStatus();
  }

 private:
  Status fail(const std::string& what) const {
    return invalid(out_.position_in_source(at_) + ": " + what);
  }

  // at_ stands at "{{"; afterwards behind the tag.
  Status tag() {
    const size_t inside = at_ + 2;
    const char sigil = inside < source_.size() ? source_[inside] : '\0';
    const bool triple = sigil == '{';
    const std::string_view closing = triple ? "}}}" : "}}";
    const size_t begin = triple ? inside + 1 : inside;
    const size_t close = source_.find(closing, begin);
    if (close == std::string_view::npos) {
      return fail("unclosed tag: \"" + escaped(source_.substr(at_, 24), 24) +
                  "\" has no closing \"" + std::string(closing) + "\"");
    }
    const size_t end = close + closing.size();
    std::string_view content = source_.substr(begin, close - begin);
    if (sigil == '!') {
      skip_comment(end);
      return absl::OkStatus();
    }
    if (!triple) {
      const std::string_view trimmed = trim(content);
      if (const char* kind = trimmed.empty() ? nullptr : unbuilt_kind(trimmed.front())) {
        return not_built(out_.position_in_source(at_) + ": " + kind + " not built yet: \"{{" +
                         escaped(trimmed, 40) + "}}\"; only fields {{name}} and comments are");
      }
    }
    bool is_escaped = !triple;
    content = trim(content);
    if (!triple && !content.empty() && content.front() == '&') {
      is_escaped = false;
      content = trim(content.substr(1));
    }
    if (content.empty()) return fail("a tag without a field's name; write {{name}}");
    if (content.find("{{") != std::string_view::npos) {
      return fail("unclosed tag: another \"{{\" stands before its closing \"}}\"");
    }
    out_.marks.push_back({out_.text.size(), at_, std::string(content), is_escaped});
    at_ = end;
    return absl::OkStatus();
  }

  // A comment with nothing but blanks beside it on its lines takes its line end with it.
  void skip_comment(size_t end) {
    at_ = end;
    size_t before = out_.text.size();
    while (before > 0 && is_blank(out_.text[before - 1])) --before;
    // A field at or behind `before` stands on this line.
    const bool field_before = !out_.marks.empty() && out_.marks.back().offset >= before;
    const bool line_begins = !field_before && (before == 0 || out_.text[before - 1] == '\n');
    if (!line_begins) return;
    size_t after = end;
    while (after < source_.size() && is_blank(source_[after])) ++after;
    if (after < source_.size()) {
      if (source_[after] == '\r' && after + 1 < source_.size() && source_[after + 1] == '\n') {
        ++after;
      }
      if (source_[after] != '\n') return;
      ++after;
    }
    out_.text.resize(before);
    at_ = after;
  }
  static bool is_blank(char c) { return c == ' ' || c == '\t'; }

  ParsedText& out_;
  std::string_view source_;
  size_t at_ = 0;
};

}  // namespace

std::string ParsedText::position_in_source(size_t source_offset) const {
  const std::string_view before = std::string_view(source).substr(0, source_offset);
  const size_t line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t newline = before.rfind('\n');
  const std::string_view in_line =
      newline == std::string_view::npos ? before : before.substr(newline + 1);
  const auto characters = std::count_if(in_line.begin(), in_line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  return name + ":" + std::to_string(line) + ":" + std::to_string(characters + 1);
}

size_t ParsedText::source_offset(size_t offset) const {
  const auto behind = std::upper_bound(
      jumps.begin(), jumps.end(), offset,
      [](size_t value, const std::pair<size_t, size_t>& jump) { return value < jump.first; });
  if (behind == jumps.begin()) return offset;
  const auto& jump = *(behind - 1);
  return jump.second + (offset - jump.first);
}

std::string ParsedText::position(size_t offset) const {
  return position_in_source(source_offset(offset));
}

ParsedText ParsedText::unfolded(size_t begin, size_t end) const {
  ParsedText out;
  out.name = name;
  out.source = source;
  out.jumps.emplace_back(0, source_offset(begin));
  for (const Mark& mark : marks) {
    if (mark.offset < begin || mark.offset > end) continue;
    const auto inside = text.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto here = text.begin() + static_cast<std::ptrdiff_t>(mark.offset);
    out.marks.push_back(mark);
    out.marks.back().offset -= begin + static_cast<size_t>(std::count(inside, here, '\n'));
  }
  for (size_t at = begin; at < end; ++at) {
    const size_t from = source_offset(at);
    const auto& last = out.jumps.back();
    if (last.second + (out.text.size() - last.first) != from) {
      out.jumps.emplace_back(out.text.size(), from);
    }
    if (text[at] != '\n') out.text += text[at];
  }
  return out;
}

StatusOr<ParsedText> parse_mustache(std::string_view name, std::string_view source) {
  if (source.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    source.remove_prefix(kByteOrderMark.size());
  }
  ParsedText out;
  out.name = std::string(name);
  out.source = std::string(source);
  out.text.reserve(source.size());
  RETURN_IF_ERROR(Parser(out).run());
  return out;
}

}  // namespace sluice
