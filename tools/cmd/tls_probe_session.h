// One session of `sluice tls-probe`: what mail's own would do, without mail.
//
// PURPOSE. Dials, says EHLO, STARTTLS and EHLO within TLS as the plan for mail asks, and QUIT. The
// handshake is the one that mail would make, with all that it demands; the certificate is looked at
// within it (TlsDemand::peer), so that it is known also when the demand is not met, and one session
// tells everything. Where mail would go on in clear after a failed handshake, so does the probe, on
// a second connection. What a running sender has learnt of the exchanger does not count.
// OWNERSHIP. Loop, factory and `out` outlive the task; the target is the task's own.
// THREAD. The loop's.
// ERRORS. None: what went wrong is in the result, in words, untrusted where the peer's.
// LIMITS. The policy's time-outs; a greeting is kept up to kGreetingMax octets.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/net.h"
#include "engine/connect/tls.h"
#include "engine/model/policy.h"
#include "engine/model/route.h"
#include "engine/model/tls.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"
#include "engine/shard/tls_terms.h"

namespace sluice::tools {

inline constexpr size_t kGreetingMax = 512;

struct ProbeTarget {
  Exchanger exchanger;
  SocketAddress to;
  std::optional<IpAddress> from;  // nothing: the system chooses
  std::string hello;
  SmtpTimeouts timeouts;
  // What holds for mail: the strictest of rule and [tls], and the terms in force.
  TlsPolicy policy = TlsPolicy::kOpportunistic;
  LaneTerms terms;
};
// For a connection to its exchanger of which nothing is remembered.
TlsPlan plan_of(const ProbeTarget& target);

struct ProbedSession {
  bool connected = false;
  std::string greeting;  // its first line
  bool offered = false;  // STARTTLS
  bool refused = false;  // and yet refused, though mail might have gone on in clear
  std::shared_ptr<TlsPeer> peer = std::make_shared<TlsPeer>();
  std::optional<TlsFailure> broken;  // of the handshake
  std::optional<TlsFacts> facts;     // encrypted
  bool ready = false;                // mail would be taken in
  std::string failure;               // unless ready: why, in words
};
Task<> probe_session(Loop& loop, TlsFactory& factory, ProbeTarget target, ProbedSession& out);

}  // namespace sluice::tools
