// The steps of a conversation, with their names in records and their time-outs. Any thread.
#pragma once

#include <cstdint>

#include "engine/base/time.h"
#include "engine/model/policy.h"

namespace sluice {

// What a reply answers, or what broke. kConnect has no reply, only faults.
enum class Step : uint8_t {
  kConnect,
  kBanner,
  kEhlo,
  kHelo,
  kMail,
  kRcpt,
  kData,  // the command, until 354
  kDot,   // the end of the content
  kRset,
  kQuit,
};
inline constexpr int kSteps = 10;

// As Verdict::command says it: "connect", "banner", "EHLO", "HELO", "MAIL", "RCPT", "DATA", ".",
// "RSET", "QUIT". A literal.
const char* name_of(Step step);

// How long to wait for the reply to `step` (RFC 5321 §4.5.3.2).
Duration timeout_of(Step step, const SmtpTimeouts& timeouts);

}  // namespace sluice
