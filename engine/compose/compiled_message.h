// CompiledMessage: a message template as a list of segments, headers first, then the body.
//
// A section is a segment that skips to another one; there is no tree. Both of its edges are at
// column 0 of a line, as fields begin and end there.
// Private to the room. Immutable and shared by all shards; message_builder.h makes it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/compose/dkim_signer.h"
#include "engine/compose/fields.h"
#include "engine/compose/header.h"
#include "engine/compose/message_buffer.h"
#include "engine/compose/message_template.h"
#include "engine/compose/token.h"

namespace sluice {

enum class SegmentKind : uint8_t {
  kLiteral,    // octets of literals_, ready for the wire but for dot-stuffing
  kStuffing,   // the dot before a line that begins with one
  kDate,       // the whole Date header
  kMessageId,  // the whole Message-ID header
  kTo,         // the whole To header: the recipient
  kHeader,     // headers_[index]
  kText,       // fields_[index], quoted-printable, ending in column 0
  kHtml,       // the same, HTML-escaped first
  kUrl,        // the same, percent-encoded instead
  kSection,    // goes on at segment `offset` when fields_[index] is empty
  kInverted,   // the same when it is not
};

struct Segment {
  SegmentKind kind = SegmentKind::kLiteral;
  uint32_t index = 0;
  size_t offset = 0;  // of kLiteral; of kSection, kInverted the segment behind its end
  size_t length = 0;
};

class CompiledMessage {
 public:
  std::string_view envelope_sender(const Row& row, std::string& made) const;
  bool eight_bit() const { return eight_bit_; }
  uint64_t size_estimate(const Row& row) const;
  bool is_shared() const { return shared_ && verp_.empty(); }
  bool has_tokens() const;
  ComposeResult check(const Row& row) const;
  ComposeResult compose(const Row& row, const MessageContext& context, MessageBuffer& buffer) const;
  // The first segment of the body: those before it make the headers and the empty line.
  size_t body_segment() const { return body_segment_; }

 private:
  friend class MessageBuilder;
  // What is constant in the body, and how much of it stands before anything else.
  DkimPlan dkim_plan() const;
  bool is_skipped(const Segment& section, const RowValues& values) const;
  Reply append(const Segment& segment, const RowValues& values, const MessageContext& context,
               MessageBuffer& buffer) const;

  std::string literals_;
  std::vector<Segment> segments_;
  size_t body_segment_ = 0;
  std::vector<HeaderTemplate> headers_;
  std::vector<Field> fields_;
  std::string job_id_;
  std::string message_id_tail_;  // ".JOB@domain>\r\n"
  std::string envelope_sender_;
  std::string verp_;                          // stands before the token; empty: no VERP
  std::unique_ptr<const TokenMaker> tokens_;  // null: without keys
  std::unique_ptr<const DkimSigner> signer_;  // null: unsigned
  bool eight_bit_ = false;
  bool shared_ = true;
};

}  // namespace sluice
