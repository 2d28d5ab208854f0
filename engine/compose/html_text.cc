#include "engine/compose/html_text.h"

#include <algorithm>
#include <span>
#include <utility>

#include "engine/base/strings.h"
#include "engine/compose/html_entity.h"

namespace sluice {
namespace {

constexpr auto kNone = std::string_view::npos;
constexpr size_t kListDepthMax = 20;

bool is_letter(char c) { return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z'; }
bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct Range {
  size_t begin = 0;
  size_t end = 0;
  bool empty() const { return begin == end; }
};

struct Tag {
  std::string name;  // lower-case
  bool closing = false;
  size_t end = 0;  // behind its ">"
  Range href;
  Range alt;
};

class Converter {
 public:
  explicit Converter(const ParsedText& html) : html_(html), text_(html.text) {
    out_.name = html.name;
    out_.source = html.source;
    out_.partials = html.partials;
  }

  StatusOr<ParsedText> run() {
    for (size_t at = 0; at < text_.size();) {
      add_marks(at);
      at = text_[at] == '<' ? markup(at) : text_[at] == '&' ? entity(at) : octet(at);
    }
    add_marks(text_.size());
    while (!out_.text.empty() && out_.text.back() == '\n' && !marked_at_end()) out_.text.pop_back();
    out_.text += '\n';
    RETURN_IF_ERROR(check_sections());
    return std::move(out_);
  }

 private:
  bool marked_at_end() const {
    return !out_.marks.empty() && out_.marks.back().offset == out_.text.size();
  }

  // --- What goes out ---

  // Lines and blanks that were due before the next text.
  void settle(bool before_text) {
    if (breaks_ > 0 && started_) {
      out_.text.append(breaks_, '\n');
      line_begins_ = true;
    } else if (!line_begins_ && cell_ && before_text) {
      out_.text += " | ";
    } else if (!line_begins_ && (blank_ || cell_)) {
      out_.text += ' ';
    }
    breaks_ = 0;
    blank_ = cell_ = false;
  }
  void put(std::string_view piece, size_t from) {
    settle(true);
    const size_t source = html_.source_offset(from);
    if (out_.jumps.empty() ||
        out_.jumps.back().second + (out_.text.size() - out_.jumps.back().first) != source) {
      out_.jumps.emplace_back(out_.text.size(), source);
    }
    out_.text += piece;
    started_ = true;
    line_begins_ = false;
  }
  void put_mark(const Mark& mark) {
    settle(mark.kind == MarkKind::kField);
    out_.marks.push_back(mark);
    out_.marks.back().offset = out_.text.size();
    if (mark.kind == MarkKind::kField) {
      started_ = true;
      line_begins_ = false;
    }
  }
  void want_breaks(size_t count) {
    if (!line_begins_) breaks_ = std::max(breaks_, count);
  }

  // --- What comes in ---

  // Marks before the octet `at`, which stand in text.
  void add_marks(size_t at) {
    for (; mark_ < html_.marks.size() && html_.marks[mark_].offset <= at; ++mark_) {
      put_mark(html_.marks[mark_]);
    }
  }
  void drop_marks(size_t end) {
    while (mark_ < html_.marks.size() && html_.marks[mark_].offset < end) ++mark_;
  }

  size_t octet(size_t at) {
    const char c = text_[at];
    if (preformatted_ > 0 && c == '\n') {
      ++breaks_;
    } else if (preformatted_ > 0 && c != '\r') {
      put(text_.substr(at, 1), at);
    } else if (is_space(c) || c == '\f') {
      blank_ = true;
    } else {
      put(text_.substr(at, 1), at);
    }
    return at + 1;
  }
  size_t entity(size_t at) {
    size_t end = at;
    const std::string character = decode_entity(text_, at, end);
    if (character.empty()) {
      if (end == at) return octet(at);
    } else {
      put(character, at);
    }
    return end;
  }

  size_t markup(size_t at) {
    const std::string_view rest = text_.substr(at);
    if (rest.substr(0, 4) == "<!--") return leave(at, rest.find("-->", 4), 3);
    if (rest.substr(0, 2) == "<!" || rest.substr(0, 2) == "<?") return leave(at, rest.find('>'), 1);
    Tag tag;
    if (!parse_tag(at, tag)) return octet(at);
    if (!tag.closing && is_one_of(tag.name, {"style", "script", "head", "title", "template"})) {
      const size_t end = end_of(tag.name, tag.end);
      drop_marks(end);
      return end;
    }
    act(tag);
    drop_marks(tag.end);
    return tag.end;
  }
  size_t leave(size_t at, size_t length, size_t closing) {
    const size_t end = length == kNone ? text_.size() : at + length + closing;
    drop_marks(end);
    return end;
  }
  // Behind the end tag of an element whose content is not shown.
  size_t end_of(const std::string& name, size_t at) const {
    for (at = text_.find("</", at); at != kNone; at = text_.find("</", at + 2)) {
      if (!starts_with_ignore_case(text_.substr(at + 2), name)) continue;
      const size_t end = text_.find('>', at);
      return end == kNone ? text_.size() : end + 1;
    }
    return text_.size();
  }

  bool parse_tag(size_t at, Tag& tag) const {
    size_t i = at + 1;
    if (i < text_.size() && text_[i] == '/') {
      tag.closing = true;
      ++i;
    }
    if (i >= text_.size() || !is_letter(text_[i])) return false;
    const size_t name_end = std::min(text_.find_first_of(" \t\r\n\f/>", i), text_.size());
    tag.name = to_lower(text_.substr(i, name_end - i));
    i = name_end;
    while (i < text_.size() && text_[i] != '>') i = attribute(i, tag);
    tag.end = i + 1;
    return i < text_.size();
  }
  size_t attribute(size_t at, Tag& tag) const {
    const size_t name_end = std::min(text_.find_first_of(" \t\r\n\f/>=", at), text_.size());
    if (name_end == at && text_[at] != '=') return at + 1;
    const std::string name = to_lower(text_.substr(at, name_end - at));
    at = name_end;
    while (at < text_.size() && is_space(text_[at])) ++at;
    if (at >= text_.size() || text_[at] != '=') return at;
    ++at;
    while (at < text_.size() && is_space(text_[at])) ++at;
    Range value{at, at};
    if (at < text_.size() && (text_[at] == '"' || text_[at] == '\'')) {
      value = {at + 1, std::min(text_.find(text_[at], at + 1), text_.size())};
      at = std::min(value.end + 1, text_.size());
    } else {
      at = value.end = std::min(text_.find_first_of(" \t\r\n\f>", at), text_.size());
    }
    if (name == "href") tag.href = value;
    if (name == "alt") tag.alt = value;
    return at;
  }

  void act(const Tag& tag) {
    const std::string& name = tag.name;
    if (name == "br") {
      ++breaks_;
      breaks_ = std::min<size_t>(breaks_, 3);
    } else if (name == "hr") {
      want_breaks(1);
      put("----", tag.end);
      want_breaks(1);
    } else if (name == "img" && !tag.closing) {
      put_value(tag.alt);
    } else if (name == "a") {
      tag.closing ? close_link() : open_link(tag);
    } else if (name == "li" && !tag.closing) {
      begin_item(tag.end);
    } else if (name == "ul" || name == "ol") {
      list(tag);
    } else if (name == "td" || name == "th") {
      if (!tag.closing) cell_ = true;
    } else if (name == "pre") {
      want_breaks(2);
      if (tag.closing && preformatted_ > 0) --preformatted_;
      if (!tag.closing) ++preformatted_;
    } else if (is_one_of(name, {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "blockquote"})) {
      want_breaks(2);
    } else if (is_one_of(name, {"div", "tr", "li", "section", "article", "header", "footer",
                                "center", "address", "dl", "dt", "dd", "form", "body", "main",
                                "nav", "figure", "figcaption", "caption"})) {
      want_breaks(1);
    }
  }

  void list(const Tag& tag) {
    want_breaks(lists_.empty() || (tag.closing && lists_.size() == 1) ? 2 : 1);
    if (tag.closing && !lists_.empty()) lists_.pop_back();
    if (!tag.closing && lists_.size() < kListDepthMax) lists_.push_back(tag.name == "ol" ? 1 : 0);
  }
  void begin_item(size_t at) {
    want_breaks(1);
    std::string front(lists_.size() > 1 ? 2 * (lists_.size() - 1) : 0, ' ');
    front += lists_.empty() || lists_.back() == 0 ? "-" : std::to_string(lists_.back()++) + ".";
    put(front, at);
    blank_ = true;
  }

  void open_link(const Tag& tag) {
    link_ = tag.href;
    settle(true);
    link_text_ = out_.text.size();
    link_marks_ = out_.marks.size();
  }
  void close_link() {
    const Range href = std::exchange(link_, {});
    if (href.empty() && !has_marks(href)) return;
    std::string_view url = text_.substr(href.begin, href.end - href.begin);
    if (url.substr(0, 1) == "#") return;
    const bool mail = starts_with_ignore_case(url, "mailto:");
    const std::string_view shown = mail ? url.substr(7) : url;
    const bool same = !has_marks(href) && link_marks_ == out_.marks.size() &&
                      std::string_view(out_.text).substr(link_text_) == decoded(shown);
    if (same) return;
    blank_ = blank_ || out_.text.size() > link_text_ || out_.marks.size() > link_marks_;
    put("<", href.begin);
    put_value({href.begin + (mail ? 7 : 0), href.end});
    put(">", href.end);
  }

  std::span<const Mark> marks_in(Range range) const {
    if (range.end == 0) return {};
    const auto begin =
        std::lower_bound(html_.marks.begin(), html_.marks.end(), range.begin,
                         [](const Mark& mark, size_t offset) { return mark.offset < offset; });
    const auto end =
        std::upper_bound(begin, html_.marks.end(), range.end,
                         [](size_t offset, const Mark& mark) { return offset < mark.offset; });
    return {begin, end};
  }
  bool has_marks(Range range) const { return !marks_in(range).empty(); }
  static std::string decoded(std::string_view value) {
    std::string out;
    for (size_t at = 0; at < value.size();) {
      size_t end = at;
      const std::string character = value[at] == '&' ? decode_entity(value, at, end) : "";
      out += end == at ? std::string(1, value[at]) : character;
      at = std::max(end, at + 1);
    }
    return out;
  }
  // An attribute's value with its fields and sections.
  void put_value(Range range) {
    size_t at = range.begin;
    for (const Mark& mark : marks_in(range)) {
      put_text(at, mark.offset);
      put_mark(mark);
      at = mark.offset;
    }
    put_text(at, range.end);
  }
  void put_text(size_t begin, size_t end) {
    const std::string piece = decoded(text_.substr(begin, end - begin));
    if (!piece.empty()) put(piece, begin);
  }

  Status check_sections() const {
    std::vector<const Mark*> open;
    for (const Mark& mark : out_.marks) {
      if (mark.kind == MarkKind::kField) continue;
      if (mark.kind != MarkKind::kEnd) {
        open.push_back(&mark);
      } else if (open.empty() || open.back()->name != mark.name) {
        return crosses(mark);
      } else {
        open.pop_back();
      }
    }
    return open.empty() ? absl::OkStatus() : crosses(*open.back());
  }
  Status crosses(const Mark& mark) const {
    return invalid(out_.position_in_source(mark.source) + ": section \"" + escaped(mark.name, 60) +
                   "\" begins or ends inside a tag, which text_from_html cannot follow; put it "
                   "around whole elements, or write the text part yourself");
  }

  const ParsedText& html_;
  const std::string_view text_;
  ParsedText out_;
  size_t mark_ = 0;  // the first that was not looked at
  size_t breaks_ = 0;
  bool blank_ = false;
  bool cell_ = false;
  bool started_ = false;
  bool line_begins_ = true;
  size_t preformatted_ = 0;
  std::vector<size_t> lists_;  // the number of the next item; 0: not numbered
  Range link_;
  size_t link_text_ = 0;
  size_t link_marks_ = 0;
};

}  // namespace

StatusOr<ParsedText> text_of_html(const ParsedText& html) { return Converter(html).run(); }

}  // namespace sluice
