#include "engine/compose/header.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/compose/encode.h"

namespace sluice {
namespace {

constexpr size_t kNameMax = 64;
// What folding and encoding make of a value's octet at most.
constexpr size_t kGrowth = 6;

// Appends text's octets [begin, end) to a template while placing the marks between.
class Slicer {
 public:
  Slicer(std::string_view header, const ParsedText& text, const FieldTable& fields)
      : header_(header), text_(text), fields_(fields) {}

  // Marks at both ends of the range belong to it. `quoted`: backslashes of a quoted string go.
  Status append(TextTemplate& out, size_t begin, size_t end, bool quoted, bool is_address) {
    auto mark = std::lower_bound(text_.marks.begin(), text_.marks.end(), begin,
                                 [](const Mark& m, size_t offset) { return m.offset < offset; });
    for (size_t at = begin; at <= end; ++at) {
      if (quoted && at + 1 < end && text_.text[at] == '\\') ++at;
      for (; mark != text_.marks.end() && mark->offset <= at; ++mark) {
        RETURN_IF_ERROR(add_slot(out, *mark, is_address));
      }
      if (at < end) out.literals.back() += text_.text[at];
    }
    return absl::OkStatus();
  }
  // To be asked when `out` is whole: a section ends where it began.
  Status close() { return open_.empty() ? absl::OkStatus() : crosses(*open_.back().second); }
  bool has_marks(size_t begin, size_t end) const {
    return std::any_of(text_.marks.begin(), text_.marks.end(),
                       [&](const Mark& m) { return m.offset >= begin && m.offset <= end; });
  }

 private:
  Status crosses(const Mark& mark) const {
    return invalid(text_.position_in_source(mark.source) + ": section \"" + escaped(mark.name, 60) +
                   "\" in header " + std::string(header_) +
                   " begins and ends in different names or addresses; close it in the same one");
  }
  Status add_slot(TextTemplate& out, const Mark& mark, bool is_address) {
    ASSIGN_OR_RETURN(Field field, is_address ? fields_.find_for_address(text_, mark)
                                             : fields_.find(text_, mark));
    if (mark.kind == MarkKind::kEnd) {
      if (open_.empty()) return crosses(mark);
      out.slots[open_.back().first].end = out.slots.size();
      open_.pop_back();
    } else if (mark.kind != MarkKind::kField) {
      open_.emplace_back(out.slots.size(), &mark);
    }
    out.slots.push_back({mark.kind, std::move(field), 0});
    out.literals.emplace_back();
    return absl::OkStatus();
  }

