#include "engine/config/checks.h"

#include <algorithm>

#include "engine/base/net.h"
#include "engine/base/strings.h"
#include "engine/config/job_file.h"

namespace sluice {
namespace {

bool is_alphanumeric(char c) {
  const char lower = ascii_lower(c);
  return is_digit(c) || (lower >= 'a' && lower <= 'z');
}

bool is_label(std::string_view label) {
  if (label.empty() || label.size() > 63) return false;
  if (label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return is_alphanumeric(c) || c == '-'; });
}

}  // namespace

bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

namespace config {

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 0x20 || octet == 0x7F;
  });
}

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  const std::vector<std::string_view> labels = split(text, '.');
  if (!std::all_of(labels.begin(), labels.end(), is_label)) return false;
  return !std::all_of(labels.back().begin(), labels.back().end(), is_digit);
}

bool is_hello(std::string_view text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return is_host_name(text);
  std::string_view literal = text.substr(1, text.size() - 2);
  const bool tagged = starts_with_ignore_case(literal, "IPv6:");
  if (tagged) literal.remove_prefix(5);
  const std::optional<IpAddress> ip = parse_ip(literal);
  return ip && (ip->family == Family::kIpv6) == tagged;
}

bool is_selector(std::string_view text) {
  if (text.empty() || text.size() > 63) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) {
                       return is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
                              c == '-' || c == '_' || c == '.';
                     }) &&
         text.front() != '.' && text.back() != '.' && text.find("..") == std::string_view::npos;
}

bool is_inside_path(std::string_view path) {
  if (path.empty() || path.size() > 1024 || has_control(path)) return false;
  const std::vector<std::string_view> parts = split(path, '/');
  // Names that begin with ".new-" are those of files that Sluice is writing.
  if (parts.back().substr(0, 5) == ".new-") return false;
  if (parts.front().empty() || parts.back().empty() || parts.back() == ".") return false;
  return std::find(parts.begin(), parts.end(), "..") == parts.end();
}

}  // namespace config
}  // namespace sluice
