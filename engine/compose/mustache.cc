#include "engine/compose/mustache.h"

#include <algorithm>

#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kUrlEncode = "urlencode";
constexpr size_t kTextMax = 64UL << 20;
constexpr size_t kMarksMax = 1'000'000;
constexpr size_t kPartialsMax = 10'000;
constexpr size_t kSectionDepthMax = 100;
constexpr size_t kPartialDepthMax = 50;
constexpr auto kNone = std::string_view::npos;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view without_mark(std::string_view source) {
  if (source.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    source.remove_prefix(kByteOrderMark.size());
  }
  return source;
}

struct OpenSection {
  std::string tag;   // as its end tag must say
  std::string name;  // of its value
  MarkKind kind = MarkKind::kSection;
  bool url = false;
  size_t source = 0;
};

// What the parsers of a template and of its partials share.
struct Parse {
  ParsedText out;
  const PartialFiles* partials = nullptr;
  std::vector<std::string>* names = nullptr;  // only these are wanted; no partial is put in
  std::vector<OpenSection> open;
  std::vector<std::string> calls;  // the files being put in, outermost first
  size_t partials_seen = 0;
};

// One file: the template or a partial.
class Parser {
 public:
  Parser(Parse& parse, std::string_view source, size_t base, std::string indent)
      : parse_(parse),
        out_(parse.out),
        source_(source),
        base_(base),
        indent_(std::move(indent)),
        open_before_(parse.open.size()) {}

  Status run() {
    while (true) {
      const size_t begin = source_.find(opening_, at_);
      if (begin == kNone) break;
      tag_begin_ = begin;
      RETURN_IF_ERROR(tag());
      here(at_);
      RETURN_IF_ERROR(check_size());
    }
    append(at_, source_.size());
    RETURN_IF_ERROR(check_size());
    if (parse_.open.size() > open_before_) {
      const OpenSection& section = parse_.open.back();
      return invalid(out_.position_in_source(section.source) + ": section " + shown(section) +
                     " is never closed; write {{/" + escaped(section.tag, 40) + "}} behind it");
    }
    return absl::OkStatus();
  }

 private:
  Status fail(const std::string& what) const {
    return invalid(out_.position_in_source(base_ + tag_begin_) + ": " + what);
  }
  static std::string shown(const OpenSection& section) {
    return (section.kind == MarkKind::kInverted ? "{{^" : "{{#") + escaped(section.tag, 40) + "}}";
  }

  Status check_size() const {
    if (out_.text.size() <= kTextMax && out_.marks.size() <= kMarksMax) return absl::OkStatus();
    return fail("the template with its partials has over 64 MiB or 1,000,000 tags");
  }

  // The text goes on with the octet `at` of this file.
  void here(size_t at) { out_.jumps.emplace_back(out_.text.size(), base_ + at); }

  void indent_line() {
    if (line_begins_) out_.text += indent_;
    line_begins_ = false;
  }
  void append(size_t begin, size_t end) {
    if (begin >= end) return;
    if (indent_.empty()) {
      here(begin);
      out_.text.append(source_.substr(begin, end - begin));
      return;
    }
    while (begin < end && out_.text.size() <= kTextMax) {
      const size_t feed = source_.find('\n', begin);
      const size_t next = feed == kNone || feed >= end ? end : feed + 1;
      if (source_[begin] != '\n' && source_[begin] != '\r') indent_line();
      here(begin);
      out_.text.append(source_.substr(begin, next - begin));
      line_begins_ = source_[next - 1] == '\n';
      begin = next;
    }
  }

  // tag_begin_ stands at the opening delimiter, at_ where the text before it begins; afterwards
  // at_ is behind the tag.
  Status tag() {
    const size_t inside = tag_begin_ + opening_.size();
    size_t sigil_at = inside;
    while (sigil_at < source_.size() && is_space(source_[sigil_at])) ++sigil_at;
    char sigil = sigil_at < source_.size() ? source_[sigil_at] : '\0';
    if (sigil == '{' && sigil_at != inside) sigil = '\0';
    const std::string closing = (sigil == '{' ? "}" : sigil == '=' ? "=" : "") + closing_;
    const bool has_sigil = std::string_view("{#^/>&=!$<").find(sigil) != kNone && sigil != '\0';
    const size_t begin = has_sigil ? sigil_at + 1 : inside;
    const size_t close = source_.find(closing, begin);
    if (close == kNone) {
      return fail("unclosed tag: \"" + escaped(source_.substr(tag_begin_, 24), 24) +
                  "\" has no closing \"" + escaped(closing, 40) + "\"");
    }
    const size_t end = close + closing.size();
    const std::string_view content = trim(source_.substr(begin, close - begin));
    if (sigil == '!') {
      take_line(end);
      return absl::OkStatus();
    }
    if (sigil == '=') {
      take_line(end);
      return set_delimiters(content);
    }
    if (content.empty()) return fail("a tag without a field's name; write {{name}}");
    if (content.find(opening_) != kNone) {
      return fail("unclosed tag: another \"" + escaped(opening_, 40) +
                  "\" stands before its closing \"" + escaped(closing, 40) + "\"");
    }
    switch (sigil) {
      case '#':
      case '^':
        take_line(end);
        return open_section(content, sigil == '#' ? MarkKind::kSection : MarkKind::kInverted);
      case '/':
        take_line(end);
        return close_section(content);
      case '>':
        return partial(std::string(content), end);
      case '$':
      case '<':
        return fail("blocks and parents ({{$…}}, {{<…}}) are not supported; use a partial {{> " +
                    escaped(content, 40) + "}}");
      default:
        append(at_, tag_begin_);
        indent_line();
        at_ = end;
        return field(content, sigil != '{' && sigil != '&');
    }
  }