  std::string_view header_;
  const ParsedText& text_;
  const FieldTable& fields_;
  std::vector<std::pair<size_t, const Mark*>> open_;  // sections, by their slots
};

Status check_literals(std::string_view name, const ParsedText& text) {
  const auto bad = std::find_if(text.text.begin(), text.text.end(),
                                [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
  if (bad != text.text.end()) {
    return invalid(text.position(static_cast<size_t>(bad - text.text.begin())) + ": header " +
                   std::string(name) + " holds a line break or NUL; write it in one line");
  }
  if (!is_utf8(text.text)) {
    return invalid(text.position(0) + ": header " + std::string(name) + " is not UTF-8");
  }
  return absl::OkStatus();
}

// Takes an address header's text apart (RFC 5322 §3.4, without groups and comments).
class AddressParser {
 public:
  AddressParser(std::string_view name, const ParsedText& text, const FieldTable& fields)
      : name_(name), text_(text), slicer_(name, text, fields) {}

  StatusOr<std::vector<MailboxTemplate>> run() {
    std::vector<MailboxTemplate> mailboxes;
    size_t begin = 0;
    const std::string_view all = text_.text;
    bool quoted = false;
    for (size_t at = 0; at <= all.size(); ++at) {
      if (at < all.size()) {
        if (quoted && all[at] == '\\') {
          ++at;
          continue;
        }
        if (all[at] == '"') quoted = !quoted;
        if (quoted || all[at] != ',') continue;
      } else if (quoted) {
        break;
      }
      ASSIGN_OR_RETURN(MailboxTemplate mailbox, mailbox_at(begin, std::min(at, all.size())));
      mailboxes.push_back(std::move(mailbox));
      begin = at + 1;
    }
    if (quoted) return fail(0, "has a quoted string that never closes");
    return mailboxes;
  }

 private:
  Status fail(size_t offset, const std::string& what) const {
    return invalid(text_.position(offset) + ": " + std::string(name_) + " " + what);
  }
  size_t skip_blanks(size_t at, size_t end) const {
    while (at < end && is_space(text_.text[at])) ++at;
    return at;
  }

  StatusOr<MailboxTemplate> mailbox_at(size_t begin, size_t end) {
    const std::string_view all = text_.text;
    size_t open = begin;
    bool quoted = false;
    for (; open < end && (quoted || all[open] != '<'); ++open) {
      if (all[open] == '\\' && quoted) {
        ++open;
      } else if (all[open] == '"') {
        quoted = !quoted;
      }
    }
    MailboxTemplate out;
    if (open >= end) {
      RETURN_IF_ERROR(slicer_.append(out.address, begin, end, false, true));
      RETURN_IF_ERROR(slicer_.close());
      RETURN_IF_ERROR(check_address(out.address, begin));
      return out;
    }
    const size_t close = all.find('>', open);
    if (close == std::string_view::npos || close >= end) {
      return fail(open, "has a \"<\" without its \">\"");
    }
    if (skip_blanks(close + 1, end) != end || slicer_.has_marks(close + 1, end)) {
      return fail(close,
                  "has text behind an address; write: Name <address>, several separated "
                  "by commas, names with commas in double quotes");
    }
    RETURN_IF_ERROR(display(out.display, begin, open));
    RETURN_IF_ERROR(slicer_.close());
    RETURN_IF_ERROR(slicer_.append(out.address, open + 1, close, false, true));
    RETURN_IF_ERROR(slicer_.close());
    RETURN_IF_ERROR(check_address(out.address, open + 1));
    return out;
  }

  // Quoted strings lose their quotes, the rest is taken as it is.
  Status display(TextTemplate& out, size_t begin, size_t end) {
    const std::string_view all = text_.text;
    size_t from = begin;
    while (true) {
      const size_t open = std::min(all.find('"', from), end);
      // A mark at a quote's own offset belongs to the text before it.
      RETURN_IF_ERROR(append_range(out, from, open, false));
      if (open == end) return absl::OkStatus();
      size_t close = open + 1;
      while (close < end && all[close] != '"') close += all[close] == '\\' ? 2 : 1;
      if (close >= end) return fail(open, "has a quoted string that never closes");
      RETURN_IF_ERROR(append_range(out, open + 1, close, true));
      from = close + 1;
    }
  }
  Status append_range(TextTemplate& out, size_t begin, size_t end, bool quoted) {
    const std::string_view piece = std::string_view(text_.text).substr(begin, end - begin);
    const size_t bad = quoted ? std::string_view::npos : piece.find_first_of("(){};");
    if (bad != std::string_view::npos) {
      return fail(begin + bad, "has a name with \"" + std::string(1, piece[bad]) +
                                   "\" in it; put the name in double quotes");
    }
    return slicer_.append(out, begin, end, quoted, false);
  }

  Status check_address(TextTemplate& address, size_t offset) {
    if (address.constant()) {
      const std::string plain(trim(address.literals[0]));
      if (!is_addr_spec(plain)) {
        return fail(offset, "\"" + escaped(plain, 80) + "\" is no address; write name@example.com" +
                                (is_ascii(plain) ? "" : ", a domain in its xn-- form"));
      }
      address.literals[0] = plain;
      return absl::OkStatus();
    }
    std::string& front = address.literals.front();
    front.erase(0, std::min(front.find_first_not_of(" \t"), front.size()));
    std::string& back = address.literals.back();
    while (!back.empty() && is_space(back.back())) back.pop_back();
    for (const std::string& literal : address.literals) {
      if (!is_ascii(literal) || literal.find_first_of(" \t<>()\",;:\\") != std::string::npos) {
        return fail(offset, "has an address with characters that no address may have");
      }
    }
    return absl::OkStatus();
  }

  std::string_view name_;
  const ParsedText& text_;
  Slicer slicer_;
};

constexpr std::string_view kBreaks = "holds a line break or NUL";
// A folded line of 998 octets holds it.
constexpr size_t kUriMax = 990;

bool is_uri_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7F && c != '<' && c != '>' && c != '"';
  });
}

Reply refusal_560(std::string text) { return {0, {5, 6, 0}, std::move(text)}; }

// The slot that is looked at behind `slot` of `slots`, which is no field: a section whose text is
// not shown is left by its end.
size_t step(const std::vector<Slot>& slots, size_t slot, const RowValues& values) {
  const Slot& edge = slots[slot];
  const bool shown = edge.kind == MarkKind::kEnd ||
                     values.of(edge.field).empty() == (edge.kind == MarkKind::kInverted);
  return shown ? slot : edge.end;
}

}  // namespace

