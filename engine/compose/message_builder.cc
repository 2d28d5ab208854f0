#include "engine/compose/message_builder.h"

#include <algorithm>
#include <utility>

#include "engine/base/digest.h"
#include "engine/base/strings.h"
#include "engine/compose/base64.h"

namespace sluice {
namespace {

constexpr size_t kJobPartMax = 120;

Status crosses(const ParsedText& text, const Mark& mark) {
  return invalid(text.position_in_source(mark.source) + ": section \"" + escaped(mark.name, 60) +
                 "\" begins and ends in different parts of the message; close it in the same one");
}

// True when the last octet is a line end that no field follows.
bool ends_in_line_end(const ParsedText& text, size_t begin, size_t end) {
  return end > begin && text.text[end - 1] == '\n' &&
         std::none_of(text.marks.begin(), text.marks.end(), [end](const Mark& mark) {
           return mark.offset == end && mark.kind == MarkKind::kField;
         });
}

}  // namespace

MessageBuilder::MessageBuilder(const FieldTable& fields, std::string_view job_id)
    : fields_(fields), message_(std::make_unique<CompiledMessage>()) {
  message_->job_id_ = std::string(job_id);
}

void MessageBuilder::set_envelope_sender(std::string_view sender, std::string_view verp) {
  message_->envelope_sender_ = std::string(sender);
  message_->verp_ = std::string(verp);
}

void MessageBuilder::set_tokens(TokenKeysPtr keys) {
  if (keys == nullptr) return;
  message_->tokens_ = std::make_unique<const TokenMaker>(std::move(keys), message_->job_id_);
}

void MessageBuilder::set_signing(std::shared_ptr<const DkimKeys> keys,
                                 std::string_view from_domain) {
  keys_ = std::move(keys);
  from_domain_ = std::string(from_domain);
}

void MessageBuilder::set_message_id_domain(std::string_view domain) {
  message_->message_id_tail_ =
      "." + message_id_part(message_->job_id_) + "@" + std::string(domain) + ">\r\n";
}

void MessageBuilder::add_header(HeaderTemplate header) {
  if (header.constant()) {
    add_literal(header.constant_text());
    return;
  }
  message_->headers_.push_back(std::move(header));
  message_->segments_.push_back(
      {SegmentKind::kHeader, static_cast<uint32_t>(message_->headers_.size() - 1), 0, 0});
  line_begins_ = true;
}

void MessageBuilder::begin_body() {
  message_->body_segment_ = message_->segments_.size();
  cut();
}

std::string& MessageBuilder::literal() {
  auto& segments = message_->segments_;
  if (cut_ || segments.empty() || segments.back().kind != SegmentKind::kLiteral) {
    segments.push_back({SegmentKind::kLiteral, 0, message_->literals_.size(), 0});
  }
  cut_ = false;
  return message_->literals_;
}

void MessageBuilder::end_literal() {
  Segment& segment = message_->segments_.back();
  segment.length = message_->literals_.size() - segment.offset;
  line_begins_ = message_->literals_.back() == '\n';
}

void MessageBuilder::add_literal(std::string_view octets) {
  if (octets.empty()) return;
  literal() += octets;
  end_literal();
}

void MessageBuilder::add_base64(std::string_view octets) {
  if (octets.empty()) return;
  append_base64_lines(literal(), octets);
  end_literal();
}

void MessageBuilder::add_lines(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  bool line_begins = line_begins_;
  for (const char c : text) {
    if (c == '\n') {
      out += "\r\n";
    } else {
      if (c == '.' && line_begins) {
        add_literal(out);
        out.clear();
        message_->segments_.push_back({SegmentKind::kStuffing, 0, 0, 0});
      }
      out += c;
    }
    line_begins = c == '\n';
  }
  add_literal(out);
}

Status MessageBuilder::add_mark(const ParsedText& text, const Mark& mark, Html html) {
  auto& segments = message_->segments_;
  line_begins_ = true;
  if (mark.kind == MarkKind::kEnd) {
    if (open_.empty()) return crosses(text, mark);
    segments[open_.back().first].offset = segments.size();
    open_.pop_back();
    cut();
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(Field field, fields_.find(text, mark));
  SegmentKind kind = SegmentKind::kText;
  if (mark.kind != MarkKind::kField) {
    open_.emplace_back(segments.size(), &mark);
    kind = mark.kind == MarkKind::kSection ? SegmentKind::kSection : SegmentKind::kInverted;
  } else if (field.url) {
    kind = SegmentKind::kUrl;
  } else if (html == Html::kYes && mark.escaped) {
    kind = SegmentKind::kHtml;
  }
  message_->fields_.push_back(std::move(field));
  segments.push_back({kind, static_cast<uint32_t>(message_->fields_.size() - 1), 0, 0});
  return absl::OkStatus();
}

Status MessageBuilder::check_closed(const ParsedText& text) {
  if (open_.empty()) return absl::OkStatus();
  const Mark* mark = open_.back().second;
  open_.clear();
  return crosses(text, *mark);
}

Status MessageBuilder::add_encoded(const ParsedText& text, size_t begin, size_t end, Html html,
                                   bool ends_line) {
  const std::string_view all = text.text;
  size_t at = begin;
  std::string encoded;
  for (const Mark& mark : text.marks) {
    if (mark.offset < begin || mark.offset > end) continue;
    encoded.clear();
    const size_t column = append_quoted_printable(encoded, all.substr(at, mark.offset - at), 0);
    if (column > 0) encoded += "=\r\n";
    add_literal(encoded);
    RETURN_IF_ERROR(add_mark(text, mark, html));
    at = mark.offset;
  }
  RETURN_IF_ERROR(check_closed(text));
  std::string rest(all.substr(at, end - at));
  if (ends_line && !ends_in_line_end(text, begin, end)) rest += '\n';
  encoded.clear();
  if (!rest.empty() && (rest.back() == ' ' || rest.back() == '\t')) {
    // A line end follows that is not part of the text: the blank must not end the line.
    const char blank = rest.back();
    rest.pop_back();
    if (append_quoted_printable(encoded, rest, 0) + 3 >= kQpLineMax) encoded += "=\r\n";
    encoded += blank == ' ' ? "=20" : "=09";
  } else {
    append_quoted_printable(encoded, rest, 0);
  }
  add_literal(encoded);
  return absl::OkStatus();
}

Status MessageBuilder::add_quoted_printable(const ParsedText& text, size_t begin, size_t end,
                                            Html html) {
  const std::string_view all = text.text;
  size_t at = begin;
  for (const Mark& mark : text.marks) {
    if (mark.offset < begin || mark.offset > end) continue;
    add_lines(all.substr(at, mark.offset - at));
    if (!line_begins_) add_literal("=\r\n");
    RETURN_IF_ERROR(add_mark(text, mark, html));
    at = mark.offset;
  }
  RETURN_IF_ERROR(check_closed(text));
  add_lines(all.substr(at, end - at));
  return absl::OkStatus();
}

std::unique_ptr<const CompiledMessage> MessageBuilder::finish() {
  message_->eight_bit_ = !is_ascii(message_->literals_);
  message_->shared_ = std::all_of(
      message_->segments_.begin(), message_->segments_.end(), [](const Segment& segment) {
        return segment.kind <= SegmentKind::kMessageId;  // those before say nothing of a row
      });
  message_->literals_.shrink_to_fit();
  message_->signer_ = DkimSigner::make(std::move(keys_), from_domain_, message_->dkim_plan());
  return std::move(message_);
}

std::string message_id_part(std::string_view job_id) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : job_id) {
    if ((is_atext(c) && c != '=')) {
      out += c;
    } else {
      const auto octet = static_cast<unsigned char>(c);
      out += '=';
      out += kHexDigits[octet >> 4];
      out += kHexDigits[octet & 15];
    }
  }
  if (out.empty()) return "job";
  return out.size() <= kJobPartMax ? out : to_hex(sha256(job_id)).substr(0, 32);
}

}  // namespace sluice