  // The text before the tag goes out, and where the tag has its line for itself, the line goes.
  // Returns the blanks before the tag on such a line.
  std::string_view take_line(size_t end) {
    size_t before = tag_begin_;
    while (before > at_ && is_blank(source_[before - 1])) --before;
    const bool begins = before == 0 || source_[before - 1] == '\n';
    size_t after = end;
    while (after < source_.size() && is_blank(source_[after])) ++after;
    if (after + 1 < source_.size() && source_[after] == '\r' && source_[after + 1] == '\n') ++after;
    const bool ends = after >= source_.size() || source_[after] == '\n';
    alone_ = begins && ends;
    append(at_, alone_ ? before : tag_begin_);
    if (!alone_) {
      indent_line();
      at_ = end;
      return {};
    }
    at_ = std::min(after + 1, source_.size());
    return source_.substr(before, tag_begin_ - before);
  }

  Status set_delimiters(std::string_view content) {
    const size_t gap = std::min(content.find_first_of(" \t\r\n"), content.size());
    const std::string_view opening = content.substr(0, gap);
    const std::string_view closing = trim(content.substr(gap));
    if (opening.empty() || closing.empty() || closing.find_first_of(" \t\r\n=") != kNone ||
        opening.find('=') != kNone) {
      return fail("delimiters are two words without \"=\", such as {{=<% %>=}}");
    }
    opening_ = std::string(opening);
    closing_ = std::string(closing);
    return absl::OkStatus();
  }

  void mark(std::string name, MarkKind kind, bool is_escaped) {
    const bool url = std::any_of(parse_.open.begin(), parse_.open.end(),
                                 [](const OpenSection& section) { return section.url; });
    const bool within = std::any_of(parse_.open.begin(), parse_.open.end(),
                                    [](const OpenSection& section) { return !section.url; });
    out_.marks.push_back({out_.text.size(), base_ + tag_begin_, std::move(name), is_escaped, kind,
                          url, within || kind != MarkKind::kField});
  }

  // The name that {{.}} stands for; empty: none.
  std::string_view this_value() const {
    const auto section = std::find_if(
        parse_.open.rbegin(), parse_.open.rend(),
        [](const OpenSection& open) { return !open.url && open.kind == MarkKind::kSection; });
    return section == parse_.open.rend() ? std::string_view() : std::string_view(section->name);
  }

  Status field(std::string_view name, bool is_escaped) {
    if (name == ".") name = this_value();
    if (name.empty()) return fail("{{.}} is the value of the section around it, and there is none");
    mark(std::string(name), MarkKind::kField, is_escaped);
    return absl::OkStatus();
  }

  Status open_section(std::string_view tag, MarkKind kind) {
    const bool url = tag == kUrlEncode;
    if (url && kind == MarkKind::kInverted) {
      return fail("{{^urlencode}}: the name is that of the section that percent-encodes values");
    }
    std::string name(tag == "." ? this_value() : tag);
    if (name.empty()) return fail("{{#.}} is the value of the section around it; there is none");
    if (parse_.open.size() - open_before_ == kSectionDepthMax) {
      return fail("more than 100 sections in each other");
    }
    if (!url) mark(name, kind, true);
    parse_.open.push_back({std::string(tag), std::move(name), kind, url, base_ + tag_begin_});
    return absl::OkStatus();
  }

  Status close_section(std::string_view tag) {
    const std::string end = "{{/" + escaped(tag, 40) + "}}";
    if (parse_.open.size() == open_before_) return fail(end + " closes no section");
    const OpenSection section = parse_.open.back();
    if (section.tag != tag) {
      return fail(end + " stands where {{/" + escaped(section.tag, 40) +
                  "}} should close the section opened at " +
                  out_.position_in_source(section.source));
    }
    parse_.open.pop_back();
    if (!section.url) mark(section.name, MarkKind::kEnd, true);
    return absl::OkStatus();
  }

