#include "engine/compose/made_message.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/digest.h"
#include "engine/base/strings.h"
#include "engine/compose/attachment.h"
#include "engine/compose/base64.h"
#include "engine/compose/findings.h"
#include "engine/compose/html_text.h"

namespace sluice {
namespace {

Status check_utf8(const ParsedText& text) {
  size_t begin = 0;
  while (begin < text.source.size()) {
    size_t end = text.source.find('\n', begin);
    if (end == std::string::npos) end = text.source.size();
    if (!is_utf8(std::string_view(text.source).substr(begin, end - begin))) {
      return invalid(text.position_in_source(begin) +
                     ": this line is not UTF-8; store the file as UTF-8");
    }
    begin = end + 1;
  }
  return absl::OkStatus();
}

// With CRLF line ends, the last line ended.
std::string canonical_text(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  for (const char c : text) {
    if (c == '\n' && (out.empty() || out.back() != '\r')) out += '\r';
    out += c;
  }
  if (!out.ends_with("\r\n")) out += "\r\n";
  return out;
}

class MessageMaker {
 public:
  MessageMaker(const TemplateInput& input, MessageBuilder& builder,
               std::vector<std::string>& warnings)
      : input_(input), message_(input.spec->message), builder_(builder), warnings_(warnings) {}

  Status run() {
    RETURN_IF_ERROR(parse_parts());
    RETURN_IF_ERROR(take_attachments());
    builder_.add_literal("MIME-Version: 1.0\r\n");
    if (attached_.empty()) return add_content();
    const std::string mixed = open("mixed");
    add_boundary(mixed, "");
    RETURN_IF_ERROR(add_content());
    for (const size_t attachment : attached_) {
      add_boundary(mixed, "\r\n");
      add_attachment(attachment, "attachment");
    }
    close(mixed);
    return absl::OkStatus();
  }

 private:
  Status parse_parts() {
    if (!message_.html.empty()) {
      ASSIGN_OR_RETURN(html_, parse_mustache(message_.html, input_.html, &input_.partials));
      RETURN_IF_ERROR(check_utf8(*html_));
      add_findings(*html_, builder_.fields(), warnings_);
    }
    if (!message_.text.empty()) {
      ASSIGN_OR_RETURN(text_, parse_mustache(message_.text, input_.text, &input_.partials));
      RETURN_IF_ERROR(check_utf8(*text_));
      add_findings(*text_, builder_.fields(), warnings_);
    } else if (html_ && message_.text_from_html) {
      ASSIGN_OR_RETURN(text_, text_of_html(*html_));
    } else if (html_) {
      warnings_.push_back(
          message_.html +
          ": HTML without a text part, which some filters hold against a message; add "
          "[message] text = \"body.txt\", or text_from_html = true to have it made");
    }
    return absl::OkStatus();
  }

  Status take_attachments() {
    for (size_t i = 0; i < message_.attachments.size(); ++i) {
      const std::string_view name = file_name_of(message_.attachments[i]);
      for (size_t earlier = 0; earlier < i; ++earlier) {
        if (name == file_name_of(message_.attachments[earlier])) {
          return invalid("job.toml: message.attachments has two files named \"" +
                         escaped(name, 80) + "\"; rename one");
        }
      }
      const bool is_inline = html_ && is_content_id(name) &&
                             find_content_id(html_->text, name) != std::string_view::npos;
      (is_inline ? inline_ : attached_).push_back(i);
    }
    if (html_) add_unknown_content_ids(*html_, message_.attachments, warnings_);
    return absl::OkStatus();
  }

  Status add_content() {
    if (!html_) return add_text(*text_, "plain");
    if (!text_) return add_html();
    const std::string alternative = open("alternative");
    add_boundary(alternative, "");
    RETURN_IF_ERROR(add_text(*text_, "plain"));
    add_boundary(alternative, "\r\n");
    RETURN_IF_ERROR(add_html());
    close(alternative);
    return absl::OkStatus();
  }

  Status add_html() {
    if (inline_.empty()) return add_text(*html_, "html");
    const std::string related = open("related");
    add_boundary(related, "");
    RETURN_IF_ERROR(add_text(*html_, "html"));
    for (const size_t attachment : inline_) {
      add_boundary(related, "\r\n");
      add_attachment(attachment, "inline");
    }
    close(related);
    return absl::OkStatus();
  }

  // "=_" cannot occur in quoted-printable (RFC 2045 §6.7) nor base64, so no part can hold a
  // boundary. All are of one length: none begins with another.
  std::string open(std::string_view kind) {
    const std::string of = input_.job_id + (kind == "alternative" ? "" : " " + std::string(kind));
    std::string boundary = "=_" + to_hex(sha256(of)).substr(0, 32);
    builder_.add_literal("Content-Type: multipart/" + std::string(kind) + ";" +
                         (kind == "related" ? " type=\"text/html\";" : "") + "\r\n boundary=\"" +
                         boundary + "\"\r\n");
    end_headers();
    return boundary;
  }
  // `line_end`: that of the part before belongs to the delimiter (RFC 2046 §5.1.1).
  void add_boundary(const std::string& boundary, std::string_view line_end) {
    builder_.add_literal(std::string(line_end) + "--" + boundary + "\r\n");
  }
  void close(const std::string& boundary) { builder_.add_literal("\r\n--" + boundary + "--\r\n"); }
  void end_headers() {
    builder_.add_literal("\r\n");
    if (!in_body_) builder_.begin_body();
    in_body_ = true;
  }

  Status add_text(const ParsedText& text, std::string_view subtype) {
    const std::string type = "Content-Type: text/" + std::string(subtype) + "; charset=utf-8\r\n";
    const Html html = subtype == "html" ? Html::kYes : Html::kNo;
    if (text.marks.empty()) {
      const std::string canonical = canonical_text(text.text);
      std::string encoded;
      append_quoted_printable(encoded, canonical, 0);
      if (encoded.size() > base64_lines_length(canonical.size())) {
        builder_.add_literal(type + "Content-Transfer-Encoding: base64\r\n");
        end_headers();
        builder_.add_base64(canonical);
        return absl::OkStatus();
      }
    }
    builder_.add_literal(type + "Content-Transfer-Encoding: quoted-printable\r\n");
    end_headers();
    return builder_.add_encoded(text, 0, text.text.size(), html, /*ends_line=*/true);
  }

  void add_attachment(size_t index, std::string_view disposition) {
    const std::string_view name = file_name_of(message_.attachments[index]);
    const std::string& contents = input_.attachments[index];
    std::string headers = "Content-Type: " + content_type_of(name, contents) +
                          "\r\nContent-Transfer-Encoding: base64\r\n";
    if (disposition == "inline") headers += "Content-ID: <" + std::string(name) + ">\r\n";
    builder_.add_literal(headers + disposition_header(disposition, name));
    end_headers();
    builder_.add_base64(contents);
  }

  const TemplateInput& input_;
  const JobSpec::Message& message_;
  MessageBuilder& builder_;
  std::vector<std::string>& warnings_;
  std::optional<ParsedText> text_;
  std::optional<ParsedText> html_;
  std::vector<size_t> inline_;    // of the attachments
  std::vector<size_t> attached_;  // the others
  bool in_body_ = false;
};

}  // namespace

Status add_made_message(const TemplateInput& input, MessageBuilder& builder,
                        std::vector<std::string>& warnings) {
  return MessageMaker(input, builder, warnings).run();
}

}  // namespace sluice
