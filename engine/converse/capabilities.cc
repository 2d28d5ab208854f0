#include "engine/converse/capabilities.h"

#include <optional>

#include "engine/base/strings.h"

namespace sluice {
namespace {

struct Keyword {
  std::string_view name;
  bool Capabilities::*offered;
};

constexpr Keyword kKeywords[] = {
    {"PIPELINING", &Capabilities::pipelining},
    {"8BITMIME", &Capabilities::eight_bit_mime},
    {"SMTPUTF8", &Capabilities::smtputf8},
    {"ENHANCEDSTATUSCODES", &Capabilities::enhanced_status_codes},
    {"CHUNKING", &Capabilities::chunking},
    {"STARTTLS", &Capabilities::starttls},
    {"SIZE", &Capabilities::size},
};

struct LimitName {
  std::string_view name;
  uint32_t Capabilities::*value;
};

constexpr LimitName kLimitNames[] = {
    {"MAILMAX", &Capabilities::mail_max},
    {"RCPTMAX", &Capabilities::rcpt_max},
    {"RCPTDOMAINMAX", &Capabilities::rcpt_domain_max},
};

// Takes everything up to `separator`, and that, from the front.
std::string_view take_until(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return taken;
}

// "MAILMAX=20": the value is one to six digits and not zero (RFC 9422 §3).
void parse_limit(std::string_view word, Capabilities& capabilities) {
  const std::string_view name = take_until(word, '=');
  const std::optional<uint64_t> value = parse_decimal(word);
  if (!value || *value == 0 || word.size() > 6) return;
  for (const LimitName& limit : kLimitNames) {
    if (equals_ignore_case(name, limit.name)) {
      capabilities.*limit.value = static_cast<uint32_t>(*value);
    }
  }
}

void parse_line(std::string_view line, Capabilities& capabilities) {
  const std::string_view keyword = take_until(line, ' ');
  for (const Keyword& known : kKeywords) {
    if (equals_ignore_case(keyword, known.name)) capabilities.*known.offered = true;
  }
  if (equals_ignore_case(keyword, "SIZE")) {
    capabilities.size_limit = parse_decimal(trim(line)).value_or(0);
  }
  while (equals_ignore_case(keyword, "LIMITS") && !line.empty()) {
    parse_limit(take_until(line, ' '), capabilities);
  }
}

}  // namespace

Capabilities parse_capabilities(std::string_view text) {
  Capabilities capabilities;
  capabilities.esmtp = true;
  take_until(text, '\n');
  while (!text.empty()) parse_line(trim(take_until(text, '\n')), capabilities);
  return capabilities;
}

}  // namespace sluice