  Status partial(std::string name, size_t end) {
    std::string indent(take_line(end));
    if (parse_.names != nullptr) {
      auto& names = *parse_.names;
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      return absl::OkStatus();
    }
    const std::string tag = "{{> " + escaped(name, 60) + "}}";
    if (parse_.partials == nullptr) {
      return fail(tag + ": partials stand in the files of [message]; write the text itself here");
    }
    const std::vector<std::string> paths = partial_paths(out_.name, name);
    auto found = parse_.partials->end();
    for (const std::string& path : paths) {
      if (found == parse_.partials->end()) found = parse_.partials->find(path);
    }
    if (found == parse_.partials->end()) {
      return fail(tag + ": the job has no such file; it looks for " + join(paths, ", "));
    }
    if (std::find(parse_.calls.begin(), parse_.calls.end(), found->first) != parse_.calls.end()) {
      return fail(tag + ": a partial that puts in itself never ends (" + join(parse_.calls, " > ") +
                  " > " + found->first + ")");
    }
    if (++parse_.partials_seen > kPartialsMax) return fail("more than 10,000 partials");
    if (parse_.calls.size() == kPartialDepthMax) return fail("more than 50 partials in each other");
    if (alone_) indent.insert(0, indent_);
    parse_.calls.push_back(found->first);
    const std::string_view contents = without_mark(found->second);
    RETURN_IF_ERROR(
        Parser(parse_, contents, base_of(found->first, contents), std::move(indent)).run());
    parse_.calls.pop_back();
    return absl::OkStatus();
  }

  size_t base_of(const std::string& path, std::string_view contents) {
    for (const auto& [begin, file] : out_.partials) {
      if (file == path) return begin;
    }
    out_.partials.emplace_back(out_.source.size(), path);
    out_.source += contents;
    return out_.partials.back().first;
  }

  Parse& parse_;
  ParsedText& out_;
  const std::string_view source_;
  const size_t base_;  // where it stands in the sources
  const std::string indent_;
  const size_t open_before_;
  std::string opening_ = "{{";
  std::string closing_ = "}}";
  size_t at_ = 0;
  size_t tag_begin_ = 0;
  bool line_begins_ = true;
  bool alone_ = false;  // the last tag had its line for itself
};

}  // namespace

std::string ParsedText::position_in_source(size_t source_offset) const {
  std::string_view file = name;
  size_t base = 0;
  for (const auto& [begin, path] : partials) {
    if (begin > source_offset) break;
    base = begin;
    file = path;
  }
  const std::string_view before = std::string_view(source).substr(base, source_offset - base);
  const size_t line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t newline = before.rfind('\n');
  const std::string_view in_line = newline == kNone ? before : before.substr(newline + 1);
  const auto characters = std::count_if(in_line.begin(), in_line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  });
  return std::string(file) + ":" + std::to_string(line) + ":" + std::to_string(characters + 1);
}

size_t ParsedText::source_offset(size_t offset) const {
  const auto behind = std::upper_bound(
      jumps.begin(), jumps.end(), offset,
      [](size_t value, const std::pair<size_t, size_t>& jump) { return value < jump.first; });
  if (behind == jumps.begin()) return offset;
  const auto& jump = *(behind - 1);
  return jump.second + (offset - jump.first);
}

std::string ParsedText::position(size_t offset) const {
  return position_in_source(source_offset(offset));
}

ParsedText ParsedText::unfolded(size_t begin, size_t end) const {
  ParsedText out;
  out.name = name;
  out.source = source;
  out.partials = partials;
  out.jumps.emplace_back(0, source_offset(begin));
  for (const Mark& mark : marks) {
    if (mark.offset < begin || mark.offset > end) continue;
    const auto inside = text.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto here = text.begin() + static_cast<std::ptrdiff_t>(mark.offset);
    out.marks.push_back(mark);
    out.marks.back().offset -= begin + static_cast<size_t>(std::count(inside, here, '\n'));
  }
  for (size_t at = begin; at < end; ++at) {
    const size_t from = source_offset(at);
    const auto& last = out.jumps.back();
    if (last.second + (out.text.size() - last.first) != from) {
      out.jumps.emplace_back(out.text.size(), from);
    }
    if (text[at] != '\n') out.text += text[at];
  }
  return out;
}

std::vector<std::string> partial_paths(std::string_view file, std::string_view name) {
  const size_t slash = file.rfind('/');
  const std::string folder(slash == kNone ? std::string_view() : file.substr(0, slash + 1));
  const std::string path = folder + std::string(name);
  std::vector<std::string> paths = {path, path + ".mustache"};
  const size_t dot = file.rfind('.');
  if (dot != kNone && (slash == kNone || dot > slash)) {
    paths.push_back(path + std::string(file.substr(dot)));
  }
  return paths;
}

std::vector<std::string> partial_names(std::string_view source) {
  std::vector<std::string> names;
  Parse parse;
  parse.names = &names;
  source = without_mark(source);
  parse.out.source = std::string(source);
  // What is wrong in it is said when it is compiled.
  const Status ignored = Parser(parse, source, 0, "").run();
  (void)ignored;
  return names;
}

StatusOr<ParsedText> parse_mustache(std::string_view name, std::string_view source,
                                    const PartialFiles* partials) {
  source = without_mark(source);
  Parse parse;
  parse.partials = partials;
  parse.out.name = std::string(name);
  parse.out.source = std::string(source);
  parse.out.text.reserve(source.size());
  RETURN_IF_ERROR(Parser(parse, source, 0, "").run());
  return std::move(parse.out);
}

}  // namespace sluice