bool TextTemplate::fill(const RowValues& values, std::string& out, const Field** bad) const {
  out += literals[0];
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].kind != MarkKind::kField) {
      i = step(slots, i, values);
    } else if (const std::string_view value = values.of(slots[i].field); slots[i].field.url) {
      append_percent_encoded(out, value);
    } else if (!is_header_safe(value)) {
      *bad = &slots[i].field;
      return false;
    } else {
      out += value;
    }
    out += literals[i + 1];
  }
  return true;
}

const Field* TextTemplate::first_unsafe(const RowValues& values) const {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].kind != MarkKind::kField) {
      i = step(slots, i, values);
    } else if (!slots[i].field.url && !is_header_safe(values.of(slots[i].field))) {
      return &slots[i].field;
    }
  }
  return nullptr;
}

size_t TextTemplate::length_max(const RowValues& values, size_t growth) const {
  size_t length = 0;
  for (const std::string& literal : literals) length += literal.size();
  for (const Slot& slot : slots) {
    if (slot.kind != MarkKind::kField) continue;
    length += values.of(slot.field).size() * (slot.field.url ? kPercentGrowth : 1);
  }
  return length * growth;
}

StatusOr<HeaderTemplate> HeaderTemplate::unstructured(std::string_view name, const ParsedText& text,
                                                      const FieldTable& fields) {
  RETURN_IF_ERROR(check_literals(name, text));
  HeaderTemplate out;
  out.name_ = std::string(name);
  Slicer slicer(name, text, fields);
  RETURN_IF_ERROR(slicer.append(out.text_, 0, text.text.size(), /*quoted=*/false, false));
  RETURN_IF_ERROR(slicer.close());
  return out;
}

StatusOr<HeaderTemplate> HeaderTemplate::addresses(std::string_view name, const ParsedText& text,
                                                   const FieldTable& fields) {
  RETURN_IF_ERROR(check_literals(name, text));
  HeaderTemplate out;
  out.name_ = std::string(name);
  out.is_addresses_ = true;
  ASSIGN_OR_RETURN(out.mailboxes_, AddressParser(name, text, fields).run());
  return out;
}

StatusOr<HeaderTemplate> HeaderTemplate::uris(std::string_view name, const ParsedText& text,
                                              const FieldTable& fields) {
  RETURN_IF_ERROR(check_literals(name, text));
  HeaderTemplate out;
  out.name_ = std::string(name);
  Slicer slicer(name, text, fields);
  const std::string_view all = text.text;
  const auto fail = [&](size_t offset) {
    return invalid(text.position(offset) + ": " + std::string(name) +
                   " is not of the form <https://example.com/...>, <mailto:...>");
  };
  size_t at = 0;
  while (true) {
    at = std::min(all.find_first_not_of(" \t", at), all.size());
    if (at == all.size() || all[at] != '<') return fail(at);
    const size_t close = all.find('>', at);
    if (close == std::string_view::npos) return fail(at);
    if (close == at + 1 && !slicer.has_marks(close, close)) return fail(at);
    TextTemplate uri;
    RETURN_IF_ERROR(slicer.append(uri, at + 1, close, /*quoted=*/false, false));
    RETURN_IF_ERROR(slicer.close());
    for (size_t i = 0; i < uri.slots.size(); ++i) {
      uri.slots[i].field.url = i > 0 || !uri.literals[0].empty();
    }
    for (const std::string& literal : uri.literals) {
      if (!is_uri_text(literal)) return fail(at);
    }
    out.uris_.push_back(std::move(uri));
    at = std::min(all.find_first_not_of(" \t", close + 1), all.size());
    if (slicer.has_marks(close + 1, at)) return fail(close);
    if (at == all.size()) return out;
    if (all[at] != ',') return fail(at);
    ++at;
  }
}

StatusOr<HeaderTemplate> HeaderTemplate::by_name(std::string_view name, const ParsedText& text,
                                                 const FieldTable& fields) {
  if (is_address_header(name)) return addresses(name, text, fields);
  if (is_uri_header(name) && trim(text.text).starts_with('<')) return uris(name, text, fields);
  return unstructured(name, text, fields);
}

Reply HeaderTemplate::refuse(const Field& field, std::string_view why) const {
  return refusal_560("the value of {{" + escaped(field.name, 60) + "}} in header " + name_ + " " +
                     std::string(why));
}

