// The receiver's side of TLS: octets in, octets out, no socket.
//
// PURPOSE. TlsServer is what all sessions of a worker share; a TlsSession is one connection's. To
//   drive one: give() what came, then read() until it gives nothing, then look at the state.
//   Whatever is to be sent, handshake, tickets and alerts among it, is appended to `out`.
// OWNERSHIP. The server outlives its sessions. What give() was given stays until read() has given
//   nothing; what read() gives lives until the next call of any session of the server.
// THREAD. One worker's.
// ERRORS. TlsServer::make() says what is wrong with certificate, key or ciphers. A session's fault
//   is failed() and failure(); an alert may be in `out`.
// LIMITS. A session that is open costs about 45 KiB: its record buffers are kept, not made anew for
//   each record.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "tools/sink/options.h"
#include "tools/sink/tls_identity.h"

struct bio_st;
struct ssl_ctx_st;
struct ssl_st;

namespace sluice::sink {

class TlsServer {
 public:
  static StatusOr<std::unique_ptr<TlsServer>> make(const TlsOptions& options,
                                                   const TlsIdentity& identity);
  TlsServer(const TlsServer&) = delete;
  TlsServer& operator=(const TlsServer&) = delete;
  ~TlsServer();

 private:
  friend class TlsSession;
  static constexpr size_t kPlainBytes = 64UL << 10;

  TlsServer();
  Status load(const TlsIdentity& identity, const TlsOptions& options);

  ssl_ctx_st* context_;
  std::unique_ptr<char[]> plain_;
};

class TlsSession {
 public:
  explicit TlsSession(TlsServer& server);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  // What came from the client. REQUIRES: read() has given nothing since the last give().
  void give(std::string_view octets) { input_ = octets; }
  // The next plain octets, as many records together as there are; empty: none now. Goes through the
  // handshake on the way.
  std::string_view read(std::string& out);
  // REQUIRES: open().
  void write(std::string_view plain, std::string& out);
  // Ends our side in order (close_notify). REQUIRES: open().
  void end(std::string& out);

  bool open() const { return state_ == State::kOpen; }
  // The client has ended its side in order.
  bool ended() const { return state_ == State::kEnded; }
  bool failed() const { return state_ == State::kFailed; }
  // In OpenSSL's words. REQUIRES: failed().
  const std::string& failure() const { return failure_; }

  // Of a session that is or was open. The views live as long as the program.
  std::string_view protocol() const;
  std::string_view cipher() const;
  bool resumed() const;
  // What the client asked for (SNI); empty: nothing.
  std::string server_name() const;

 private:
  enum class State : uint8_t { kHandshake, kOpen, kEnded, kFailed };
  struct Pipe;

  void take_in(int result);

  TlsServer& server_;
  ssl_st* ssl_;
  std::string_view input_;
  std::string* out_ = nullptr;
  State state_ = State::kHandshake;
  std::string failure_;
};

}  // namespace sluice::sink
