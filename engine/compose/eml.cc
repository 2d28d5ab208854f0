#include "engine/compose/eml.h"

#include <algorithm>
#include <utility>

#include "engine/base/strings.h"
#include "engine/compose/base64.h"
#include "engine/compose/mime_parts.h"

namespace sluice {
namespace {

constexpr size_t kLineMax = 998;  // RFC 5322 §2.1.1

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> known) {
  return std::any_of(known.begin(), known.end(),
                     [&](std::string_view k) { return equals_ignore_case(name, k); });
}

// What stands in place of octets [begin, end) of the text, with LF line ends.
struct Edit {
  size_t begin = 0;
  size_t end = 0;
  std::string text;
};

std::string with_crlf(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

class EmlCompiler {
 public:
  EmlCompiler(const ParsedText& eml, JobHeaders headers, Octets octets, MessageBuilder& builder)
      : eml_(eml),
        octets_(octets),
        job_(std::move(headers)),
        builder_(builder),
        top_(parse_headers(eml.text, 0, eml.text.size())) {}

  Status run() {
    RETURN_IF_ERROR(check_structure());
    parts_ = parts_of_message(eml_.text, &multiparts_);
    RETURN_IF_ERROR(check_marks());
    for (Part& part : parts_) {
      if (has_marks(part)) {
        RETURN_IF_ERROR(open_part(part));
      } else if (octets_ == Octets::kSevenBit) {
        downgrade(part);
      }
    }
    if (octets_ == Octets::kSevenBit) downgrade_multiparts();
    std::sort(edits_.begin(), edits_.end(), [](const Edit& a, const Edit& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    RETURN_IF_ERROR(add_missing());
    for (const Edit& edit : edits_) {
      if (edit.begin == 0 && edit.end == 0) builder_.add_lines(edit.text);
    }
    for (const HeaderField& field : top_.fields) RETURN_IF_ERROR(add_top_header(field));
    builder_.add_literal("\r\n");
    builder_.begin_body();
    return add_body();
  }

 private:
  Status fail(size_t offset, const std::string& what) const {
    return invalid(eml_.position(offset) + ": " + what);
  }
  Status fail(const Mark& mark, const std::string& what) const {
    return invalid(eml_.position_in_source(mark.source) + ": " + what);
  }

  Status check_structure() const {
    if (top_.bad_line != std::string_view::npos) {
      return fail(top_.bad_line,
                  "not a header line; a message begins with lines like \"Subject: "
                  "Hello\", then an empty line, then its text");
    }
    if (!top_.ended) return fail(eml_.text.size(), "no empty line behind the headers");
    for (const std::string_view name :
         {"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "Sender", "MIME-Version",
          "Content-Type", "Content-Transfer-Encoding"}) {
      const HeaderField* first = top_.find(name);
      for (const HeaderField& field : top_.fields) {
        if (equals_ignore_case(field.name, name) && &field != first) {
          return fail(field.begin, "a second header " + std::string(name) + "; keep one");
        }
      }
    }
    for (const auto& [name, header] : job_.extra) {
      if (const HeaderField* field = top_.find(name)) {
        return fail(field->begin, "header " + name +
                                      " also stands in [headers] of job.toml; "
                                      "keep one of the two");
      }
    }
    return absl::OkStatus();
  }

  // Every mark stands in a top header's value or in an open part, a section in one of them.
  Status check_marks() const {
    std::vector<size_t> open;  // where the sections around a mark began
    for (const Mark& mark : eml_.marks) {
      ASSIGN_OR_RETURN(const size_t place, place_of(mark));
      if (mark.kind == MarkKind::kEnd) {
        if (open.empty() || open.back() != place) {
          return fail(mark, "section \"" + escaped(mark.name, 60) +
                                "\" begins and ends in different headers or parts of the "
                                "message; close it in the same one");
        }
        open.pop_back();
      } else if (mark.kind != MarkKind::kField) {
        open.push_back(place);
      }
    }
    return absl::OkStatus();
  }
  // The offset at which the header's value or the part begins that `mark` stands in.
  StatusOr<size_t> place_of(const Mark& mark) const {
    if (mark.offset < top_.body) {
      const auto inside =
          std::find_if(top_.fields.begin(), top_.fields.end(), [&](const HeaderField& field) {
            return mark.offset >= field.value_begin && mark.offset < field.end;
          });
      if (inside == top_.fields.end()) {
        return fail(mark,
                    "a field or section stands where a header's name should; they are for values");
      }
      if (starts_with_ignore_case(inside->name, "Content-") ||
          equals_ignore_case(inside->name, "MIME-Version")) {
        return fail(mark, "a field in header " + std::string(inside->name) +
                              "; MIME headers are the same for all");
      }
      return inside->value_begin;
    }
    const auto part = std::find_if(parts_.begin(), parts_.end(), [&](const Part& p) {
      return mark.offset >= p.begin && mark.offset <= p.end;
    });
    if (part == parts_.end()) {
      return fail(mark,
                  "a field outside the parts of the message (in a part's headers, a "
                  "boundary, or beside the parts); fields go into text parts");
    }
    if (*part->closed != '\0') {
      return fail(mark, std::string("a field in ") + part->closed +
                            "; fields in message.eml go into text parts that are "
                            "quoted-printable, 7bit or 8bit");
    }
    return part->begin;
  }

  bool has_marks(const Part& part) const {
    return std::any_of(eml_.marks.begin(), eml_.marks.end(), [&](const Mark& mark) {
      return mark.offset >= part.begin && mark.offset <= part.end;
    });
  }

  // Makes a part with fields UTF-8 in quoted-printable, by edits of its headers.
  Status open_part(Part& part) {
    const HeaderField* type = part.headers.find("Content-Type");
    const std::string charset = to_lower(part.type.parameter("charset"));
    if (!charset.empty() && charset != "utf-8" && charset != "utf8" && charset != "us-ascii") {
      return fail(type->begin,
                  "a part with fields has charset " + escaped(charset, 40) + "; store it as utf-8");
    }
    if (part.encoding != "quoted-printable" &&
        !is_utf8(std::string_view(eml_.text).substr(part.begin, part.end - part.begin))) {
      return fail(part.begin, "a part with fields is not UTF-8");
    }
    if (charset.empty() || charset == "us-ascii") {
      Edit edit{part.headers_begin, part.headers_begin, with_utf8(part.type)};
      if (type != nullptr) edit.begin = type->begin, edit.end = type->end;
      if (!is_ascii(edit.text)) {
        return fail(edit.begin, "header Content-Type has 8-bit characters; encode them");
      }
      edits_.push_back(std::move(edit));
    }
    if (part.encoding == "quoted-printable") return absl::OkStatus();
    set_encoding(part, "quoted-printable");
    return absl::OkStatus();
  }

  void set_encoding(const Part& part, const std::string& name) {
    const HeaderField* encoding = part.headers.find("Content-Transfer-Encoding");
    Edit edit{part.headers_begin, part.headers_begin, "Content-Transfer-Encoding: " + name + "\n"};
    if (encoding != nullptr) edit.begin = encoding->begin, edit.end = encoding->end;
    edits_.push_back(std::move(edit));
  }

  std::string_view content_of(const Part& part) const {
    return std::string_view(eml_.text).substr(part.begin, part.end - part.begin);
  }

  // An 8-bit part without fields becomes quoted-printable, or base64 where that is shorter or it
  // is no text. Signed and attached messages stay, and what is encoded already.
  void downgrade(Part& part) {
    const bool is_plain = part.encoding.empty() || part.encoding == "7bit" ||
                          part.encoding == "8bit" || part.encoding == "binary";
    const bool is_signed = part.closed == kSignedPart;
    const bool is_container = part.type.type == "multipart" || part.type.type == "message";
    if (!is_plain || is_signed || is_container || !part.headers.ended) return;
    if (is_ascii(content_of(part))) {
      if (part.encoding == "8bit" || part.encoding == "binary") set_encoding(part, "7bit");
      return;
    }
    std::string encoded;
    append_quoted_printable(encoded, content_of(part), 0);
    const bool shorter = encoded.size() <= base64_lines_length(part.end - part.begin);
    part.downgrade =
        part.type.type == "text" && shorter ? Downgrade::kQuotedPrintable : Downgrade::kBase64;
    set_encoding(part, part.downgrade == Downgrade::kBase64 ? "base64" : "quoted-printable");
  }
  // RFC 2045 §6.4: a multipart is as wide as what it holds.
  void downgrade_multiparts() {
    for (const HeaderBlock& headers : multiparts_) {
      const HeaderField* encoding = headers.find("Content-Transfer-Encoding");
      if (encoding == nullptr) continue;
      edits_.push_back({encoding->begin, encoding->end, "Content-Transfer-Encoding: 7bit\n"});
    }
  }

  static std::string with_utf8(const ContentType& type) {
    std::string out = "Content-Type: " + type.type + "/" + type.subtype + "; charset=utf-8";
    for (const auto& [name, value] : type.parameters) {
      if (name == "charset") continue;
      out += ";\n ";
      out += name;
      out += '=';
      out += value;
    }
    return out + "\n";
  }

  void add_all(std::vector<HeaderTemplate>& headers) {
    for (HeaderTemplate& header : headers) builder_.add_header(std::move(header));
  }

  Status add_missing() {
    if (top_.find("Date") == nullptr) builder_.add_date();
    if (top_.find("Message-ID") == nullptr) builder_.add_message_id();
    if (top_.find("From") == nullptr) add_all(job_.from);
    if (top_.find("To") == nullptr) builder_.add_to();
    if (top_.find("Subject") == nullptr) {
      if (job_.subject.empty()) {
        return fail(0, "no Subject header, and job.toml has no \"subject\"; add one of them");
      }
      add_all(job_.subject);
    }
    if (top_.find("Reply-To") == nullptr) add_all(job_.reply_to);
    for (auto& [name, header] : job_.extra) builder_.add_header(std::move(header));
    if (top_.find("MIME-Version") == nullptr &&
        (!edits_.empty() || top_.find("Content-Type") != nullptr)) {
      builder_.add_literal("MIME-Version: 1.0\r\n");
    }
    return absl::OkStatus();
  }

  Status add_top_header(const HeaderField& field) {
    if (const Edit* edit = edit_of(field.begin, field.end)) {
      builder_.add_lines(edit->text);
      return absl::OkStatus();
    }
    if (is_one_of(field.name, {"Bcc", "Resent-Bcc"})) return absl::OkStatus();
    const std::string_view text =
        std::string_view(eml_.text).substr(field.begin, field.end - field.begin);
    const size_t value_end = field.end - 1;  // a top header always ends in LF
    const bool filled = std::any_of(eml_.marks.begin(), eml_.marks.end(), [&](const Mark& mark) {
      return mark.offset >= field.value_begin && mark.offset <= value_end;
    });
    if (!filled && is_ascii(text)) {
      RETURN_IF_ERROR(check_folding(field));
      builder_.add_lines(text);
      return absl::OkStatus();
    }
    if (filled && text.find("=?") != std::string_view::npos) {
      return fail(field.begin,
                  "header " + std::string(field.name) +
                      " has fields beside encoded "
                      "words (\"=?\"); write it as plain UTF-8, it is encoded when sent");
    }
    if (starts_with_ignore_case(field.name, "Content-")) {
      return fail(field.begin, "header " + std::string(field.name) +
                                   " has 8-bit characters; "
                                   "encode them");
    }
    const ParsedText value = eml_.unfolded(field.value_begin, value_end);
    ASSIGN_OR_RETURN(HeaderTemplate header,
                     HeaderTemplate::by_name(field.name, value, builder_.fields()));
    builder_.add_header(std::move(header));
    return absl::OkStatus();
  }

  // Receivers may take a folded line of blanks for the headers' end (RFC 5322 §3.2.2).
  Status check_folding(const HeaderField& field) const {
    const std::string_view text = eml_.text;
    for (size_t line = text.find('\n', field.begin) + 1; line < field.end;) {
      const size_t end = text.find('\n', line);
      if (text.find_first_not_of(" \t", line) == end) {
        return fail(line, "a line of blanks inside header " + std::string(field.name) +
                              "; remove the line");
      }
      line = end + 1;
    }
    return absl::OkStatus();
  }

  const Edit* edit_of(size_t begin, size_t end) const {
    const auto found = std::find_if(edits_.begin(), edits_.end(), [&](const Edit& edit) {
      return edit.begin == begin && edit.end == end;
    });
    return found == edits_.end() ? nullptr : &*found;
  }
  // Octets that stay, but for edits of parts' headers.
  void add_kept(size_t begin, size_t end) {
    const std::string_view text = eml_.text;
    for (const Edit& edit : edits_) {
      if (edit.begin < begin || edit.end > end || edit.begin < top_.body) continue;
      builder_.add_lines(text.substr(begin, edit.begin - begin));
      builder_.add_lines(edit.text);
      begin = edit.end;
    }
    builder_.add_lines(text.substr(begin, end - begin));
  }

  Status add_body() {
    size_t at = top_.body;
    for (const Part& part : parts_) {
      if (!has_marks(part) && part.downgrade == Downgrade::kNone) continue;
      add_kept(at, part.begin);
      const Html html = part.type.subtype == "html" ? Html::kYes : Html::kNo;
      const bool last = part.end == eml_.text.size();
      if (part.downgrade == Downgrade::kBase64) {
        builder_.add_base64(with_crlf(content_of(part)));
      } else if (part.encoding == "quoted-printable") {
        RETURN_IF_ERROR(builder_.add_quoted_printable(eml_, part.begin, part.end, html));
        if (last && !ends_line(part)) builder_.add_literal("\r\n");
      } else {
        RETURN_IF_ERROR(builder_.add_encoded(eml_, part.begin, part.end, html, last));
      }
      at = part.end;
    }
    add_kept(at, eml_.text.size());
    return absl::OkStatus();
  }
  // True when the part's last octet is a line end that no field follows.
  bool ends_line(const Part& part) const {
    return part.end > part.begin && eml_.text[part.end - 1] == '\n' &&
           eml_.marks.back().offset != part.end;
  }

  const ParsedText& eml_;
  const Octets octets_;
  JobHeaders job_;
  MessageBuilder& builder_;
  HeaderBlock top_;
  std::vector<Part> parts_;
  std::vector<HeaderBlock> multiparts_;
  std::vector<Edit> edits_;
};

StatusOr<std::string> with_lf(std::string_view name, std::string_view contents) {
  std::string lines;
  lines.reserve(contents.size() + 1);
  size_t line = 1;
  size_t column = 0;
  const auto where = [&] {
    return std::string(name) + ":" + std::to_string(line) + ":" + std::to_string(column + 1) + ": ";
  };
  for (size_t i = 0; i < contents.size(); ++i) {
    const char c = contents[i];
    if (c == '\0') return invalid(where() + "a NUL octet; no message may hold one");
    if (c == '\r') {
      if (i + 1 < contents.size() && contents[i + 1] == '\n') continue;
      return invalid(where() + "a CR without LF; store the file with LF or CRLF line ends");
    }
    lines += c;
    if (c == '\n') {
      ++line;
      column = 0;
    } else if (column++ == kLineMax) {
      --column;
      return invalid(where() +
                     "a line of more than 998 octets; fold it or encode its part as "
                     "quoted-printable or base64 (RFC 5322 §2.1.1)");
    }
  }
  return lines;
}

}  // namespace

StatusOr<ParsedText> parse_eml(std::string_view name, std::string_view contents,
                               const PartialFiles& partials) {
  ASSIGN_OR_RETURN(std::string lines, with_lf(name, contents));
  if (lines.empty() || lines.back() != '\n') lines += '\n';
  PartialFiles put_in;
  for (const auto& [path, octets] : partials) {
    ASSIGN_OR_RETURN(put_in[path], with_lf(path, octets));
  }
  return parse_mustache(name, lines, &put_in);
}

StatusOr<ParsedText> from_of_eml(const ParsedText& eml) {
  const HeaderBlock top = parse_headers(eml.text, 0, eml.text.size());
  const HeaderField* from = top.find("From");
  if (from == nullptr) {
    return invalid(eml.name +
                   ":1:1: no From header, and job.toml has no \"from\"; add one of them");
  }
  return eml.unfolded(from->value_begin, from->end - 1);
}

Status add_eml(const ParsedText& eml, JobHeaders headers, Octets octets, MessageBuilder& builder) {
  return EmlCompiler(eml, std::move(headers), octets, builder).run();
}

}  // namespace sluice
