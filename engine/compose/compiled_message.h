// CompiledMessage: a message template as a list of segments, and the builder that makes it.
// Private to the room. The message is immutable and shared by all shards; a builder is one
// thread's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/compose/encode.h"
#include "engine/compose/fields.h"
#include "engine/compose/header.h"
#include "engine/compose/message_buffer.h"
#include "engine/compose/message_template.h"
#include "engine/compose/mustache.h"

namespace sluice {

enum class SegmentKind : uint8_t {
  kLiteral,    // octets of literals_, ready for the wire
  kDate,       // the whole Date header
  kMessageId,  // the whole Message-ID header
  kTo,         // the whole To header: the recipient
  kHeader,     // headers_[index]
  kText,       // fields_[index], quoted-printable, ending in column 0
  kHtml,       // the same, HTML-escaped first
};

struct Segment {
  SegmentKind kind = SegmentKind::kLiteral;
  uint32_t index = 0;
  size_t offset = 0;  // of kLiteral
  size_t length = 0;
};

class CompiledMessage {
 public:
  std::string_view envelope_sender() const { return envelope_sender_; }
  bool eight_bit() const { return eight_bit_; }
  uint64_t size_estimate(const Row& row) const;
  ComposeResult check(const Row& row) const;
  ComposeResult compose(const Row& row, const MessageContext& context, MessageBuffer& buffer) const;

 private:
  friend class MessageBuilder;
  Reply append(const Segment& segment, const RowValues& values, const MessageContext& context,
               MessageBuffer& buffer) const;

  std::string literals_;
  std::vector<Segment> segments_;
  std::vector<HeaderTemplate> headers_;
  std::vector<Field> fields_;
  std::string job_id_;
  std::string message_id_tail_;  // ".JOB@domain>\r\n"
  std::string envelope_sender_;
  bool eight_bit_ = false;
};

class MessageBuilder {
 public:
  // `fields` outlives the builder. `domain` is the right side of Message-ID.
  MessageBuilder(const FieldTable& fields, std::string_view job_id);

  void set_envelope_sender(std::string_view sender);
  void set_message_id_domain(std::string_view domain);

  void add_date() { message_->segments_.push_back({SegmentKind::kDate, 0, 0, 0}); }
  void add_message_id() { message_->segments_.push_back({SegmentKind::kMessageId, 0, 0, 0}); }
  void add_to() { message_->segments_.push_back({SegmentKind::kTo, 0, 0, 0}); }
  void add_header(HeaderTemplate header);
  // Octets that are ready for the wire.
  void add_literal(std::string_view octets);
  // Text with LF line ends that stays as it is: CRLF line ends, dot-stuffed.
  void add_lines(std::string_view text);
  // Octets [begin, end) of `text` with their fields as quoted-printable. `ends_line`: the last
  // line is ended if it is not.
  Status add_encoded(const ParsedText& text, size_t begin, size_t end, Html html, bool ends_line);
  // The same of text (LF line ends) that is quoted-printable already: only values are encoded.
  Status add_quoted_printable(const ParsedText& text, size_t begin, size_t end, Html html);

  const FieldTable& fields() const { return fields_; }
  std::unique_ptr<const CompiledMessage> finish();

 private:
  Status add_field(const ParsedText& text, const Mark& mark, Html html);

  const FieldTable& fields_;
  std::unique_ptr<CompiledMessage> message_;
  bool line_begins_ = true;
};

// `job_id` as a part of a dot-atom: other octets as "=XX", a long one by its digest.
std::string message_id_part(std::string_view job_id);

}  // namespace sluice
