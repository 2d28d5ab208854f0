#include "tools/sink/path.h"

#include "engine/base/strings.h"

namespace sluice::sink {
namespace {

constexpr size_t kAddressMax = 320;

// Where the closing bracket is, behind quoted strings; npos when it is missing.
size_t find_bracket(std::string_view text) {
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return std::string_view::npos;
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == '>') {
      return i;
    } else if (!quoted && (c == ' ' || c == '<')) {
      return std::string_view::npos;
    }
  }
  return std::string_view::npos;
}

}  // namespace

Path parse_path(std::string_view arguments, std::string_view prefix) {
  Path path;
  if (!starts_with_ignore_case(arguments, prefix)) return path;
  std::string_view rest = trim(arguments.substr(prefix.size()));
  if (rest.empty() || rest.front() != '<') return path;
  rest.remove_prefix(1);
  const size_t end = find_bracket(rest);
  if (end == std::string_view::npos || end > kAddressMax) return path;
  path.address = rest.substr(0, end);
  std::string_view parameters = rest.substr(end + 1);
  if (!parameters.empty() && parameters.front() != ' ') return path;
  path.parameters = trim(parameters);
  if (!path.address.empty() && path.address.front() == '@') {
    const size_t colon = path.address.find(':');
    if (colon == std::string_view::npos) return path;
    path.address.remove_prefix(colon + 1);
  }
  const size_t at = path.address.rfind('@');
  const bool whole = at != std::string_view::npos && at > 0 && at + 1 < path.address.size();
  path.ok = path.address.empty() || whole || equals_ignore_case(path.address, "postmaster");
  return path;
}

bool find_header_field(std::string_view content, std::string_view name, std::string& value) {
  bool found = false;
  while (!content.empty()) {
    const size_t newline = content.find('\n');
    std::string_view line = content.substr(0, newline);
    content.remove_prefix(newline == std::string_view::npos ? content.size() : newline + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const bool folded = !line.empty() && (line.front() == ' ' || line.front() == '\t');
    if (found) {
      if (!folded) break;
      value += ' ';
      value += trim(line);
      continue;
    }
    if (line.empty()) break;
    if (!starts_with_ignore_case(line, name)) continue;
    line.remove_prefix(name.size());
    if (line.empty() || line.front() != ':') continue;
    value.assign(trim(line.substr(1)));
    found = true;
  }
  if (found) value.assign(std::string(trim(value)));
  return found;
}

}  // namespace sluice::sink
