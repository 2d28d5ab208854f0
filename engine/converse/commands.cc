#include "engine/converse/commands.h"

#include <charconv>

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr std::string_view kSize = " SIZE=";

void append_decimal(uint64_t number, std::string& out) {
  char digits[20];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, static_cast<size_t>(end.ptr - digits));
}

}  // namespace

bool is_safe_address(std::string_view address) {
  if (address.size() > kAddressBytesMax) return false;
  for (const char c : address) {
    const unsigned char octet = static_cast<unsigned char>(c);
    if (octet < 0x20 || octet == 0x7F || c == '<' || c == '>') return false;
  }
  return true;
}

void append_mail(std::string_view sender, const MailParameters& parameters,
                 const Capabilities& capabilities, std::string& out) {
  CHECK(is_safe_address(sender));
  out.append("MAIL FROM:<").append(sender).append(">");
  if (capabilities.size && parameters.size > 0) {
    out.append(" SIZE=");
    append_decimal(parameters.size, out);
  }
  if (capabilities.eight_bit_mime && parameters.eight_bit) out.append(" BODY=8BITMIME");
  if (capabilities.smtputf8 && parameters.smtputf8) out.append(" SMTPUTF8");
  out.append("\r\n");
}

bool has_size(std::string_view commands) {
  const size_t path_end = commands.find('>');  // no address holds one
  return path_end != std::string_view::npos && commands.substr(path_end + 1).starts_with(kSize);
}

size_t remove_size(std::string& commands) {
  if (!has_size(commands)) return 0;
  const size_t path_end = commands.find('>');
  const size_t end = commands.find_first_of(" \r", path_end + 1 + kSize.size());
  const size_t count = end - (path_end + 1);
  commands.erase(path_end + 1, count);
  return count;
}

void append_rcpt(std::string_view recipient, std::string& out) {
  CHECK(is_safe_address(recipient));
  out.append("RCPT TO:<").append(recipient).append(">\r\n");
}

}  // namespace sluice
