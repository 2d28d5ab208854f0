#include "engine/record/holes.h"

#include <algorithm>
#include <array>

#include "engine/base/strings.h"

namespace sluice {
namespace {

// A hole is one or more pieces; the first octet of each says: bit 7, another piece follows; bits
// 6 and 5, its coding; bits 4 to 0, its characters less one.
enum Coding : uint8_t { kRaw, kLowerHex, kUpperHex, kSixBits };
constexpr size_t kPieceCharsMax = 32;
// Shorter runs of hexadecimal digits inside a longer run are not worth a piece of their own.
constexpr size_t kHexRunMin = 6;

constexpr std::string_view kLowerHexDigits = "0123456789abcdef";
constexpr std::string_view kUpperHexDigits = "0123456789ABCDEF";
constexpr std::string_view kSixBitChars =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.@";
static_assert(kSixBitChars.size() == 64);

using CodeTable = std::array<int8_t, 256>;
constexpr CodeTable codes_of(std::string_view chars) {
  CodeTable table{};
  for (int8_t& code : table) code = -1;
  for (size_t i = 0; i < chars.size(); ++i) {
    table[static_cast<unsigned char>(chars[i])] = static_cast<int8_t>(i);
  }
  return table;
}
constexpr CodeTable kLowerHexCodes = codes_of(kLowerHexDigits);
constexpr CodeTable kUpperHexCodes = codes_of(kUpperHexDigits);
constexpr CodeTable kSixBitCodes = codes_of(kSixBitChars);

int8_t code_in(const CodeTable& table, char c) { return table[static_cast<unsigned char>(c)]; }

// How many characters at the front of `text`, at most `most`, are in the table.
size_t span_in(const CodeTable& table, std::string_view text, size_t most) {
  const size_t end = std::min(text.size(), most);
  size_t i = 0;
  while (i < end && code_in(table, text[i]) >= 0) ++i;
  return i;
}

void put_packed(std::string_view chars, const CodeTable& table, unsigned bits, std::string& out) {
  unsigned held = 0;
  unsigned value = 0;
  for (const char c : chars) {
    value = (value << bits) | static_cast<unsigned>(code_in(table, c));
    held += bits;
    while (held >= 8) {
      held -= 8;
      out.push_back(static_cast<char>((value >> held) & 0xFF));
    }
  }
  if (held > 0) out.push_back(static_cast<char>((value << (8 - held)) & 0xFF));
}

void put_piece(std::string_view chars, Coding coding, bool more, std::string& out) {
  out.push_back(static_cast<char>((more ? 0x80U : 0U) | (static_cast<unsigned>(coding) << 5) |
                                  (chars.size() - 1)));
  switch (coding) {
    case kRaw:
      out.append(chars);
      break;
    case kLowerHex:
      put_packed(chars, kLowerHexCodes, 4, out);
      break;
    case kUpperHex:
      put_packed(chars, kUpperHexCodes, 4, out);
      break;
    case kSixBits:
      put_packed(chars, kSixBitCodes, 6, out);
      break;
  }
}

// The first piece of `rest`: its length and coding.
size_t next_piece(std::string_view rest, Coding& coding) {
  const size_t lower = span_in(kLowerHexCodes, rest, kPieceCharsMax);
  const size_t upper = span_in(kUpperHexCodes, rest, kPieceCharsMax);
  const size_t hex = std::max(lower, upper);
  if (hex >= kHexRunMin || hex == rest.size()) {
    coding = lower >= upper ? kLowerHex : kUpperHex;
    return hex;
  }
  // Up to where a run of hexadecimal digits begins that is worth it.
  size_t length = 1;
  bool six_bits = code_in(kSixBitCodes, rest[0]) >= 0;
  const size_t end = std::min(rest.size(), kPieceCharsMax);
  while (length < end) {
    const std::string_view ahead = rest.substr(length);
    if (length >= kHexRunMin && (span_in(kLowerHexCodes, ahead, kHexRunMin) == kHexRunMin ||
                                 span_in(kUpperHexCodes, ahead, kHexRunMin) == kHexRunMin)) {
      break;
    }
    six_bits = six_bits && code_in(kSixBitCodes, rest[length]) >= 0;
    ++length;
  }
  coding = six_bits ? kSixBits : kRaw;
  return length;
}

void put_hole(std::string_view run, std::string& pattern, std::string& holes) {
  pattern.push_back('\0');
  while (!run.empty()) {
    Coding coding = kRaw;
    const size_t length = next_piece(run, coding);
    put_piece(run.substr(0, length), coding, length < run.size(), holes);
    run.remove_prefix(length);
  }
}

// What an octet is, as bits.
enum Class : uint8_t { kOther = 0, kAlnum = 1, kDigit = 2, kEndsWord = 4 };
constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  for (size_t i = 0; i < 62; ++i) {
    classes[static_cast<unsigned char>(kSixBitChars[i])] = i < 10 ? kAlnum | kDigit : kAlnum;
  }
  for (size_t octet = 0; octet <= ' '; ++octet) classes[octet] = kEndsWord;
  classes[0x7F] = kEndsWord;
  for (const char c : std::string_view("<>()[],;:\"'")) {
    classes[static_cast<unsigned char>(c)] = kEndsWord;
  }
  return classes;
}
constexpr std::array<uint8_t, 256> kClasses = make_classes();

uint8_t class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }

