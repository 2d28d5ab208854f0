// A connection's two layers, one above the other: SMTP, and TLS below it after STARTTLS.
//
// PURPOSE. Octets of the socket in, octets for the socket out, as Session does it in clear; draws
//   the faults of the handshake.
// OWNERSHIP. The context, and the TlsServer in it, outlive this.
// THREAD. One worker's.
// ERRORS. A handshake or a session that fails is counted, answered with an alert, and closed.
// LIMITS. A connection in clear has no TLS state.
// BUGS. A second handshake on one connection is not taken; nor is RFC 3207's return to clear text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tools/sink/session.h"
#include "tools/sink/tls_session.h"

namespace sluice::sink {

class Conversation {
 public:
  Conversation(SessionContext& context, bool offers_tls);

  // As Session's.
  Next greet(std::string& out) { return session_.greet(out); }
  Next feed(std::string_view octets, std::string& out);
  // The client has ended the connection, in order or not: for the counts.
  void client_gone();

 private:
  Next feed_tls(std::string_view octets, std::string& out);
  Next end_tls(Next next, std::string& out);
  void opened();
  void failed(const std::string& reason);
  // What a fault puts in the place of the first flight, which stands in `out` behind `from`.
  Next strike(const Fault& fault, size_t from, std::string& out);

  SessionContext* context_;
  Session session_;
  std::optional<TlsSession> tls_;
  bool answered_ = false;   // the first flight was due
  bool announced_ = false;  // the session has opened
};

}  // namespace sluice::sink
