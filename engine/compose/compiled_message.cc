#include "engine/compose/compiled_message.h"

#include <algorithm>

#include "engine/base/defect.h"
#include "engine/compose/encode.h"

namespace sluice {
namespace {

constexpr std::string_view kDateName = "Date: ";
constexpr std::string_view kToName = "To: ";
constexpr std::string_view kMessageIdName = "Message-ID: <";
// Bounds of the three made headers, without the address.
constexpr uint64_t kMadeHeaderBytes = 64;

}  // namespace

bool CompiledMessage::is_skipped(const Segment& section, const RowValues& values) const {
  return values.of(fields_[section.index]).empty() == (section.kind == SegmentKind::kSection);
}

std::string_view CompiledMessage::envelope_sender(const Row& row, std::string& made) const {
  if (verp_.empty()) return envelope_sender_;
  const size_t at = envelope_sender_.rfind('@');
  made.assign(envelope_sender_, 0, at);
  made += verp_;
  Token token;
  token.fill('x');
  if (tokens_ != nullptr) token = tokens_->make(TokenKind::kBounce, row.number);
  made += text_of(token);
  made.append(envelope_sender_, at);
  return made;
}

bool CompiledMessage::has_tokens() const {
  const auto is_token = [](const Field& field) { return field.source == FieldSource::kToken; };
  return !verp_.empty() || std::any_of(fields_.begin(), fields_.end(), is_token) ||
         std::any_of(headers_.begin(), headers_.end(),
                     [](const HeaderTemplate& header) { return header.has_token(); });
}

uint64_t CompiledMessage::size_estimate(const Row& row) const {
  const RowValues values(row, job_id_, tokens_.get());
  uint64_t size = 0;
  for (size_t i = 0; i < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    switch (segment.kind) {
      case SegmentKind::kLiteral:
        size += segment.length;
        break;
      case SegmentKind::kStuffing:
        ++size;
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
      case SegmentKind::kUrl:
        size += values.of(fields_[segment.index]).size() * kPercentGrowth * 2 + 8;
        break;
      case SegmentKind::kSection:
      case SegmentKind::kInverted:
        if (is_skipped(segment, values)) i = segment.offset - 1;
        break;
    }
  }
  if (signer_ != nullptr) size += signer_->bytes_max();
  return size;
}

Reply CompiledMessage::append(const Segment& segment, const RowValues& values,
                              const MessageContext& context, MessageBuffer& buffer) const {
  switch (segment.kind) {
    case SegmentKind::kLiteral:
      buffer.append_constant(std::string_view(literals_).substr(segment.offset, segment.length));
      break;
    case SegmentKind::kStuffing:
      if (context.dot_stuffed) buffer.append(".");
      break;
    case SegmentKind::kDate:
      buffer.append(kDateName);
      buffer.append(buffer.date_text(context.date));
      buffer.append("\r\n");
      break;
    case SegmentKind::kMessageId:
      buffer.append(kMessageIdName);
      buffer.append(is_shared() ? "all" : values.row_number());
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
    case SegmentKind::kUrl: {
      std::string& encoded = buffer.scratch();
      encoded.clear();
      append_percent_encoded(encoded, values.of(fields_[segment.index]));
      if (append_quoted_printable(buffer, encoded, Html::kNo) > 0) buffer.append("=\r\n");
      break;
    }
    case SegmentKind::kSection:
    case SegmentKind::kInverted:
      break;
  }
  return {};
}

ComposeResult CompiledMessage::check(const Row& row) const {
  if (headers_.empty()) return {};
  const RowValues values(row, job_id_, tokens_.get());
  for (const HeaderTemplate& header : headers_) {
    ComposeResult result{header.check(values)};
    if (!result.ok()) return result;
  }
  return {};
}

ComposeResult CompiledMessage::compose(const Row& row, const MessageContext& context,
                                       MessageBuffer& buffer) const {
  buffer.clear();
  const RowValues values(row, job_id_, tokens_.get());
  for (size_t i = 0; i < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    if (segment.kind >= SegmentKind::kSection) {
      if (is_skipped(segment, values)) i = segment.offset - 1;
      continue;
    }
    ComposeResult result{append(segment, values, context, buffer)};
    if (!result.ok()) return result;
    if (buffer.over_limit()) return {{0, {5, 3, 4}, "the message is larger than allowed"}};
  }
  if (signer_ == nullptr) return {};
  return {signer_->sign(context.date, context.dot_stuffed, buffer)};
}

DkimPlan CompiledMessage::dkim_plan() const {
  DkimPlan plan;
  plan.literals = literals_;
  // A message without an empty line has no body.
  size_t i = body_segment_ == 0 ? segments_.size() : body_segment_;
  bool shared = true;
  for (; i < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    if (segment.kind == SegmentKind::kLiteral) {
      plan.pieces.push_back({segment.offset, segment.length});
      if (shared) ++plan.shared_pieces;
    } else if (segment.kind == SegmentKind::kStuffing) {
      if (shared) ++plan.shared_dots;
    } else {
      shared = false;
    }
  }
  plan.constant = shared;
  return plan;
}

}  // namespace sluice
