// MessageBuilder: makes a CompiledMessage, from its front to its end.
// Private to the room; one thread's.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/compose/compiled_message.h"
#include "engine/compose/encode.h"
#include "engine/compose/fields.h"
#include "engine/compose/header.h"
#include "engine/compose/mustache.h"

namespace sluice {

class MessageBuilder {
 public:
  // `fields` outlives the builder. `domain` is the right side of Message-ID.
  MessageBuilder(const FieldTable& fields, std::string_view job_id);

  // `verp`: what stands between the local part and its token; empty: the same for every row.
  void set_envelope_sender(std::string_view sender, std::string_view verp);
  // Null: tokens are made of "x".
  void set_tokens(TokenKeysPtr keys);
  void set_message_id_domain(std::string_view domain);
  // Whose keys sign. `from_domain`: lower-case; empty when it differs from row to row.
  void set_signing(std::shared_ptr<const DkimKeys> keys, std::string_view from_domain);

  void add_date() { message_->segments_.push_back({SegmentKind::kDate, 0, 0, 0}); }
  void add_message_id() { message_->segments_.push_back({SegmentKind::kMessageId, 0, 0, 0}); }
  void add_to() { message_->segments_.push_back({SegmentKind::kTo, 0, 0, 0}); }
  void add_header(HeaderTemplate header);
  // What follows is the body; the empty line before it has been added.
  void begin_body();
  // Octets that are ready for the wire: no line of them begins with a dot.
  void add_literal(std::string_view octets);
  // Octets as base64, in lines.
  void add_base64(std::string_view octets);
  // Text with LF line ends that stays as it is: CRLF line ends.
  void add_lines(std::string_view text);
  // Octets [begin, end) of `text` with their fields as quoted-printable. `ends_line`: the last
  // line is ended if it is not.
  Status add_encoded(const ParsedText& text, size_t begin, size_t end, Html html, bool ends_line);
  // The same of text (LF line ends) that is quoted-printable already: only values are encoded.
  Status add_quoted_printable(const ParsedText& text, size_t begin, size_t end, Html html);

  // Of all that is the same for every row.
  size_t constant_bytes() const { return message_->literals_.size(); }
  const FieldTable& fields() const { return fields_; }
  std::unique_ptr<const CompiledMessage> finish();

 private:
  // A tag of a body; the octets before it end at column 0.
  Status add_mark(const ParsedText& text, const Mark& mark, Html html);
  // Every section of `text` that was added is closed.
  Status check_closed(const ParsedText& text);
  // The literal that is being written, and what is due when it has grown.
  std::string& literal();
  void end_literal();
  // What follows may be reached without what is before it: they share no segment.
  void cut() { cut_ = true; }

  const FieldTable& fields_;
  std::unique_ptr<CompiledMessage> message_;
  std::vector<std::pair<size_t, const Mark*>> open_;  // sections, by their segments
  std::shared_ptr<const DkimKeys> keys_;
  std::string from_domain_;
  bool cut_ = false;
  bool line_begins_ = true;
};

// `job_id` as a part of a dot-atom: other octets as "=XX", a long one by its digest.
std::string message_id_part(std::string_view job_id);

}  // namespace sluice
