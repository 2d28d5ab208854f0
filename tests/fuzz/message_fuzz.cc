// A receiver that undoes the encodings finds exactly what was meant: the text with its values,
// sections and partials as the template has them, and every attachment.
#include <string>
#include <string_view>
#include <vector>

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

std::string decode_base64(std::string_view body) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  uint32_t have = 0;
  for (const std::string_view line : wire_lines(body)) {
    CHECK(line.size() <= 76);
    for (const char c : line) {
      if (c == '=') continue;
      const size_t digit = kAlphabet.find(c);
      CHECK(digit != std::string_view::npos);
      bits = bits << 6 | static_cast<uint32_t>(digit);
      have += 6;
      if (have < 8) continue;
      have -= 8;
      out += static_cast<char>(bits >> have & 0xFF);
    }
  }
  return out;
}

struct Part {
  std::string_view headers;  // the line end of the last one is left out
  std::string contents;      // decoded
};

// The leaves of a message or part in their order.
void take_apart(std::string_view whole, std::vector<Part>& parts) {
  const size_t gap = whole.find("\r\n\r\n");
  CHECK(gap != std::string_view::npos);
  const std::string_view headers = whole.substr(0, gap);
  std::string_view body = whole.substr(gap + 4);
  constexpr std::string_view kBoundary = "\r\n boundary=\"";
  const size_t at = headers.find(kBoundary);
  if (at == std::string_view::npos) {
    if (!body.empty() && !body.ends_with("\r\n")) CHECK(headers.find("base64") != headers.npos);
    const bool base64 = headers.find("Content-Transfer-Encoding: base64") != headers.npos;
    const std::string lines = std::string(body) + (body.ends_with("\r\n") ? "" : "\r\n");
    parts.push_back({headers, base64 ? decode_base64(lines) : decode_quoted_printable(body)});
    return;
  }
  const std::string_view begin = headers.substr(at + kBoundary.size());
  const std::string line = "--" + std::string(begin.substr(0, begin.find('"')));
  CHECK(body.starts_with(line + "\r\n"));
  body.remove_prefix(line.size() + 2);
  while (true) {
    const size_t end = body.find("\r\n" + line);
    CHECK(end != std::string_view::npos);
    take_apart(body.substr(0, end), parts);
    body.remove_prefix(end + 2 + line.size());
    if (body.starts_with("--")) break;
    CHECK(body.starts_with("\r\n"));
    body.remove_prefix(2);
  }
  CHECK(body == "--\r\n");
}

// A template and, beside it, what is to come of it. Each run of text between two tags has line ends
// of its own: a CR in one and an LF in the next are not one.
class Draft {
 public:
  Draft(Input& input, bool html, std::string_view name, std::string_view x)
      : input_(input), html_(html), name_(name), x_(x) {}

  // REQUIRES: holds no tag.
  void text(std::string_view literal) {
    source += literal;
    if (hidden_ == 0) run_ += literal;
  }
  void field() {
    const bool escaped = input_.flag();
    source += escaped ? "{{name}}" : "{{{x}}}";
    value(escaped);
  }
  void open() {
    const bool inverted = input_.flag();
    const bool of_name = input_.flag();
    begin_edge();
    source += std::string(inverted ? "{{^" : "{{#") + (of_name ? "name" : "x") + "}}";
    sections_.push_back(of_name);
    end_run();
    if (hidden_ > 0 || (of_name ? name_ : x_).empty() != inverted) ++hidden_;
    end_edge();
  }
  void close() {
    if (sections_.empty()) return;
    begin_edge();
    source += std::string("{{/") + (sections_.back() ? "name" : "x") + "}}";
    sections_.pop_back();
    end_run();
    if (hidden_ > 0) --hidden_;
    end_edge();
  }
  // `partial` is "|", text, "{{name}}", text.
  void part(std::string_view before, std::string_view behind) {
    begin_edge();
    source += "{{> part}}";
    if (hidden_ == 0) run_ += "|" + std::string(before);
    value(/*escaped=*/true);
    if (hidden_ == 0) run_ += behind;
    end_edge();
  }
  // The last line is ended.
  void finish(std::string_view literal) {
    while (!sections_.empty()) close();
    text("|" + std::string(literal));
    if (!run_.ends_with('\n')) run_ += '\n';
    end_run();
  }

