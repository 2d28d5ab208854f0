// One entry of a journal, as a reader sees it.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/base/net.h"
#include "engine/base/time.h"
#include "engine/model/outcome.h"
#include "engine/model/reply.h"
#include "engine/model/row.h"
#include "engine/model/state.h"
#include "engine/model/tls.h"

namespace sluice {

// What the journal says of a job as a whole.
enum class JobEvent : uint8_t { kPaused, kResumed, kCancelled, kFinished };
inline constexpr uint8_t kJobEvents = 4;

// No segment has a row of this number or above (Limits::segment_rows_max): an entry that says so is
// refused before it costs memory.
inline constexpr SegmentRow kSegmentRowsEnd = 1U << 20;

// A verdict on a row, or an event of a job (then only job, event and at are set). Views live until
// the parser that made them is asked for the next entry. Times have microseconds.
struct JournalEntry {
  enum class Kind : uint8_t { kVerdict, kJobEvent };

  Kind kind = Kind::kVerdict;
  std::string_view job;
  JobEvent event = JobEvent::kPaused;
  SegmentNumber segment = 0;
  SegmentRow row = 0;
  State state = State::kDeferred;  // kDeferred or a final one
  Scope scope = Scope::kRecipient;
  bool maybe_delivered = false;
  bool dns_stale = false;  // went by an expired DNS answer
  uint16_t code = 0;       // of the reply; 0: decided without a receiver
  EnhancedCode enhanced;
  std::string_view text;     // of the reply: the receiver's octets, escape before showing
  std::string_view command;  // what the reply answers
  uint32_t attempts = 0;     // this attempt's number, from 1
  WallTime at{};
  WallTime first_at{};
  WallTime next_at{};  // deferred only
  uint64_t size = 0;
  std::string_view site;
  std::string_view exchanger;
  SocketAddress peer;  // port 0 when none was reached
  std::string_view source;
  std::string_view sender;
  TlsNote tls;
  uint64_t session = 0;
};

}  // namespace sluice
