// Encodings of text for the places of a message: quoted-printable, HTML, encoded words, phrases.
// Pure functions; any thread. Input of any octets is accepted and never read out of range.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/compose/message_buffer.h"

namespace sluice {

// --- Bodies: quoted-printable (RFC 2045 §6.7) ---

// Whether & < > " ' become entities before they are encoded.
enum class Html : bool { kNo, kYes };

// Lines are at most 76 octets, "=" of a soft break included.
inline constexpr size_t kQpLineMax = 76;
// The most octets that one octet of a value becomes, soft breaks included.
inline constexpr size_t kQpGrowthText = 4;
inline constexpr size_t kQpGrowthHtml = 7;

// Appends the encoding of `text` to `out`, beginning at column `column` of a line, and returns the
// column behind it. LF and CRLF become hard line breaks, a lone CR "=0D". Blanks before a line
// break are encoded, and a "." or "From " at the beginning of a line; so what starts in column 0
// never needs dot-stuffing.
size_t append_quoted_printable(std::string& out, std::string_view text, size_t column);
// The same for a value into a message's arena, from column 0; the first octet of every line is
// encoded, so that no value can look like an SMTP command.
size_t append_quoted_printable(MessageBuffer& out, std::string_view value, Html html);

// --- Headers (RFC 5322 §2.2.3, RFC 2047) ---

// Lines of headers are folded here where they can be, at 76 when they hold encoded words.
inline constexpr size_t kHeaderLineMax = 78;

// Appends " " and the unstructured text `text` (trimmed) behind a header's "Name:" that ends in
// column `column`, folded, without the final CRLF. Words with octets other than printable ASCII,
// with "=?", or too long for a line become encoded words. Appends nothing when `text` is blank.
// REQUIRES: no CR, LF or NUL in `text`.
void append_unstructured(std::string& out, size_t column, std::string_view text);
// Appends " " and a display name as a phrase: atoms, a quoted string or encoded words; returns the
// column behind it. Nothing for a blank one. REQUIRES: no CR, LF or NUL in `text`.
size_t append_phrase(std::string& out, size_t column, std::string_view text);

// True when `text` can be a header's value: no CR, LF or NUL.
bool is_header_safe(std::string_view text);
// A plain addr-spec (RFC 5322 §3.4.1): dot-atom "@" host name or address literal, ASCII, with the
// lengths of RFC 5321 §4.5.3.1.
bool is_addr_spec(std::string_view text);
bool is_atext(char c);

}  // namespace sluice