void split_word(std::string_view word, std::string& pattern, std::string& holes) {
  size_t literal = 0;  // what stands from here to the run goes into the pattern
  size_t i = 0;
  while (i < word.size()) {
    if (class_of(word[i]) == kOther) {
      ++i;
      continue;
    }
    const size_t start = i;
    uint8_t seen = 0;
    for (; i < word.size() && class_of(word[i]) != kOther; ++i) seen |= class_of(word[i]);
    if ((seen & kDigit) == 0) continue;
    pattern.append(word.substr(literal, start - literal));
    put_hole(word.substr(start, i - start), pattern, holes);
    literal = i;
  }
  pattern.append(word.substr(literal));
}

bool is_address(std::string_view word) {
  const size_t at = word.find('@');
  return at != std::string_view::npos && at > 0 && at + 1 < word.size();
}

bool take_packed(ByteReader& reader, std::string_view chars, unsigned bits, size_t count,
                 std::string& text) {
  const std::string_view octets = reader.raw((count * bits + 7) / 8);
  if (!reader.ok()) return false;
  unsigned value = 0;
  unsigned held = 0;
  size_t next = 0;
  for (size_t i = 0; i < count; ++i) {
    if (held < bits) {
      value = (value << 8) | static_cast<unsigned char>(octets[next++]);
      held += 8;
    }
    held -= bits;
    text.push_back(chars[(value >> held) & ((1U << bits) - 1)]);
    value &= (1U << held) - 1;
  }
  return true;
}

bool take_hole(ByteReader& reader, std::string& text) {
  bool more = true;
  while (more) {
    const uint8_t head = reader.u8();
    if (!reader.ok()) return false;
    more = (head & 0x80) != 0;
    const size_t count = (head & 0x1FU) + 1;
    bool whole = true;
    switch (static_cast<Coding>((head >> 5) & 3)) {
      case kRaw:
        text.append(reader.raw(count));
        break;
      case kLowerHex:
        whole = take_packed(reader, kLowerHexDigits, 4, count, text);
        break;
      case kUpperHex:
        whole = take_packed(reader, kUpperHexDigits, 4, count, text);
        break;
      case kSixBits:
        whole = take_packed(reader, kSixBitChars, 6, count, text);
        break;
    }
    if (!whole || !reader.ok()) return false;
  }
  return true;
}

}  // namespace

void split_holes(std::string_view text, Words words, std::string& pattern, std::string& holes) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t start = i;
    while (i < text.size() && class_of(text[i]) != kEndsWord) ++i;
    const std::string_view word = text.substr(start, i - start);
    if (words == Words::kAddressesAreHoles && is_address(word)) {
      put_hole(word, pattern, holes);
    } else {
      split_word(word, pattern, holes);
    }
    for (; i < text.size() && class_of(text[i]) == kEndsWord; ++i) {
      if (text[i] == '\0') {
        put_hole(text.substr(i, 1), pattern, holes);
      } else {
        pattern.push_back(text[i]);
      }
    }
  }
}

bool join_holes(std::string_view pattern, ByteReader& holes, std::string& text) {
  for (const char c : pattern) {
    if (c != '\0') {
      text.push_back(c);
    } else if (!take_hole(holes, text)) {
      return false;
    }
  }
  return true;
}

}  // namespace sluice
