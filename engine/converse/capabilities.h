// What a receiver offers in its reply to EHLO. Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

struct Capabilities {
  bool esmtp = false;  // EHLO was accepted; false after HELO
  bool pipelining = false;
  bool eight_bit_mime = false;
  bool smtputf8 = false;
  bool enhanced_status_codes = false;
  bool chunking = false;
  bool starttls = false;
  bool size = false;        // SIZE is known
  uint64_t size_limit = 0;  // octets; 0: none named (RFC 1870 §6)
  // LIMITS (RFC 9422); 0: none named.
  uint32_t mail_max = 0;         // transactions of a session
  uint32_t rcpt_max = 0;         // recipients of a transaction
  uint32_t rcpt_domain_max = 0;  // recipient domains of a session

  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// From the text of a 2xx reply to EHLO (lines joined by '\n', the first is the greeting). Keywords
// are case-insensitive; unknown ones and malformed parameters are ignored (RFC 5321 §4.1.1.1).
Capabilities parse_capabilities(std::string_view text);

}  // namespace sluice
