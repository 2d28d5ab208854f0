#include "engine/resolve/sts_policy.h"

#include <algorithm>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kVersion = "STSv1";
constexpr std::string_view kWildcard = "*.";

bool is_letter(char c) { return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z'; }
bool is_alphanumeric(char c) { return is_letter(c) || is_digit(c); }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// A letter or digit, then up to 31 of those or "_-.".
bool is_extension_name(std::string_view name) {
  constexpr size_t kNameMax = 32;
  if (name.empty() || name.size() > kNameMax || !is_alphanumeric(name.front())) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alphanumeric(c) || c == '_' || c == '-' || c == '.'; });
}

// Visible ASCII but for ";" and "=".
bool is_extension_value(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c > ' ' && c < '\x7F' && c != ';' && c != '=';
  });
}

// What stands behind "v=STSv1" and the ";" that ends it; nothing when it is another record.
std::optional<std::string_view> fields_of(std::string_view text) {
  constexpr std::string_view kBegin = "v=STSv1";
  if (text.substr(0, kBegin.size()) != kBegin) return std::nullopt;
  text.remove_prefix(kBegin.size());
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  if (text.empty() || text.front() != ';') return std::nullopt;
  return text.substr(1);
}

std::optional<std::string> id_in(std::string_view fields) {
  std::optional<std::string> id;
  const std::vector<std::string_view> parts = split(fields, ';');
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = without_blanks(parts[i]);
    if (part.empty() && i + 1 == parts.size()) break;
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view name = part.substr(0, equals);
    const std::string_view value = part.substr(equals + 1);
    if (name == "id") {
      // Two of them name two policies.
      if (id || !is_sts_id(value)) return std::nullopt;
      id = value;
    } else if (!is_extension_name(name) || !is_extension_value(value)) {
      return std::nullopt;
    }
  }
  return id;
}

bool is_label(std::string_view label) {
  constexpr size_t kLabelMax = 63;
  if (label.empty() || label.size() > kLabelMax) return false;
  if (label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
}

bool is_host_name(std::string_view name) {
  constexpr size_t kNameMax = 253;
  if (name.size() > kNameMax) return false;
  const std::vector<std::string_view> labels = split(name, '.');
  return std::all_of(labels.begin(), labels.end(), is_label);
}

// The lines' fields, of each key but mx the first.
struct Fields {
  std::optional<std::string_view> version;
  std::optional<std::string_view> mode;
  std::optional<std::string_view> max_age;
  std::vector<std::string> mx;
  size_t mx_lines = 0;
};

void take_field(std::string_view key, std::string_view value, Fields& fields) {
  const auto take_first = [value](std::optional<std::string_view>& field) {
    if (!field) field = value;
  };
  if (key == "version") take_first(fields.version);
  if (key == "mode") take_first(fields.mode);
  if (key == "max_age") take_first(fields.max_age);
  if (key != "mx" || ++fields.mx_lines > kStsPatternsMax) return;
  std::optional<std::string> pattern = sts_pattern_of(value);
  if (pattern) fields.mx.push_back(std::move(*pattern));
}

StatusOr<Fields> read_fields(std::string_view text) {
  Fields fields;
  size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    line = without_blanks(line);
    if (line.empty()) continue;
    const size_t colon = line.find(':');
    const std::string_view key = line.substr(0, std::min(colon, line.size()));
    if (colon == std::string_view::npos || !is_extension_name(key)) {
      return invalid("line " + std::to_string(number) + " of the policy is no \"key: value\"");
    }
    take_field(key, without_blanks(line.substr(colon + 1)), fields);
  }
  return fields;
}

StatusOr<Duration> max_age_of(const std::optional<std::string_view>& text) {
  constexpr size_t kDigitsMax = 10;
  if (!text) return invalid("the policy has no max_age");
  const std::optional<uint64_t> seconds = parse_decimal(*text);
  if (!seconds || text->size() > kDigitsMax) return invalid("the policy's max_age is no number");
  constexpr auto kMost = std::chrono::floor<std::chrono::seconds>(kStsMaxAge);
  return std::min(std::chrono::seconds(*seconds), kMost);
}

bool fits_pattern(std::string_view pattern, std::string_view exchanger) {
  if (pattern.substr(0, kWildcard.size()) != kWildcard) return pattern == exchanger;
  const size_t dot = exchanger.find('.');
  return dot != std::string_view::npos && dot > 0 &&
         exchanger.substr(dot) == pattern.substr(kWildcard.size() - 1);
}

}  // namespace

bool is_sts_id(std::string_view id) {
  return !id.empty() && id.size() <= kStsIdMax &&
         std::all_of(id.begin(), id.end(), is_alphanumeric);
}

std::optional<std::string> sts_id_of(std::span<const std::string> texts) {
  std::optional<std::string_view> record;
  for (const std::string& text : texts) {
    const std::optional<std::string_view> fields = fields_of(text);
    if (!fields) continue;
    if (record) return std::nullopt;
    record = fields;
  }
  return record ? id_in(*record) : std::nullopt;
}

std::optional<std::string> sts_pattern_of(std::string_view text) {
  if (!text.empty() && text.back() == '.') text.remove_suffix(1);
  const bool wildcard = text.substr(0, kWildcard.size()) == kWildcard;
  if (!is_host_name(wildcard ? text.substr(kWildcard.size()) : text)) return std::nullopt;
  return to_lower(text);
}

StatusOr<StsPolicy> parse_sts_policy(std::string_view text) {
  if (text.size() > kStsTextMax) return invalid("the policy is larger than 64 KiB");
  ASSIGN_OR_RETURN(Fields fields, read_fields(text));
  if (fields.version != kVersion) return invalid("the policy's version is not STSv1");
  if (!fields.mode) return invalid("the policy has no mode");
  const std::optional<StsMode> mode = parse_sts_mode(*fields.mode);
  if (!mode) return invalid("the policy's mode is not enforce, testing or none");
  StsPolicy policy;
  policy.mode = *mode;
  ASSIGN_OR_RETURN(policy.max_age, max_age_of(fields.max_age));
  if (fields.mx_lines > kStsPatternsMax) {
    return invalid("the policy has more than " + std::to_string(kStsPatternsMax) + " mx");
  }
  if (fields.mx.empty() && policy.mode != StsMode::kNone) return invalid("the policy has no mx");
  policy.mx = std::move(fields.mx);
  return policy;
}

bool sts_matches(const StsPolicy& policy, std::string_view exchanger) {
  return std::any_of(policy.mx.begin(), policy.mx.end(), [exchanger](const std::string& pattern) {
    return fits_pattern(pattern, exchanger);
  });
}

const char* name_of(StsMode mode) {
  switch (mode) {
    case StsMode::kNone:
      return "none";
    case StsMode::kTesting:
      return "testing";
    case StsMode::kEnforce:
      return "enforce";
  }
  return "none";
}

std::optional<StsMode> parse_sts_mode(std::string_view name) {
  for (const StsMode mode : {StsMode::kNone, StsMode::kTesting, StsMode::kEnforce}) {
    if (name == name_of(mode)) return mode;
  }
  return std::nullopt;
}

}  // namespace sluice
