#include "engine/compose/base64.h"

#include <algorithm>
#include <cstdint>

namespace sluice {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t kLineOctets = 57;  // become 76

}  // namespace

void append_base64(std::string& out, std::string_view octets) {
  for (size_t i = 0; i < octets.size(); i += 3) {
    const size_t count = std::min<size_t>(3, octets.size() - i);
    uint32_t word = 0;
    for (size_t k = 0; k < 3; ++k) {
      word = word << 8 | (k < count ? static_cast<unsigned char>(octets[i + k]) : 0U);
    }
    out += kAlphabet[word >> 18];
    out += kAlphabet[word >> 12 & 63];
    out += count > 1 ? kAlphabet[word >> 6 & 63] : '=';
    out += count > 2 ? kAlphabet[word & 63] : '=';
  }
}

void append_base64_lines(std::string& out, std::string_view octets) {
  out.reserve(out.size() + base64_lines_length(octets.size()));
  while (!octets.empty()) {
    const size_t count = std::min(kLineOctets, octets.size());
    append_base64(out, octets.substr(0, count));
    out += "\r\n";
    octets.remove_prefix(count);
  }
}

size_t base64_lines_length(size_t octets) {
  return (octets + 2) / 3 * 4 + (octets + kLineOctets - 1) / kLineOctets * 2;
}

}  // namespace sluice
