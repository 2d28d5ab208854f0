// The octets of a fuzzer taken apart: texts from the front, choices from the back.
//
// Because of that a corpus file is a readable text with a few octets behind it, and a change of a
// choice leaves the text alone. An input that is used up gives zeros and empty texts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::fuzz {

// Ends a field of an input that holds several texts.
inline constexpr char kFieldEnd = '\x1F';

class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  // From the back.
  uint8_t choice() {
    if (rest_.empty()) return 0;
    const auto octet = static_cast<uint8_t>(rest_.back());
    rest_.remove_suffix(1);
    return octet;
  }
  bool flag() { return (choice() & 1) != 0; }
  size_t below(size_t end) { return choice() % end; }
  uint64_t number() {
    const size_t octets = below(9);
    uint64_t value = 0;
    for (size_t i = 0; i < octets; ++i) value = value << 8 | choice();
    return value;
  }
  std::string_view choices(size_t count) {
    count = std::min(count, rest_.size());
    const std::string_view taken = rest_.substr(rest_.size() - count);
    rest_.remove_suffix(count);
    return taken;
  }

  // From the front.
  uint8_t octet() {
    const std::string_view one = octets(1);
    return one.empty() ? uint8_t{0} : static_cast<uint8_t>(one.front());
  }
  std::string_view octets(size_t count) {
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  // Up to `end`, which is taken away and not given.
  std::string_view field(char end = kFieldEnd) {
    const size_t length = std::min(rest_.find(end), rest_.size());
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(std::min(length + 1, rest_.size()));
    return taken;
  }
  std::string_view rest() { return octets(rest_.size()); }

 private:
  std::string_view rest_;
};

// Cuts a text into pieces of chosen lengths, 1 to 64 octets, again and again the same; without
// lengths, into one.
class Cutter {
 public:
  Cutter() = default;
  explicit Cutter(std::string_view lengths) : lengths_(lengths) {}

  // Takes the next piece from the front of `text`. REQUIRES: not empty.
  std::string_view next(std::string_view& text) {
    size_t length = text.size();
    if (!lengths_.empty()) {
      length = 1 + static_cast<uint8_t>(lengths_[at_++ % lengths_.size()]) % 64;
    }
    const std::string_view piece = text.substr(0, length);
    text.remove_prefix(piece.size());
    return piece;
  }

 private:
  std::string_view lengths_;
  size_t at_ = 0;
};

}  // namespace sluice::fuzz
