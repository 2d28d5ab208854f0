#include "resolver_cache/dns_name.h"

#include <cstdint>

#include "resolver_cache/dns_message.h"

namespace resolver_cache {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

void append_octet(std::string& text, char octet) {
  const char c = lower(octet);
  if (is_plain(c)) {
    text.push_back(c);
    return;
  }
  const auto value = static_cast<uint8_t>(c);
  text.push_back('\\');
  text.push_back(static_cast<char>('0' + value / 100));
  text.push_back(static_cast<char>('0' + value / 10 % 10));
  text.push_back(static_cast<char>('0' + value % 10));
}

// The octet that an escape at text[i] == '\\' stands for; moves i to its last character.
std::optional<char> unescape(std::string_view text, size_t& i) {
  if (text.size() - i < 4) return std::nullopt;
  unsigned value = 0;
  for (size_t k = i + 1; k <= i + 3; ++k) {
    if (text[k] < '0' || text[k] > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(text[k] - '0');
  }
  if (value > 255) return std::nullopt;
  i += 3;
  return static_cast<char>(static_cast<uint8_t>(value));
}

}  // namespace

std::optional<std::string> name_to_wire(std::string_view text) {
  std::string wire;
  if (!text.empty()) {
    wire.reserve(text.size() + 2);
    size_t length_at = 0;
    wire.push_back('\0');
    for (size_t i = 0; i <= text.size(); ++i) {
      if (i == text.size() || text[i] == '.') {
        const size_t length = wire.size() - length_at - 1;
        if (length == 0 || length > kLabelBytesMax) return std::nullopt;
        wire[length_at] = static_cast<char>(length);
        if (i == text.size()) break;
        length_at = wire.size();
        wire.push_back('\0');
        continue;
      }
      char octet = text[i];
      if (octet == '\\') {
        const std::optional<char> escaped = unescape(text, i);
        if (!escaped) return std::nullopt;
        octet = *escaped;
      }
      wire.push_back(lower(octet));
    }
  }
  wire.push_back('\0');
  if (wire.size() > kNameBytesMax) return std::nullopt;
  return wire;
}

std::optional<std::string> name_from_wire(std::string_view packet, size_t& offset) {
  std::string text;
  size_t at = offset;
  size_t run_start = offset;  // where the labels being read began: pointers must lie before
  size_t wire_bytes = 1;      // the root's octet
  bool jumped = false;
  while (at < packet.size()) {
    const auto length = static_cast<uint8_t>(packet[at]);
    if ((length & 0xC0) == 0xC0) {
      if (at + 1 >= packet.size()) return std::nullopt;
      const size_t target =
          static_cast<size_t>(length & 0x3F) << 8 | static_cast<uint8_t>(packet[at + 1]);
      if (target >= run_start) return std::nullopt;
      if (!jumped) offset = at + 2;
      jumped = true;
      at = run_start = target;
      continue;
    }
    if (length > kLabelBytesMax) return std::nullopt;
    if (length == 0) {
      if (!jumped) offset = at + 1;
      return text;
    }
    wire_bytes += length + 1U;
    if (wire_bytes > kNameBytesMax || packet.size() - at - 1 < length) return std::nullopt;
    if (!text.empty()) text.push_back('.');
    for (const char octet : packet.substr(at + 1, length)) append_octet(text, octet);
    at += 1U + length;
  }
  return std::nullopt;
}

std::optional<std::string> canonical_name(std::string_view text) {
  if (!text.empty() && text.back() == '.') text.remove_suffix(1);
  const std::optional<std::string> wire = name_to_wire(text);
  if (!wire) return std::nullopt;
  size_t offset = 0;
  return name_from_wire(*wire, offset);
}

}  // namespace resolver_cache
