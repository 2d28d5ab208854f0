#include <algorithm>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/strings.h"
#include "engine/compose/base64.h"
#include "engine/compose/encode.h"

namespace sluice {
namespace {

constexpr std::string_view kBefore = "=?utf-8?";  // then "Q?" or "B?"
constexpr size_t kFrame = 12;                     // of an encoded word: all but its text
constexpr size_t kEncodedWordMax = 75;            // RFC 2047 §2
constexpr size_t kEncodedLineMax = 76;
// Longer words, and runs of blanks, are encoded so that every line can be folded.
constexpr size_t kWordMax = 900;
constexpr size_t kBlanksMax = 32;
// Longer display names are encoded words, which fold anywhere.
constexpr size_t kPhraseMax = 60;
constexpr char kHexDigits[] = "0123456789ABCDEF";

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_printable(char c) { return c > ' ' && c <= '~'; }
bool is_alnum(char c) { return is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z'); }

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// The set that RFC 2047 §5 (3) allows within a phrase, used everywhere.
bool stands_in_q(char c) {
  return is_alnum(c) || c == '!' || c == '*' || c == '+' || c == '-' || c == '/';
}
size_t q_length(std::string_view text) {
  size_t length = 0;
  for (const char c : text) length += stands_in_q(c) || c == ' ' ? 1 : 3;
  return length;
}

// Octets of the character at the front of `text`; 1 for an octet that begins none.
size_t character_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  if (length > text.size()) return 1;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 1;
  }
  return length;
}

void put_q(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (stands_in_q(c)) {
      out += c;
    } else if (c == ' ') {
      out += '_';
    } else {
      const auto octet = static_cast<unsigned char>(c);
      out += '=';
      out += kHexDigits[octet >> 4];
      out += kHexDigits[octet & 15];
    }
  }
}

// Appends `gap` and `text` as encoded words, each of whole characters; returns the column.
size_t put_encoded(std::string& out, size_t column, std::string_view gap, std::string_view text) {
  const bool q = q_length(text) <= (text.size() + 2) / 3 * 4;
  constexpr size_t kLeast = kFrame + 12;  // room for any one character
  if (column + gap.size() + kLeast > kEncodedLineMax) {
    out += "\r\n";
    column = 0;
  }
  out += gap;
  column += gap.size();
  while (!text.empty()) {
    const size_t room = std::min(kEncodedWordMax, kEncodedLineMax - column) - kFrame;
    size_t octets = 0;
    size_t length = 0;
    while (octets < text.size()) {
      const size_t more = character_length(text.substr(octets));
      const size_t with =
          q ? length + q_length(text.substr(octets, more)) : (octets + more + 2) / 3 * 4;
      if (with > room) break;
      octets += more;
      length = with;
    }
    out += kBefore;
    out += q ? "Q?" : "B?";
    q ? put_q(out, text.substr(0, octets)) : append_base64(out, text.substr(0, octets));
    out += "?=";
    column += kFrame + length;
    text.remove_prefix(octets);
    if (!text.empty()) {
      out += "\r\n ";
      column = 1;
    }
  }
  return column;
}

bool must_encode(std::string_view word) {
  return word.size() > kWordMax || !std::all_of(word.begin(), word.end(), is_printable) ||
         word.find("=?") != std::string_view::npos;
}

// A word that a server could take for a command where it stands first on a line.
bool is_verb(std::string_view word) {
  static constexpr std::string_view kVerbs[] = {
      "MAIL", "RCPT", "DATA", "BDAT",     "RSET",    "QUIT",     "EHLO",   "HELO", "LHLO",
      "VRFY", "EXPN", "HELP", "STARTTLS", "XCLIENT", "XFORWARD", "BURL",   "ETRN", "AUTH",
      "TURN", "ATRN", "NOOP", "SEND",     "SOML",    "SAML",     "XEXCH50"};
  return std::any_of(std::begin(kVerbs), std::end(kVerbs),
                     [word](std::string_view verb) { return equals_ignore_case(word, verb); });
}

bool has_long_gap(std::string_view text) {
  size_t run = 0;
  for (const char c : text) {
    run = is_blank(c) ? run + 1 : 0;
    if (run > kBlanksMax) return true;
  }
  return false;
}

