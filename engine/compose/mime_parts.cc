#include "engine/compose/mime_parts.h"

#include <algorithm>

#include "engine/base/strings.h"
#include "engine/compose/header.h"

namespace sluice {
namespace {

constexpr int kDepthMax = 8;
constexpr size_t kPartsMax = 1'000;
constexpr auto kNone = std::string_view::npos;

size_t line_end(std::string_view text, size_t at, size_t end) {
  const size_t newline = text.substr(0, end).find('\n', at);
  return newline == kNone ? end : newline + 1;
}

std::string unquoted(std::string_view value) {
  if (value.empty() || value.front() != '"') return std::string(value);
  std::string out;
  for (size_t i = 1; i < value.size() && value[i] != '"'; ++i) {
    if (value[i] == '\\' && i + 1 < value.size()) ++i;
    out += value[i];
  }
  return out;
}

class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  void entity(size_t begin, size_t end, int depth, const char* closed) {
    Part part;
    part.headers_begin = begin;
    part.headers = parse_headers(text_, begin, end);
    part.begin = part.headers.body;
    part.end = end;
    part.closed = closed;
    if (const HeaderField* type = part.headers.find("Content-Type")) {
      part.type = parse_content_type(value_of(*type));
    }
    if (const HeaderField* encoding = part.headers.find("Content-Transfer-Encoding")) {
      part.encoding = to_lower(trim(value_of(*encoding)));
    }
    const std::string boundary = part.type.parameter("boundary");
    if (part.type.type == "multipart" && !boundary.empty() && depth < kDepthMax) {
      const std::string& kind = part.type.subtype;
      if (kind == "signed" || kind == "encrypted") closed = kSignedPart.data();
      if (*part.closed == '\0') multiparts.push_back(std::move(part.headers));
      children(part.begin, end, boundary, depth, closed);
      return;
    }
    close_unsuitable(part);
    parts.push_back(std::move(part));
  }

  std::vector<Part> parts;
  std::vector<HeaderBlock> multiparts;

 private:
  std::string_view value_of(const HeaderField& field) const {
    return text_.substr(field.value_begin, field.end - field.value_begin);
  }

  static void close_unsuitable(Part& part) {
    if (*part.closed != '\0') return;
    if (!part.headers.ended) {
      part.closed = "a part without an empty line behind its headers";
    } else if (part.type.type == "message") {
      part.closed = "an attached message";
    } else if (part.type.type != "text") {
      part.closed = "a part that is no text";
    } else if (part.encoding == "base64") {
      part.closed = "a base64 part";
    } else if (!part.encoding.empty() && part.encoding != "7bit" && part.encoding != "8bit" &&
               part.encoding != "binary" && part.encoding != "quoted-printable") {
      part.closed = "a part of unknown encoding";
    }
  }

  // 0: no delimiter; 1: delimiter; 2: closing delimiter (RFC 2046 §5.1.1).
  int delimiter(size_t at, size_t end, const std::string& boundary) const {
    std::string_view line = text_.substr(at, end - at);
    if (line.substr(0, 2) != "--" || line.substr(2, boundary.size()) != boundary) return 0;
    line.remove_prefix(2 + boundary.size());
    const bool closing = line.substr(0, 2) == "--";
    if (closing) line.remove_prefix(2);
    return trim(line).empty() ? (closing ? 2 : 1) : 0;
  }

  void children(size_t begin, size_t end, const std::string& boundary, int depth,
                const char* closed) {
    size_t child = kNone;
    for (size_t at = begin; at < end;) {
      const size_t next = line_end(text_, at, end);
      const int kind = delimiter(at, next, boundary);
      if (kind != 0) {
        if (child != kNone) entity(child, std::max(child, at - 1), depth + 1, closed);
        child = next;
        if (kind == 2 || parts.size() >= kPartsMax) return;
      }
      at = next;
    }
    if (child != kNone && child < end) entity(child, end, depth + 1, closed);
  }

  std::string_view text_;
};

}  // namespace

const HeaderField* HeaderBlock::find(std::string_view name) const {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const HeaderField& field) {
    return equals_ignore_case(field.name, name);
  });
  return found == fields.end() ? nullptr : &*found;
}

HeaderBlock parse_headers(std::string_view text, size_t begin, size_t end) {
  HeaderBlock block;
  size_t at = begin;
  while (at < end) {
    const size_t next = line_end(text, at, end);
    if (text[at] == '\n') {
      block.ended = true;
      at = next;
      break;
    }
    const std::string_view line = text.substr(at, next - at);
    if ((line.front() == ' ' || line.front() == '\t') && !block.fields.empty()) {
      block.fields.back().end = next;
    } else {
      const size_t colon = line.find(':');
      const std::string_view name =
          colon == kNone ? std::string_view() : trim(line.substr(0, colon));
      if (is_header_name(name) && line.front() != ' ' && line.front() != '\t') {
        block.fields.push_back({name, at, at + colon + 1, next});
      } else if (block.bad_line == kNone) {
        block.bad_line = at;
      }
    }
    at = next;
  }
  block.body = at;
  return block;
}

std::string ContentType::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters) {
    if (key == name) return unquoted(value);
  }
  return {};
}

ContentType parse_content_type(std::string_view value) {
  ContentType out;
  std::vector<std::string> pieces{std::string()};
  bool quoted = false;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '\n') continue;
    if (value[i] == '"') quoted = !quoted;
    if (value[i] == ';' && !quoted) {
      pieces.emplace_back();
      continue;
    }
    pieces.back() += value[i];
    if (quoted && value[i] == '\\' && i + 1 < value.size()) pieces.back() += value[++i];
  }
  const std::string type = to_lower(trim(pieces[0]));
  const size_t slash = type.find('/');
  // RFC 2045 §5.2: what cannot be read is plain text.
  if (slash != std::string::npos) {
    out.type = type.substr(0, slash);
    out.subtype = type.substr(slash + 1);
  }
  for (size_t i = 1; i < pieces.size(); ++i) {
    const size_t equals = pieces[i].find('=');
    if (equals == std::string::npos) continue;
    const std::string_view piece = pieces[i];
    out.parameters.emplace_back(to_lower(trim(piece.substr(0, equals))),
                                std::string(trim(piece.substr(equals + 1))));
  }
  return out;
}

std::vector<Part> parts_of_message(std::string_view text, std::vector<HeaderBlock>* multiparts) {
  Walker walker(text);
  walker.entity(0, text.size(), 0, "");
  if (multiparts != nullptr) *multiparts = std::move(walker.multiparts);
  return std::move(walker.parts);
}

}  // namespace sluice
