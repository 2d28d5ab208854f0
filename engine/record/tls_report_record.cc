// The TXT record by which a domain asks for TLS reports (RFC 8460 §3).
#include <algorithm>
#include <utility>

#include "engine/base/strings.h"
#include "engine/record/tls_report.h"

namespace sluice {
namespace {

constexpr std::string_view kVersionField = "v=TLSRPTv1";
constexpr std::string_view kMailto = "mailto:";
constexpr std::string_view kHttps = "https://";
constexpr size_t kAddressBytesMax = 254;
constexpr size_t kUrlBytesMax = 2'048;
constexpr size_t kNameBytesMax = 32;  // of an extension: ALPHA / DIGIT, then 31 more

bool is_wsp(char c) { return c == ' ' || c == '\t'; }

std::string_view trim_wsp(std::string_view text) {
  while (!text.empty() && is_wsp(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_wsp(text.back())) text.remove_suffix(1);
  return text;
}

bool is_letter_or_digit(char c) {
  const char lower = ascii_lower(c);
  return (lower >= 'a' && lower <= 'z') || is_digit(c);
}

// Whether the record is for us at all: its version and a delimiter.
bool is_of_version(std::string_view text) {
  if (!text.starts_with(kVersionField)) return false;
  const std::string_view rest = trim_wsp(text.substr(kVersionField.size()));
  return rest.starts_with(';');
}

bool is_extension(std::string_view name, std::string_view value) {
  const auto in_name = [](char c) {
    return is_letter_or_digit(c) || c == '_' || c == '-' || c == '.';
  };
  const auto in_value = [](char c) { return c > ' ' && c < 0x7F && c != '=' && c != ';'; };
  return !name.empty() && name.size() <= kNameBytesMax && is_letter_or_digit(name.front()) &&
         std::all_of(name.begin(), name.end(), in_name) && !value.empty() &&
         std::all_of(value.begin(), value.end(), in_value);
}

int digit_of(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = ascii_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = digit_of(text[i + 1]);
    const int low = digit_of(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

// One mailbox without quotes or comments; fields of the mail (behind "?") are not looked at.
std::optional<std::string> address_of(std::string_view uri) {
  std::optional<std::string> address =
      percent_decoded(uri.substr(kMailto.size()).substr(0, uri.find('?') - kMailto.size()));
  if (!address || address->size() > kAddressBytesMax) return std::nullopt;
  const bool plain = std::all_of(address->begin(), address->end(), [](char c) {
    return c > ' ' && c < 0x7F && std::string_view("\"(),:;<>[\\]").find(c) == std::string::npos;
  });
  const size_t at = address->find('@');
  if (!plain || at == 0 || at == std::string::npos || at + 1 == address->size()) {
    return std::nullopt;
  }
  if (address->find('@', at + 1) != std::string::npos) return std::nullopt;
  return address;
}

bool is_url(std::string_view uri) {
  return uri.size() > kHttps.size() && uri.size() <= kUrlBytesMax &&
         std::all_of(uri.begin(), uri.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

template <typename Value>
void add_once(Value value, std::vector<std::string>& list) {
  std::string text(std::move(value));
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(std::move(text));
}

// What is of another scheme, or cannot be used, is left alone: the others may do.
TlsReportTargets targets_of(std::string_view value) {
  TlsReportTargets targets;
  for (const std::string_view part : split(value, ',')) {
    if (targets.addresses.size() + targets.urls.size() >= kTlsReportTargetsMax) break;
    const std::string_view uri = trim_wsp(part);
    if (starts_with_ignore_case(uri, kMailto)) {
      if (std::optional<std::string> address = address_of(uri)) {
        add_once(std::move(*address), targets.addresses);
      }
    } else if (starts_with_ignore_case(uri, kHttps) && is_url(uri)) {
      add_once(uri, targets.urls);
    }
  }
  return targets;
}

std::optional<TlsReportTargets> parse_record(std::string_view text) {
  std::optional<TlsReportTargets> targets;
  const std::vector<std::string_view> fields = split(text, ';');
  for (size_t i = 1; i < fields.size(); ++i) {
    const std::string_view field = trim_wsp(fields[i]);
    if (field.empty() && i + 1 == fields.size()) break;  // a delimiter may end the record
    const size_t equals = field.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view name = field.substr(0, equals);
    const std::string_view value = field.substr(equals + 1);
    if (name == "rua") {
      if (targets) return std::nullopt;
      targets = targets_of(value);
    } else if (!is_extension(name, value)) {
      return std::nullopt;
    }
  }
  if (!targets || (targets->addresses.empty() && targets->urls.empty())) return std::nullopt;
  return targets;
}

}  // namespace

std::optional<TlsReportTargets> parse_tls_report_record(const std::vector<std::string>& texts) {
  const std::string* record = nullptr;
  for (const std::string& text : texts) {
    if (!is_of_version(text)) continue;
    if (record != nullptr) return std::nullopt;
    record = &text;
  }
  return record == nullptr ? std::nullopt : parse_record(*record);
}

}  // namespace sluice
