// The structure of a MIME message (RFC 2045, 2046) as far as fields need it: which part an octet
// stands in, how that part is encoded, and where its headers are.
//
// Works on text with LF line ends. Pure functions; any thread. Limits: multiparts deeper than
// kDepthMax are one opaque part. BUGS: comments in Content-Type are taken for text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

// A header field of a block: octets [begin, end) with its last LF; the value starts at
// value_begin (behind the colon).
struct HeaderField {
  std::string_view name;
  size_t begin = 0;
  size_t value_begin = 0;
  size_t end = 0;
};

// The headers at the front of [begin, end) of a text.
struct HeaderBlock {
  std::vector<HeaderField> fields;
  size_t body = 0;     // where the body begins: behind the empty line, or `end`
  bool ended = false;  // there is an empty line
  // The first line that is no header, npos when all are.
  size_t bad_line = std::string_view::npos;
  const HeaderField* find(std::string_view name) const;  // the first; null: none
};
HeaderBlock parse_headers(std::string_view text, size_t begin, size_t end);

struct ContentType {
  std::string type = "text";  // lower-case
  std::string subtype = "plain";
  std::vector<std::pair<std::string, std::string>> parameters;  // name lower-case, value raw
  std::string parameter(std::string_view name) const;           // unquoted; empty: none
};
ContentType parse_content_type(std::string_view value);

// What an 8-bit part becomes for receivers of 7-bit content.
enum class Downgrade : uint8_t { kNone, kQuotedPrintable, kBase64 };

// Part::closed of what a signature covers: not an octet of it may change.
inline constexpr std::string_view kSignedPart = "a signed or encrypted part";

// A part that is no multipart.
struct Part {
  size_t headers_begin = 0;
  size_t begin = 0;  // of its content
  size_t end = 0;    // the line end before a boundary is not in it
  ContentType type;
  std::string encoding;     // lower-case; empty when none is named
  const char* closed = "";  // why no field may stand in it; empty: it may
  HeaderBlock headers;
  Downgrade downgrade = Downgrade::kNone;
};

// All parts of the message, in order. What lies between them is headers, boundaries and the like.
// `multiparts`, unless null: the headers of those that hold them and may be changed.
std::vector<Part> parts_of_message(std::string_view text,
                                   std::vector<HeaderBlock>* multiparts = nullptr);

}  // namespace sluice
