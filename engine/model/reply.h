// What a receiver said: code, enhanced code, text.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// RFC 3463 "class.subject.detail"; klass 0 where the receiver gave none.
struct EnhancedCode {
  uint8_t klass = 0;
  uint16_t subject = 0;
  uint16_t detail = 0;
  bool present() const { return klass != 0; }
  friend bool operator==(const EnhancedCode&, const EnhancedCode&) = default;
};
std::string to_string(EnhancedCode code);  // "5.1.1", empty when not present

// A whole SMTP reply. `text` has the lines' texts joined by '\n', without codes, the enhanced code
// left out where it was recognised; its octets are the receiver's: escape before showing.
struct Reply {
  uint16_t code = 0;  // 0: no reply, the outcome was decided here (DNS, expiry, fault)
  EnhancedCode enhanced;
  std::string text;
};

}  // namespace sluice
