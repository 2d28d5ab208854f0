#include <algorithm>
#include <exception>

#include "engine/base/strings.h"
#include "engine/config/section.h"

namespace sluice::config {
namespace {

constexpr size_t kTextMax = 4UL << 20;
// A dotted key nests tables, and tables are freed by recursion; nobody writes such keys by hand.
constexpr uint32_t kDotsMax = 16;

// Walks the text as TOML's lexer would, counting the dots outside quotes and comments, line by
// line.
class DotCounter {
 public:
  explicit DotCounter(std::string_view text) : rest_(text) {}

  // The first line with too many dots, 0 when there is none.
  uint32_t first_deep_line() {
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '\n') {
        skip(1);
        dots_ = 0;
      } else if (c == '#') {
        skip(std::min(rest_.find('\n'), rest_.size()));
      } else if (c == '"' || c == '\'') {
        skip_string(c);
      } else {
        if (c == '.' && ++dots_ > kDotsMax) return line_;
        skip(1);
      }
    }
    return 0;
  }

 private:
  void skip(size_t count) {
    line_ += static_cast<uint32_t>(
        std::count(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(count), '\n'));
    rest_.remove_prefix(count);
  }

  void skip_string(char quote) {
    const std::string three(3, quote);
    const bool multi_line = rest_.substr(0, 3) == three;
    skip(multi_line ? 3 : 1);
    while (!rest_.empty()) {
      if (quote == '"' && rest_.front() == '\\') {
        skip(std::min<size_t>(2, rest_.size()));
      } else if (multi_line && rest_.substr(0, 3) == three) {
        skip(3);
        return;
      } else if (!multi_line && rest_.front() == '\n') {
        return;  // malformed: the parser says so
      } else if (!multi_line && rest_.front() == quote) {
        skip(1);
        return;
      } else {
        skip(1);
      }
    }
  }

  std::string_view rest_;
  uint32_t line_ = 1;
  uint32_t dots_ = 0;
};

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet < 0x20 || octet == 0x7F) c = '?';
  }
  return out;
}

}  // namespace

Place place_of(const toml::source_region& region) {
  return {static_cast<uint32_t>(region.begin.line), static_cast<uint32_t>(region.begin.column)};
}

std::string quote(std::string_view text) {
  std::string shown = printable(text.substr(0, 100));
  if (text.size() > 100) shown += "...";
  return "\"" + shown + "\"";
}

std::optional<toml::table> read_document(std::string_view text, Problems& problems) {
  if (text.size() > kTextMax) {
    problems.add({}, "is larger than 4 MiB; write a smaller file");
    return std::nullopt;
  }
  if (const uint32_t line = DotCounter(text).first_deep_line(); line != 0) {
    problems.add({line, 1}, "more than 16 dots outside quotes; put names with dots into quotes");
    return std::nullopt;
  }
  try {
    return toml::parse(text, std::string_view(problems.file()));
  } catch (const toml::parse_error& error) {
    problems.add(place_of(error.source()),
                 "not valid TOML: " + printable(error.description()) + "; see https://toml.io");
  } catch (const std::exception& error) {
    problems.add({}, "cannot be parsed: " + printable(error.what()));
  }
  return std::nullopt;
}

}  // namespace sluice::config
