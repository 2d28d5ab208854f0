// MessageTemplate: a job's message, compiled once, composed for each row.
//
// Purpose: compile() checks the whole template (fields, headers, addresses, MIME) and encodes all
// that is constant for the place where it stands; compose() encodes a row's values between and
// hands back the pieces of the finished message: RFC 5322 headers, quoted-printable UTF-8 parts
// (RFC 2045), text and HTML as multipart/alternative with their attachments (made_message.h), or a
// whole message.eml with its fields filled in.
// Fields: the columns of the list, and always email, local_part, domain, job (the job's id), row
// and token (token.h); a column of the same name wins. {{x}} is HTML-escaped in HTML parts only,
// {{{x}}} and
// {{&x}} never; sections, partials and the rest as mustache.h says. In an address header the
// address column means the normalised address.
// Headers: a header that holds fields is filled in first and then encoded whole (RFC 2047, folded
// at 78), so values need no care of the template's author and can add neither line nor address.
// Ownership: the template owns copies of all it needs; TemplateInput may go after compile().
// Pieces of a MessageBuffer point into the template, which must outlive them.
// Thread: immutable after compile(); all shards share one. A MessageBuffer belongs to one shard.
// Errors: compile() says file:line:column and how to mend it; texts of job.toml are named
// "job.toml [subject]:1:column". compose() refuses a row, with an enhanced code and a text that
// holds none of its values: 5.6.0 for a value that its header cannot hold, 5.3.4 for size, 5.6.3
// for 8-bit content that cannot be downgraded, 5.7.0 and 4.3.5 as dkim_signer.h says.
// Limits: Limits::message_bytes_max, through the MessageBuffer.
// message.eml: kept octet for octet but for: line ends become CRLF, Bcc goes, missing headers
// (Date, Message-ID, From, To, Subject, Reply-To, [headers]) come in front; headers with fields or
// 8-bit octets are encoded anew; a part that holds fields and is not quoted-printable yet becomes
// so. Fields in base64 parts, in MIME headers and in signed or encrypted parts are refused. For
// receivers without 8BITMIME its 8-bit parts are quoted-printable or base64 before anything is
// signed; signed, encrypted and attached messages with 8-bit octets cannot be changed.
// BUGS: a field name that message.eml's own quoted-printable encoding has broken ("=7B=7Bname")
// is not seen. In [headers] a value may change the meaning of structured headers other than
// addresses and URIs (a ">" in a List-ID), never their number.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/compose/message_buffer.h"
#include "engine/compose/mustache.h"
#include "engine/compose/token.h"
#include "engine/model/job.h"
#include "engine/model/reply.h"
#include "engine/model/row.h"

namespace sluice {

class DkimKeys;

// What compile() reads. The caller has read the files that `spec` names.
struct TemplateInput {
  const JobSpec* spec = nullptr;         // not null
  std::string text;                      // contents of spec->message.text, if named
  std::string html;                      // contents of spec->message.html, if named
  std::string eml;                       // contents of spec->message.eml, if named
  PartialFiles partials;                 // what {{> name}} of them may call, by path
  std::vector<std::string> attachments;  // contents of spec->message.attachments, in their order
  std::vector<std::string> columns;      // of the list, in its order
  std::string job_id;                    // {{job}}, Message-ID and boundary are made from it
  size_t message_bytes_max = Limits{}.message_bytes_max;
  std::shared_ptr<const DkimKeys> dkim_keys;  // null: compose() signs nothing
  std::vector<std::string> signing_domains;   // of the configuration, lower-case: for a warning
  TokenKeysPtr token_keys;                    // null: tokens are made of "x"
  std::string verp_delimiter = "+";
  std::string host = "localhost";  // right side of Message-ID when no sender's domain is constant
};

// What else a composition depends on.
struct MessageContext {
  WallTime date{};          // when the row's first attempt began: the Date header, in UTC
  bool dot_stuffed = true;  // as DATA wants it; a chunk (RFC 3030) is sent as it is
  bool eight_bit = true;    // the receiver offers 8BITMIME
};

// ok(), or why there is no message: reply code 0 (decided here), a text, and the enhanced code
// 5.x.y when the row is refused, 4.x.y when another attempt may do.
struct ComposeResult {
  Reply refusal;
  bool ok() const { return !refusal.enhanced.present(); }
};

class CompiledMessage;  // the segments; private to the room

class MessageTemplate {
 public:
  static StatusOr<std::unique_ptr<const MessageTemplate>> compile(const TemplateInput& input);
  ~MessageTemplate();
  MessageTemplate(const MessageTemplate&) = delete;
  MessageTemplate& operator=(const MessageTemplate&) = delete;

  // Address of MAIL FROM for a row; empty: the null sender. With VERP it is put into `made`, which
  // is enlarged once; else it lives as long as the template.
  std::string_view envelope_sender(const Row& row, std::string& made) const;
  // Whether something of a message is made with TemplateInput::token_keys.
  bool has_tokens() const;
  // True when the message holds 8-bit octets (BODY=8BITMIME), unless a context says otherwise:
  // only from message.eml.
  bool eight_bit() const;
  // What a person should know of the template that is no error: "file:line:column: what; mend".
  const std::vector<std::string>& warnings() const { return warnings_; }
  // At least the octets that compose() makes for `row`, for SIZE= (RFC 1870); costs no encoding.
  uint64_t size_estimate(const Row& row) const;
  // Nothing in it differs from row to row: rows may share a transaction.
  bool is_shared() const;
  // Whether the row's values fit the headers that they land in: what compose() would refuse for a
  // line break or NUL in a header is refused here without composing. No allocation when it fits.
  ComposeResult check(const Row& row) const;
  // Fills `buffer` (cleared first) with the message in the form of DATA or BDAT: CRLF line ends,
  // dot-stuffed (RFC 5321 §4.5.2) or not, ending in CRLF, without the final dot. When refused, the
  // buffer's contents mean nothing.
  // No line of it begins with octets of a value that stand for themselves, blanks before them
  // included: a receiver that reads a content as commands finds none that came from the list.
  ComposeResult compose(const Row& row, const MessageContext& context, MessageBuffer& buffer) const;

 private:
  explicit MessageTemplate(std::unique_ptr<const CompiledMessage> message);
  std::unique_ptr<const CompiledMessage> message_;
  // The same in 7-bit octets; null when it is that already, or cannot be.
  std::unique_ptr<const CompiledMessage> downgraded_;
  std::vector<std::string> warnings_;
};

}  // namespace sluice
