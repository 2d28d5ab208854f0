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
  kStartTls,  // the command, until 220 (RFC 3207)
  kMail,
  kRcpt,
  kData,  // the command, until 354
  kDot,   // the end of the content
  kBdat,  // the content as the last chunk (RFC 3030)
  kRset,
  kProbe,  // a chunk without a transaction, of NOOP lines
  kNoop,
  kQuit,
};
inline constexpr int kSteps = 14;

// As Verdict::command says it: "connect", "banner", "EHLO", "HELO", "STARTTLS", "MAIL", "RCPT",
// "DATA", ".", "BDAT", "RSET", "BDAT", "NOOP", "QUIT". A literal.
const char* name_of(Step step);

// How long to wait for the reply to `step` (RFC 5321 §4.5.3.2).
Duration timeout_of(Step step, const SmtpTimeouts& timeouts);

}  // namespace sluice
