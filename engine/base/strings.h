// Small things about text that the standard library lacks. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace sluice {

// Hash that lets a map keyed by std::string be asked with a std::string_view without a copy.
struct TransparentStringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
// Its iteration order is arbitrary: never iterate one in code that decides.
template <typename Value>
using StringMap = absl::flat_hash_map<std::string, Value, TransparentStringHash, std::equal_to<>>;

inline constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}
inline constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// ASCII only; other bytes stay.
std::string to_lower(std::string_view text);
bool equals_ignore_case(std::string_view a, std::string_view b);
bool starts_with_ignore_case(std::string_view text, std::string_view prefix);
std::string_view trim(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);

// True for well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(std::string_view text);
bool is_ascii(std::string_view text);

// Decimal digits only, the whole text, no overflow; otherwise nothing.
std::optional<uint64_t> parse_decimal(std::string_view text);

// Printable form of untrusted bytes for logs and records: control and 8-bit octets as \xHH,
// cut after `octets_max` with "...".
std::string escaped(std::string_view bytes, size_t octets_max = 1024);

// The entry of `known` nearest to `given` by edit distance (a swap of neighbours is one edit),
// empty when none is near enough (distance over a third of the length): for "unknown key ...; did
// you mean ...?".
std::string_view nearest(std::string_view given, const std::vector<std::string_view>& known);

// 1234567 -> "1,234,567".
std::string grouped(uint64_t number);

}  // namespace sluice
