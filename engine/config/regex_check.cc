#define PCRE2_CODE_UNIT_WIDTH 8
#include "engine/config/regex_check.h"

#include <pcre2.h>

#include <array>
#include <memory>

namespace sluice::config {
namespace {

constexpr size_t kPatternMax = 8UL << 10;

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};

}  // namespace

std::optional<std::string> regex_mistake(std::string_view pattern) {
  if (pattern.size() > kPatternMax) return "it is longer than 8 KiB";
  int error = 0;
  size_t offset = 0;
  const auto* units =
      static_cast<PCRE2_SPTR>(static_cast<const void*>(pattern.data()));  // char and octet alike
  const std::unique_ptr<pcre2_code, FreeCode> code(pcre2_compile(
      units, pattern.size(), PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr));
  if (code) return std::nullopt;
  std::array<PCRE2_UCHAR, 256> words{};
  const int length = pcre2_get_error_message(error, words.data(), words.size());
  std::string out;
  for (int i = 0; i < length; ++i) out += static_cast<char>(words[static_cast<size_t>(i)]);
  return out + " at offset " + std::to_string(offset);
}

}  // namespace sluice::config
