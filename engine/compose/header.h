// HeaderTemplate: one header field, compiled; filled in and encoded for each row.
//
// Two kinds. Unstructured (Subject, what [headers] adds): the text with its values is encoded as a
// whole. Addresses (From, Reply-To, To, Cc, Sender): a list of mailboxes whose display names and
// addresses are templates of their own, so that no value can add a mailbox.
// Immutable after compile; any thread. BUGS: groups and comments in address headers are refused.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/compose/fields.h"
#include "engine/compose/message_buffer.h"
#include "engine/compose/mustache.h"
#include "engine/model/reply.h"

namespace sluice {

// What stands between two literals: a field, or the edge of a section.
struct Slot {
  MarkKind kind = MarkKind::kField;
  Field field;     // of a section: the one that decides
  size_t end = 0;  // of a section: the slot of its end
};

// Literal text and slots in turn: literals[0] slots[0] literals[1] ... literals[n].
struct TextTemplate {
  std::vector<std::string> literals{std::string()};
  std::vector<Slot> slots;
  bool constant() const { return slots.empty(); }
  // The first field that is shown and whose value holds CR, LF or NUL; null when there is none.
  const Field* first_unsafe(const RowValues& values) const;
  // Appends the text for a row. False when a value holds CR, LF or NUL; `bad` is then its field.
  bool fill(const RowValues& values, std::string& out, const Field** bad) const;
  size_t length_max(const RowValues& values, size_t growth) const;
};

struct MailboxTemplate {
  TextTemplate display;
  TextTemplate address;
};

class HeaderTemplate {
 public:
  // `text` is the unfolded value of header `name`. Errors name the position in it.
  static StatusOr<HeaderTemplate> unstructured(std::string_view name, const ParsedText& text,
                                               const FieldTable& fields);
  static StatusOr<HeaderTemplate> addresses(std::string_view name, const ParsedText& text,
                                            const FieldTable& fields);
  // "<URI>, <URI>" (RFC 2369): values are percent-encoded, but for one that begins a URI, which may
  // be a whole one.
  static StatusOr<HeaderTemplate> uris(std::string_view name, const ParsedText& text,
                                       const FieldTable& fields);
  // addresses() and uris() for the headers that hold them, else unstructured().
  static StatusOr<HeaderTemplate> by_name(std::string_view name, const ParsedText& text,
                                          const FieldTable& fields);

  // Appends "Name: value CRLF" for a row. Not an enhanced code: done; else why not.
  Reply append(const RowValues& values, MessageBuffer& out) const;
  // The part of append() that looks at values only, cheap enough to ask of every row of a list.
  Reply check(const RowValues& values) const;
  // The same without a row. REQUIRES: constant().
  std::string constant_text() const;
  bool constant() const;
  // Some field of it is {{token}}.
  bool has_token() const;
  // At least the octets that append() makes.
  uint64_t size_max(const RowValues& values) const;
  const std::vector<MailboxTemplate>& mailboxes() const { return mailboxes_; }

 private:
  Reply render(const RowValues& values, std::string& text, std::string& out) const;
  Reply render_uris(const RowValues& values, std::string& text, std::string& out) const;
  // Every TextTemplate of it until visit() gives false; whether it never did.
  template <typename Visit>
  bool all_texts(Visit visit) const {
    for (const MailboxTemplate& mailbox : mailboxes_) {
      if (!visit(mailbox.display) || !visit(mailbox.address)) return false;
    }
    for (const TextTemplate& uri : uris_) {
      if (!visit(uri)) return false;
    }
    return visit(text_);
  }
  Reply refuse(const Field& field, std::string_view why) const;

  std::string name_;
  bool is_addresses_ = false;
  TextTemplate text_;
  std::vector<MailboxTemplate> mailboxes_;
  std::vector<TextTemplate> uris_;
};

// True for a field name of RFC 5322 §3.6.8 of at most 64 octets that needs no dot-stuffing.
bool is_header_name(std::string_view name);
bool is_address_header(std::string_view name);
// Of RFC 2369.
bool is_uri_header(std::string_view name);

}  // namespace sluice
