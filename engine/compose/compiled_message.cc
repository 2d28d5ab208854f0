#include "engine/compose/compiled_message.h"

#include <algorithm>
#include <utility>

#include "engine/base/defect.h"
#include "engine/base/digest.h"

namespace sluice {
namespace {

constexpr std::string_view kDateName = "Date: ";
constexpr std::string_view kToName = "To: ";
constexpr std::string_view kMessageIdName = "Message-ID: <";
// Bounds of the three made headers, without the address.
constexpr uint64_t kMadeHeaderBytes = 64;
constexpr size_t kJobPartMax = 120;

}  // namespace

uint64_t CompiledMessage::size_estimate(const Row& row) const {
  const RowValues values(row, job_id_);
  uint64_t size = literals_.size();
  for (const Segment& segment : segments_) {
    switch (segment.kind) {
      case SegmentKind::kLiteral:
        break;
      case SegmentKind::kDate:
        size += kMadeHeaderBytes;
        break;
      case SegmentKind::kMessageId:
        size += kMadeHeaderBytes + message_id_tail_.size();
        break;
      case SegmentKind::kTo:
        size += kMadeHeaderBytes + row.address.size();
        break;
      case SegmentKind::kHeader:
        size += headers_[segment.index].size_max(values);
        break;
      case SegmentKind::kText:
        size += values.of(fields_[segment.index]).size() * kQpGrowthText + 3;
        break;
      case SegmentKind::kHtml:
        size += values.of(fields_[segment.index]).size() * kQpGrowthHtml + 3;
        break;
    }
  }
  return size;
}

Reply CompiledMessage::append(const Segment& segment, const RowValues& values,
                              const MessageContext& context, MessageBuffer& buffer) const {
  switch (segment.kind) {
    case SegmentKind::kLiteral:
      buffer.append_constant(std::string_view(literals_).substr(segment.offset, segment.length));
      break;
    case SegmentKind::kDate:
      buffer.append(kDateName);
      buffer.append(buffer.date_text(context.date));
      buffer.append("\r\n");
      break;
    case SegmentKind::kMessageId:
      buffer.append(kMessageIdName);
      buffer.append(values.row_number());
      if (defect(Defect::kNewMessageId)) buffer.append(std::to_string(unix_seconds(context.date)));
      buffer.append(message_id_tail_);
      break;
    case SegmentKind::kTo:
      if (!is_header_safe(values.row().address)) {
        return {0, {5, 6, 0}, "the address holds a line break or NUL"};
      }
      buffer.append(kToName);
      buffer.append(values.row().address);
      buffer.append("\r\n");
      break;
    case SegmentKind::kHeader:
      return headers_[segment.index].append(values, buffer);
    case SegmentKind::kText:
    case SegmentKind::kHtml: {
      const Html html = segment.kind == SegmentKind::kHtml ? Html::kYes : Html::kNo;
      const std::string_view value = values.of(fields_[segment.index]);
      if (append_quoted_printable(buffer, value, html) > 0) buffer.append("=\r\n");
      break;
    }
  }
  return {};
}

ComposeResult CompiledMessage::check(const Row& row) const {
  if (headers_.empty()) return {};
  const RowValues values(row, job_id_);
  for (const HeaderTemplate& header : headers_) {
    ComposeResult result{header.check(values)};
    if (!result.ok()) return result;
  }
  return {};
}

ComposeResult CompiledMessage::compose(const Row& row, const MessageContext& context,
                                       MessageBuffer& buffer) const {
  buffer.clear();
  const RowValues values(row, job_id_);
  for (const Segment& segment : segments_) {
    ComposeResult result{append(segment, values, context, buffer)};
    if (!result.ok()) return result;
    if (buffer.over_limit()) return {{0, {5, 3, 4}, "the message is larger than allowed"}};
  }
  return {};
}

MessageBuilder::MessageBuilder(const FieldTable& fields, std::string_view job_id)
    : fields_(fields), message_(std::make_unique<CompiledMessage>()) {
  message_->job_id_ = std::string(job_id);
}

void MessageBuilder::set_envelope_sender(std::string_view sender) {
  message_->envelope_sender_ = std::string(sender);
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

void MessageBuilder::add_literal(std::string_view octets) {
  if (octets.empty()) return;
  auto& segments = message_->segments_;
  if (segments.empty() || segments.back().kind != SegmentKind::kLiteral) {
    segments.push_back({SegmentKind::kLiteral, 0, message_->literals_.size(), 0});
  }
  message_->literals_ += octets;
  segments.back().length += octets.size();
  line_begins_ = octets.back() == '\n';
}

void MessageBuilder::add_lines(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  bool line_begins = line_begins_;
  for (const char c : text) {
    if (c == '\n') {
      out += "\r\n";
    } else {
      if (c == '.' && line_begins) out += '.';
      out += c;
    }
    line_begins = c == '\n';
  }
  add_literal(out);
}

Status MessageBuilder::add_field(const ParsedText& text, const Mark& mark, Html html) {
  ASSIGN_OR_RETURN(Field field, fields_.find(text, mark));
  message_->fields_.push_back(std::move(field));
  const bool escape = html == Html::kYes && mark.escaped;
  message_->segments_.push_back({escape ? SegmentKind::kHtml : SegmentKind::kText,
                                 static_cast<uint32_t>(message_->fields_.size() - 1), 0, 0});
  line_begins_ = true;
  return absl::OkStatus();
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
    RETURN_IF_ERROR(add_field(text, mark, html));
    at = mark.offset;
  }
  std::string rest(all.substr(at, end - at));
  if (ends_line && (rest.empty() || rest.back() != '\n')) rest += '\n';
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
    RETURN_IF_ERROR(add_field(text, mark, html));
    at = mark.offset;
  }
  add_lines(all.substr(at, end - at));
  return absl::OkStatus();
}

std::unique_ptr<const CompiledMessage> MessageBuilder::finish() {
  message_->eight_bit_ = !is_ascii(message_->literals_);
  message_->literals_.shrink_to_fit();
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