// Takes the word at the front of `rest`, and the blanks before it into `gap`.
std::string_view take_word(std::string_view& rest, std::string_view& gap) {
  size_t begin = 0;
  while (begin < rest.size() && is_blank(rest[begin])) ++begin;
  size_t end = begin;
  while (end < rest.size() && !is_blank(rest[end])) ++end;
  gap = rest.substr(0, begin);
  const std::string_view word = rest.substr(begin, end - begin);
  rest.remove_prefix(end);
  return word;
}

}  // namespace

void append_unstructured(std::string& out, size_t column, std::string_view text) {
  text = trim_blanks(text);
  if (text.empty()) return;
  if (column + 1 + text.size() <= kHeaderLineMax && text.find("=?") == std::string_view::npos &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; })) {
    out += ' ';
    out += text;
    return;
  }
  if (has_long_gap(text)) {
    put_encoded(out, column, " ", text);
    return;
  }
  std::string_view rest = text;
  bool first = true;
  bool after_encoded = false;
  while (!rest.empty()) {
    std::string_view gap;
    std::string_view word = take_word(rest, gap);
    if (first) gap = " ";
    const bool folds = !first && column + gap.size() + word.size() > kHeaderLineMax;
    const bool verb = folds && is_verb(word) && !must_encode(word);
    if (verb && after_encoded) {
      // Blanks between encoded words are not shown.
      word = {gap.data(), gap.size() + word.size()};
      gap = " ";
    }
    if (verb || must_encode(word)) {
      // Neighbours that need it too go with it: blanks between encoded words are not shown.
      while (!rest.empty()) {
        std::string_view later = rest;
        std::string_view later_gap;
        const std::string_view next = take_word(later, later_gap);
        if (!must_encode(next)) break;
        const size_t taken = later_gap.size() + next.size();
        word = {word.data(), word.size() + taken};
        rest = later;
      }
      column = put_encoded(out, column, gap, word);
      after_encoded = true;
    } else {
      after_encoded = false;
      if (folds) {
        out += "\r\n";
        column = 0;
      }
      out += gap;
      out += word;
      column += gap.size() + word.size();
    }
    first = false;
  }
}

size_t append_phrase(std::string& out, size_t column, std::string_view text) {
  text = trim_blanks(text);
  if (text.empty()) return column;
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!printable || text.size() > kPhraseMax || text.find("=?") != std::string_view::npos) {
    return put_encoded(out, column, " ", text);
  }
  // The name may stand first on a line: in quotes it is no command.
  const bool atoms =
      !is_verb(text.substr(0, text.find(' '))) && text.find("  ") == std::string_view::npos &&
      std::all_of(text.begin(), text.end(), [](char c) { return is_atext(c) || c == ' '; });
  const size_t before = out.size();
  out += ' ';
  if (atoms) {
    out += text;
  } else {
    out += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  const size_t length = out.size() - before;
  if (column + length > kHeaderLineMax) {
    out.insert(before, "\r\n");
    column = 0;
  }
  return column + length;
}

bool is_header_safe(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

bool is_atext(char c) {
  return is_alnum(c) || std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos;
}

namespace {

// Takes the text before the next "." off `rest`; sets `more` when a "." was there.
std::string_view take_label(std::string_view& rest, bool& more) {
  const size_t dot = rest.find('.');
  more = dot != std::string_view::npos;
  const std::string_view label = rest.substr(0, dot);
  rest.remove_prefix(more ? dot + 1 : rest.size());
  return label;
}

bool is_dot_atom(std::string_view text) {
  for (bool more = true; more;) {
    const std::string_view atom = take_label(text, more);
    if (atom.empty() || !std::all_of(atom.begin(), atom.end(), is_atext)) return false;
  }
  return true;
}

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (bool more = true; more;) {
    const std::string_view label = take_label(text, more);
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
      return false;
    }
    if (!std::all_of(label.begin(), label.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_'; })) {
      return false;
    }
  }
  return true;
}

bool is_address_literal(std::string_view text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return false;
  text = text.substr(1, text.size() - 2);
  if (starts_with_ignore_case(text, "IPv6:")) {
    const auto ip = parse_ip(text.substr(5));
    return ip.has_value() && ip->family == Family::kIpv6;
  }
  const auto ip = parse_ip(text);
  return ip.has_value() && ip->family == Family::kIpv4;
}

}  // namespace

bool is_addr_spec(std::string_view text) {
  const size_t at = text.rfind('@');
  if (at == std::string_view::npos || at == 0 || at > 64 || text.size() > 254) return false;
  const std::string_view domain = text.substr(at + 1);
  return is_dot_atom(text.substr(0, at)) && (is_host_name(domain) || is_address_literal(domain));
}

}  // namespace sluice