  std::string source;
  std::string meant;

 private:
  void value(bool escaped) {
    end_run();
    if (hidden_ > 0) return;
    meant += with_line_ends(!escaped ? std::string(x_)
                            : html_  ? html_escaped(name_)
                                     : std::string(name_));
  }
  void end_run() {
    meant += with_line_ends(run_);
    run_.clear();
  }
  // A tag alone on its line takes the line with it; another one leaves all as it is.
  void begin_edge() {
    alone_ = input_.flag();
    text(alone_ ? "\n" : "|");
  }
  void end_edge() {
    if (alone_) {
      source += '\n';
    } else {
      text("|");
    }
  }
  Input& input_;
  const bool html_;
  const std::string_view name_;
  const std::string_view x_;
  std::string run_;
  std::vector<bool> sections_;  // those that are open: of "name", else of "x"
  size_t hidden_ = 0;           // how many of them, from the innermost out, show nothing
  bool alone_ = false;
};

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  using namespace sluice::fuzz;
  Input input(data, size);
  const bool html = input.flag();
  const std::string name(input.field());
  const std::string x(input.field());
  const std::string part[] = {plain(input.field()), plain(input.field())};

  JobSpec spec;
  spec.name = "july";
  spec.from = "Example News <news@example.com>";
  spec.subject = "s";
  (html ? spec.message.html : spec.message.text) = "body";
  TemplateInput given;
  given.spec = &spec;
  given.columns = Composer::columns();
  given.job_id = "july-20261201T080000Z-abcdef";
  given.partials = {{"part", "|" + part[0] + "{{name}}" + part[1]}};
  for (size_t count = input.below(4); count > 0; --count) {
    spec.message.attachments.push_back("file" + std::to_string(count) + ".png");
    given.attachments.emplace_back(input.field());
  }

  Draft draft(input, html, name, x);
  const std::string first = plain(input.field());
  draft.text(first.starts_with("\xEF\xBB\xBF") ? first.substr(3) : first);
  draft.field();
  for (size_t count = input.below(8); count > 0; --count) {
    switch (input.below(6)) {
      case 0:
        draft.field();
        break;
      case 1:
        draft.open();
        break;
      case 2:
        draft.close();
        break;
      case 3:
        draft.part(part[0], part[1]);
        break;
      case 4:
        draft.text("<img src=\"cid:file1.png\">");
        break;
      default:
        draft.text(plain(input.field()));
    }
  }
  draft.finish(plain(input.rest()));
  (html ? given.html : given.text) =
      (first.starts_with("\xEF\xBB\xBF") ? "\xEF\xBB\xBF" : "") + draft.source;

  const auto message = MessageTemplate::compile(given);
  if (!message.ok()) {
    // Nothing but the octets themselves can be wrong here.
    const std::string text = draft.source + given.partials.at("part");
    CHECK(!is_utf8(text) || text.find('\0') != std::string::npos);
    return 0;
  }

  Composer composer(**message);
  const std::string wire = composer.compose(name, x);
  CHECK(!wire.empty());
  std::vector<Part> parts;
  take_apart(wire, parts);
  CHECK(parts.size() == 1 + given.attachments.size());
  CHECK(parts.front().contents == draft.meant);
  for (size_t i = 0; i < given.attachments.size(); ++i) {
    // Those that the HTML shows come first.
    const auto* found = &parts.front();
    for (const Part& each : parts) {
      if (each.headers.find("filename=\"" + spec.message.attachments[i] + "\"") !=
          std::string_view::npos) {
        found = &each;
      }
    }
    CHECK(found != &parts.front());
    CHECK(found->contents == given.attachments[i]);
  }
  return 0;
}
