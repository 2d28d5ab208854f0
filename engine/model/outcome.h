// What became of one attempt at one recipient.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/net.h"
#include "engine/base/time.h"
#include "engine/model/reply.h"
#include "engine/model/state.h"
#include "engine/model/tls.h"

namespace sluice {

// How far a failure reaches: what else it says something about.
enum class Scope : uint8_t {
  kRecipient,
  kMessage,     // every recipient of that message
  kConnection,  // this connection only
  kExchanger,   // this host: the next exchanger may do better
  kSite,        // every exchanger of the site
  kSource,      // speaks of us: this source at this site
};

// The verdict of a dialog, of the resolver or of the lifetime on one recipient.
struct Verdict {
  // kDelivered, kBounced, kDeferred, kExpired or kCancelled; kWaiting means "not attempted": the
  // row goes back to where it was and no attempt is burnt.
  State state = State::kWaiting;
  Scope scope = Scope::kRecipient;
  Reply reply;               // code 0 when the outcome was decided without a receiver
  const char* command = "";  // what the reply answers: "MAIL", "RCPT", "DATA", "." ...; a literal
  bool maybe_delivered = false;  // all content was sent and no final reply was read
};

// A verdict with what else the record keeps of the attempt.
struct Attempt {
  uint32_t number = 1;  // from 1
  WallTime at{};        // when the verdict was reached
  WallTime first_at{};  // when the row's first attempt began
  WallTime next_at{};   // deferred only: when the next attempt is due
  uint64_t size = 0;    // octets of the message, 0 when it was not composed
  std::string_view site;
  std::string_view exchanger;  // host name, empty when none was reached
  SocketAddress peer;          // port 0 when none was reached
  std::string_view source;     // name of the source
  std::string_view sender;     // envelope sender
  uint64_t session = 0;        // names the connection within this process
  TlsNote tls;                 // of the connection
  bool dns_stale = false;      // went by an expired DNS answer (RFC 8767)
};

}  // namespace sluice