Reply HeaderTemplate::render(const RowValues& values, std::string& text, std::string& out) const {
  const Field* bad = nullptr;
  out = name_;
  out += ':';
  size_t column = out.size();
  if (!uris_.empty()) return render_uris(values, text, out);
  if (!is_addresses_) {
    text.clear();
    if (!text_.fill(values, text, &bad)) return refuse(*bad, kBreaks);
    append_unstructured(out, column, text);
    out += "\r\n";
    return {};
  }
  for (size_t i = 0; i < mailboxes_.size(); ++i) {
    const MailboxTemplate& mailbox = mailboxes_[i];
    if (i > 0) {
      out += ',';
      ++column;
    }
    text.clear();
    if (!mailbox.display.fill(values, text, &bad)) return refuse(*bad, kBreaks);
    const size_t before = out.size();
    column = append_phrase(out, column, text);
    const bool named = out.size() > before;
    text.clear();
    if (!mailbox.address.fill(values, text, &bad)) return refuse(*bad, kBreaks);
    // The recipient's own address was checked when the list was read, and may be wider (RFC 6531).
    const std::string_view address = trim(text);
    if (!is_addr_spec(address) && address != values.row().address) {
      return refusal_560("header " + name_ + " would hold something that is no address");
    }
    if (column + 3 + address.size() > kHeaderLineMax && (named || i > 0)) {
      out += "\r\n";
      column = 0;
    }
    out += named ? " <" : " ";
    out += address;
    if (named) out += '>';
    column += address.size() + (named ? 3 : 1);
  }
  out += "\r\n";
  return {};
}

Reply HeaderTemplate::render_uris(const RowValues& values, std::string& text,
                                  std::string& out) const {
  size_t column = out.size();
  const Field* bad = nullptr;
  for (size_t i = 0; i < uris_.size(); ++i) {
    text.clear();
    if (!uris_[i].fill(values, text, &bad)) return refuse(*bad, kBreaks);
    if (text.empty() || text.size() > kUriMax || !is_uri_text(text)) {
      return refusal_560("header " + name_ + " would hold something that is no URI of at most " +
                         std::to_string(kUriMax) + " octets");
    }
    if (i > 0) {
      out += ',';
      ++column;
    }
    if (i > 0 && column + text.size() + 3 > kHeaderLineMax) {
      out += "\r\n";
      column = 0;
    }
    out += " <";
    out += text;
    out += '>';
    column += text.size() + 3;
  }
  out += "\r\n";
  return {};
}

Reply HeaderTemplate::append(const RowValues& values, MessageBuffer& out) const {
  Reply refusal = render(values, out.scratch(), out.header_scratch());
  if (!refusal.enhanced.present()) out.append(out.header_scratch());
  return refusal;
}

Reply HeaderTemplate::check(const RowValues& values) const {
  const Field* bad = nullptr;
  const bool safe = all_texts([&](const TextTemplate& text) {
    bad = text.first_unsafe(values);
    return bad == nullptr;
  });
  return safe ? Reply() : refuse(*bad, kBreaks);
}

bool HeaderTemplate::constant() const {
  return all_texts([](const TextTemplate& text) { return text.constant(); });
}

bool HeaderTemplate::has_token() const {
  return !all_texts([](const TextTemplate& text) {
    return std::none_of(text.slots.begin(), text.slots.end(),
                        [](const Slot& slot) { return slot.field.source == FieldSource::kToken; });
  });
}

std::string HeaderTemplate::constant_text() const {
  CHECK(constant());
  const Row row;
  std::string text;
  std::string out;
  const Reply refusal = render(RowValues(row, {}, nullptr), text, out);
  CHECK(!refusal.enhanced.present());
  return out;
}

uint64_t HeaderTemplate::size_max(const RowValues& values) const {
  uint64_t size = name_.size() + 32 + text_.length_max(values, kGrowth);
  for (const MailboxTemplate& mailbox : mailboxes_) {
    size +=
        mailbox.display.length_max(values, kGrowth) + mailbox.address.length_max(values, 1) + 32;
  }
  for (const TextTemplate& uri : uris_) size += uri.length_max(values, 1) + 8;
  return size;
}

bool is_header_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax && name.front() != '.' &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return c > ' ' && c <= '~' && c != ':'; });
}

bool is_uri_header(std::string_view name) {
  for (const std::string_view known : {"List-Unsubscribe", "List-Subscribe", "List-Help",
                                       "List-Post", "List-Owner", "List-Archive"}) {
    if (equals_ignore_case(name, known)) return true;
  }
  return false;
}

bool is_address_header(std::string_view name) {
  for (const std::string_view known : {"From", "Sender", "Reply-To", "To", "Cc"}) {
    if (equals_ignore_case(name, known)) return true;
  }
  return false;
}

}  // namespace sluice
