// A receiver that undoes the encodings finds exactly what was meant: the text, its values, the
// subject.
#include <string>
#include <string_view>

#include "tests/fuzz/input.h"
#include "tests/fuzz/wire.h"

namespace sluice::fuzz {
namespace {

// Text that holds no tag.
std::string plain(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c == '{') c = '(';
  }
  return out;
}

std::string html_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// LF and CRLF are line ends, a CR alone is not.
std::string with_line_ends(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    if (text[i] == '\n') out += '\r';
    out += text[i];
  }
  return out;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  CHECK(c >= 'A' && c <= 'F');
  return c - 'A' + 10;
}

// RFC 2045 §6.7, strictly.
std::string decode_quoted_printable(std::string_view body) {
  std::string out;
  for (std::string_view line : wire_lines(body)) {
    CHECK(line.size() <= 76);
    CHECK(line.empty() || (line.back() != ' ' && line.back() != '\t'));
    CHECK(!line.starts_with('.') && !line.starts_with("From "));
    const bool soft = line.ends_with('=');
    if (soft) line.remove_suffix(1);
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] != '=') {
        CHECK(line[i] == '\t' || (line[i] >= ' ' && line[i] <= '~'));
        out += line[i];
        continue;
      }
      CHECK(i + 2 < line.size());
      out += static_cast<char>(hex_value(line[i + 1]) * 16 + hex_value(line[i + 2]));
      i += 2;
    }
    if (!soft) out += "\r\n";
  }
  return out;
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  using namespace sluice::fuzz;
  Input input(data, size);
  const bool html = input.flag();
  std::string literals[3];
  for (std::string& literal : literals) literal = plain(input.field());
  const std::string name(input.field());
  const std::string x(input.rest());

  JobSpec spec;
  spec.name = "july";
  spec.from = "Example News <news@example.com>";
  spec.subject = "s";
  (html ? spec.message.html : spec.message.text) = "body";
  TemplateInput given;
  given.spec = &spec;
  given.columns = Composer::columns();
  given.job_id = "july-20261201T080000Z-abcdef";
  (html ? given.html : given.text) =
      literals[0] + "{{name}}" + literals[1] + "{{{x}}}" + literals[2];
  const auto message = MessageTemplate::compile(given);
  if (!message.ok()) {
    // Nothing but the octets themselves can be wrong here.
    const std::string& text = html ? given.html : given.text;
    CHECK(!is_utf8(text) || text.find('\0') != std::string::npos);
    return 0;
  }

  Composer composer(**message);
  const std::string wire = composer.compose(name, x);
  CHECK(!wire.empty());
  const size_t gap = wire.find("\r\n\r\n");
  CHECK(gap != std::string::npos);
  // The last line of the template is ended, whatever a value before it holds.
  if (!literals[2].ends_with('\n')) literals[2] += '\n';
  std::string_view first = literals[0];
  if (first.starts_with("\xEF\xBB\xBF")) first.remove_prefix(3);
  // Each piece has line ends of its own: a CR in one and an LF in the next are not one.
  const std::string shown = html ? html_escaped(name) : name;
  std::string meant;
  for (const std::string_view piece :
       {first, std::string_view(shown), std::string_view(literals[1]), std::string_view(x),
        std::string_view(literals[2])}) {
    meant += with_line_ends(piece);
  }
  CHECK(decode_quoted_printable(std::string_view(wire).substr(gap + 4)) == meant);
  return 0;
}
