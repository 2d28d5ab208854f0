#include "engine/spool/address.h"

#include <array>
#include <cstdint>

#include "engine/base/net.h"
#include "engine/base/strings.h"
#include "engine/spool/idna.h"

namespace sluice {
namespace {

constexpr size_t kLocalPartBytesMax = 64;
constexpr size_t kLabelBytesMax = 63;
constexpr size_t kDomainBytesMax = 253;
constexpr size_t kAddressBytesMax = 254;
// U-labels may take more octets than the A-labels that they become.
constexpr size_t kInputBytesMax = 2048;

constexpr const char* kControl = "a control character in the address";
constexpr const char* kTooLong = "the address is longer than 254 octets";

constexpr uint8_t kAtext = 1;        // RFC 5322 §3.2.3, ASCII only
constexpr uint8_t kLetterDigit = 2;  // of host names, hyphen apart
constexpr uint8_t kUpper = 4;
constexpr uint8_t kEightBit = 8;
constexpr uint8_t kControlOctet = 16;

constexpr std::array<uint8_t, 256> make_classes() {
  std::array<uint8_t, 256> classes{};
  for (unsigned c = 0; c < 256; ++c) {
    uint8_t bits = 0;
    const bool lower = c >= 'a' && c <= 'z';
    const bool upper = c >= 'A' && c <= 'Z';
    const bool digit = c >= '0' && c <= '9';
    if (lower || upper || digit) bits |= kAtext | kLetterDigit;
    if (upper) bits |= kUpper;
    if (c >= 0x80) bits |= kEightBit;
    if (c < 0x20 || c == 0x7F) bits |= kControlOctet;
    classes[c] = bits;
  }
  for (const char c : std::string_view("!#$%&'*+-/=?^_`{|}~")) {
    classes[static_cast<unsigned char>(c)] |= kAtext;
  }
  return classes;
}
constexpr std::array<uint8_t, 256> kClasses = make_classes();

uint8_t class_of(char c) { return kClasses[static_cast<unsigned char>(c)]; }

std::string_view trim_blanks(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// U+0080 to U+009F are control characters too; `text` is UTF-8.
bool has_c1_control(std::string_view text) {
  for (size_t at = text.find('\xC2'); at != std::string_view::npos;
       at = text.find('\xC2', at + 1)) {
    if (at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) < 0xA0) return true;
  }
  return false;
}

bool has_control(std::string_view text) {
  for (const char c : text) {
    if ((class_of(c) & kControlOctet) != 0) return true;
  }
  return false;
}

// Why `in` is no address, when a character outside the grammar was met in it: the most helpful of
// the things that may be wrong.
const char* explain(std::string_view in) {
  if (has_control(in)) return kControl;
  if (in.find('<') != std::string_view::npos || in.find('>') != std::string_view::npos) {
    return "a name or angle brackets beside the address; the column must hold the bare address";
  }
  if (in.find('@') == std::string_view::npos) return "no @ in the address";
  if (in.find(',') != std::string_view::npos || in.find(';') != std::string_view::npos) {
    return "a comma or semicolon in the address; the column must hold one address";
  }
  if (in.find('(') != std::string_view::npos) return "a comment in parentheses in the address";
  if (in.find(' ') != std::string_view::npos) return "a space in the address";
  if (in.find('"') != std::string_view::npos) return "misplaced quotes in the local part";
  return "a character in the local part that needs quotes";
}

// Finds the local part's end: sets `end` to the index of the "@". Null when well-formed.
const char* scan_dot_atom(std::string_view in, size_t& end, bool& eight_bit) {
  bool dot_allowed = false;
  for (size_t i = 0; i < in.size(); ++i) {
    const uint8_t bits = class_of(in[i]);
    if ((bits & (kAtext | kEightBit)) != 0) {
      eight_bit = eight_bit || (bits & kEightBit) != 0;
      dot_allowed = true;
    } else if (in[i] == '.') {
      if (!dot_allowed) {
        return i == 0 ? "the local part begins with a dot" : "two dots in a row in the local part";
      }
      dot_allowed = false;
    } else if (in[i] == '@') {
      if (i == 0) return "nothing before the @";
      if (!dot_allowed) return "the local part ends with a dot";
      end = i;
      return nullptr;
    } else {
      return explain(in);
    }
  }
  return "no @ in the address";
}

// The same for a quoted string (RFC 5321 §4.1.2). REQUIRES: in begins with a quote.
const char* scan_quoted(std::string_view in, size_t& end, bool& eight_bit) {
  for (size_t i = 1; i < in.size(); ++i) {
    if (in[i] == '"') {
      if (i + 1 < in.size() && in[i + 1] == '@') {
        end = i + 1;
        return nullptr;
      }
      return explain(in);
    }
    const bool escaped_octet = in[i] == '\\';
    if (escaped_octet && ++i == in.size()) break;
    const uint8_t bits = class_of(in[i]);
    if ((bits & kControlOctet) != 0) return kControl;
    if ((bits & kEightBit) != 0) {
      if (escaped_octet) return "a backslash before a character outside ASCII";
      eight_bit = true;
    }
  }
  return has_control(in) ? kControl : "a quote in the local part that never closes";
}

const char* explain_domain(char c) {
  if ((class_of(c) & kControlOctet) != 0) return kControl;
  switch (c) {
    case '_':
      return "an underscore in the domain";
    case '@':
      return "more than one @ in the address";
    case ' ':
      return "a space in the address";
    case ',':
    case ';':
      return "a comma or semicolon in the address; the column must hold one address";
    case '>':
      return "a name or angle brackets beside the address; the column must hold the bare address";
    case '(':
    case ')':
      return "a comment in parentheses in the address";
    default:
      return "a character in the domain that no host name has";
  }
}

const char* check_label_end(std::string_view label) {
  if (label.empty()) return "an empty label in the domain";
  if (label.size() > kLabelBytesMax) return "a label of the domain is longer than 63 octets";
  if (label.back() == '-') return "a label of the domain ends with a hyphen";
  return nullptr;
}

// Letters, digits, hyphens; RFC 1123 §2.1. `upper` and `eight_bit` tell what else there is; with
// eight_bit the rest was not looked at.
const char* check_host(std::string_view domain, bool& upper, bool& eight_bit) {
  if (domain.empty()) return "nothing behind the @";
  uint8_t seen = 0;
  size_t label = 0;
  for (size_t i = 0; i < domain.size(); ++i) {
    const uint8_t bits = class_of(domain[i]);
    seen |= bits;
    if ((bits & kLetterDigit) != 0) continue;
    if (domain[i] == '.') {
      if (const char* error = check_label_end(domain.substr(label, i - label))) return error;
      label = i + 1;
    } else if (domain[i] == '-') {
      if (i == label) return "a label of the domain begins with a hyphen";
    } else if ((bits & kEightBit) != 0) {
      eight_bit = true;
      return nullptr;
    } else {
      return explain_domain(domain[i]);
    }
  }
  upper = (seen & kUpper) != 0;
  if (label == domain.size()) return "the domain ends with a dot";
  if (const char* error = check_label_end(domain.substr(label))) return error;
  return domain.size() > kDomainBytesMax ? "the domain is longer than 253 octets" : nullptr;
}

// RFC 5321 §4.1.3. REQUIRES: domain begins with "[".
const char* check_literal(std::string_view domain) {
  if (domain.back() != ']') return "an address literal without its closing bracket";
  const std::string_view inside = domain.substr(1, domain.size() - 2);
  if (has_control(inside)) return kControl;
  constexpr std::string_view kTag = "IPv6:";
  if (starts_with_ignore_case(inside, kTag)) {
    const auto ip = parse_ip(inside.substr(kTag.size()));
    const bool good = ip.has_value() && ip->family == Family::kIpv6;
    return good ? nullptr : "no IPv6 address in the address literal";
  }
  const auto ip = parse_ip(inside);
  if (!ip.has_value()) return "no IP address in the address literal";
  return ip->family == Family::kIpv4 ? nullptr
                                     : "an IPv6 address literal needs \"IPv6:\" before it";
}

const char* check_local_part(std::string_view local_part, bool eight_bit) {
  if (local_part.size() > kLocalPartBytesMax) return "the local part is longer than 64 octets";
  if (!eight_bit) return nullptr;
  if (!is_utf8(local_part)) return "the local part is not UTF-8";
  return has_c1_control(local_part) ? kControl : nullptr;
}

// Makes local_part "@" A-labels in `scratch`.
const char* internationalise(std::string_view local_part, std::string_view domain,
                             std::string& scratch) {
  if (has_control(domain)) return kControl;
  if (!is_utf8(domain)) return "the domain is not UTF-8";
  if (has_c1_control(domain)) return kControl;
  scratch.assign(local_part);
  scratch += '@';
  if (const char* error = append_a_labels(domain, scratch)) return error;
  for (size_t i = local_part.size() + 1; i < scratch.size(); ++i) {
    scratch[i] = ascii_lower(scratch[i]);
  }
  bool upper = false;
  bool eight_bit = false;
  const char* error =
      check_host(std::string_view(scratch).substr(local_part.size() + 1), upper, eight_bit);
  return eight_bit ? "the domain is no valid internationalised name (IDNA2008)" : error;
}

}  // namespace

AddressResult parse_address(std::string_view in, std::string& scratch) {
  const auto refuse = [](const char* error) { return AddressResult{{}, error}; };
  in = trim_blanks(in);
  if (in.empty()) return refuse("the address is empty");
  if (in.size() > kInputBytesMax) return refuse(kTooLong);

  size_t at = 0;
  bool local_eight_bit = false;
  const char* error = in.front() == '"' ? scan_quoted(in, at, local_eight_bit)
                                        : scan_dot_atom(in, at, local_eight_bit);
  if (error != nullptr) return refuse(error);
  std::string_view whole = in;
  const std::string_view domain = in.substr(at + 1);
  error = check_local_part(in.substr(0, at), local_eight_bit);
  if (error != nullptr) return refuse(error);

  const bool is_literal = !domain.empty() && domain.front() == '[';
  bool upper = false;
  bool eight_bit = false;
  error = is_literal ? check_literal(domain) : check_host(domain, upper, eight_bit);
  if (error == nullptr && eight_bit) {
    error = internationalise(in.substr(0, at), domain, scratch);
    whole = scratch;
  } else if (error == nullptr && upper) {
    scratch.assign(in);
    for (size_t i = at + 1; i < scratch.size(); ++i) scratch[i] = ascii_lower(scratch[i]);
    whole = scratch;
  }
  if (error != nullptr) return refuse(error);
  if (whole.size() > kAddressBytesMax) return refuse(kTooLong);

  AddressResult result;
  result.address = {whole, whole.substr(0, at), whole.substr(at + 1), local_eight_bit, is_literal};
  return result;
}

}  // namespace sluice
