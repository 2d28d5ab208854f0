// Command lines of SMTP, and what must never get into one. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/converse/capabilities.h"

namespace sluice {

// Octets of an address in a command line; RFC 5321 §4.5.3.1.3 asks for 254.
inline constexpr size_t kAddressBytesMax = 512;

// True when `address` can stand between < and > without ending the line or the path: not too long,
// no control character, no '<' and no '>'. The empty address (the null sender) can.
bool is_safe_address(std::string_view address);

// What MAIL asks for beside the sender.
struct MailParameters {
  uint64_t size = 0;  // octets of the message; 0: not said
  bool eight_bit = false;
  bool smtputf8 = false;
};

// Append a line with its CRLF. REQUIRES: is_safe_address(). A parameter is left out when
// `capabilities` does not offer it (RFC 1870 §6, 6152 §2, 6531 §3.4).
void append_mail(std::string_view sender, const MailParameters& parameters,
                 const Capabilities& capabilities, std::string& out);
// The MAIL line that `commands` begins with says SIZE=.
bool has_size(std::string_view commands);
// Takes SIZE= out of the MAIL line that `commands` begins with; returns how many octets went.
size_t remove_size(std::string& commands);
void append_rcpt(std::string_view recipient, std::string& out);

}  // namespace sluice
