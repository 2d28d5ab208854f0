#include "engine/record/json_text.h"

#include <algorithm>
#include <cstddef>

#include "engine/base/strings.h"

namespace sluice {
namespace {

bool is_plain(char c) {
  const auto octet = static_cast<unsigned char>(c);
  return octet >= 0x20 && octet < 0x7F && c != '"' && c != '\\';
}

// Octets of the well-formed UTF-8 character that `rest` begins with; 0 when it begins with none.
// REQUIRES: the first octet is 80 or above.
size_t character_at(std::string_view rest) {
  const auto first = static_cast<unsigned char>(rest.front());
  const size_t length = first < 0xC2   ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF5 ? 4
                                       : 0;
  if (length == 0 || rest.size() < length || !is_utf8(rest.substr(0, length))) return 0;
  return length;
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto octet = static_cast<unsigned char>(c);
  out += "\\u00";
  out += kHex[octet >> 4];
  out += kHex[octet & 0xF];
}

}  // namespace

void append_json_text(std::string& out, std::string_view octets) {
  out += '"';
  while (!octets.empty()) {
    const auto end = std::find_if_not(octets.begin(), octets.end(), is_plain);
    const auto plain = static_cast<size_t>(end - octets.begin());
    out.append(octets.substr(0, plain));
    octets.remove_prefix(plain);
    if (octets.empty()) break;
    const bool is_ascii_octet = static_cast<unsigned char>(octets.front()) < 0x80;
    const size_t character = is_ascii_octet ? 0 : character_at(octets);
    if (character > 0) {
      out.append(octets.substr(0, character));
    } else {
      append_escaped(out, octets.front());
    }
    octets.remove_prefix(std::max<size_t>(character, 1));
  }
  out += '"';
}

}  // namespace sluice
