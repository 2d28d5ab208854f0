#include "engine/converse/server_identity.h"

#include <algorithm>
#include <array>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr size_t kIdentityBytesMax = 200;
constexpr std::array<std::string_view, 19> kDateWords = {
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Jan", "Feb", "Mar",
    "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Names and versions hold a dot where they hold digits.
bool is_lasting(std::string_view word) {
  const bool has_digit = std::any_of(word.begin(), word.end(), is_digit);
  if (has_digit) {
    return word.find('.') != std::string_view::npos && word.find(':') == std::string_view::npos;
  }
  while (!word.empty() && (word.back() == ',' || word.back() == '.')) word.remove_suffix(1);
  return !word.empty() && std::find(kDateWords.begin(), kDateWords.end(), word) == kDateWords.end();
}

std::string_view first_word(std::string_view& rest) {
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size());
  return word;
}

}  // namespace

std::string banner_identity(std::string_view greeting) {
  std::string out;
  std::string_view rest = greeting.substr(0, greeting.find('\n'));
  while (!rest.empty()) {
    const std::string_view word = first_word(rest);
    if (!is_lasting(word)) continue;
    if (!out.empty()) out += ' ';
    out += word;
  }
  if (out.size() > kIdentityBytesMax) out.resize(kIdentityBytesMax);
  return out;
}

std::string whole_identity(std::string_view hello, std::string_view banner) {
  std::string_view rest = hello.substr(0, hello.find('\n'));
  std::string out(first_word(rest).substr(0, kIdentityBytesMax));
  if (!banner.empty()) out.append(": ").append(banner);
  return out;
}

}  // namespace sluice
