// The door to TLS: octets in, octets out, no socket.
//
// PURPOSE. A TlsEngine is one session's protocol state: it takes what the peer sent, gives what the
// peer is to get, and turns plain octets into records and back. The channel (channel.h) carries
// them. Implemented twice: OpenSSL (tls_openssl.h), and the simulation's handshake (tests/sim).
// HOW TO DRIVE IT. Until failed() or over: send outgoing() and say sent(); receive() what comes;
// read() until it gives nothing; write() once open().
// OWNERSHIP. The factory outlives its engines. What write() was given may go when it returns.
// THREAD. One shard's.
// ERRORS. failure(), once failed(): never a status. After it nothing is read or written, but an
// alert may still be in outgoing().
// LIMITS. outgoing() holds at most kOutgoingMax octets before write() takes no more; receive()
// takes at most what is not read yet plus one record.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "engine/base/time.h"
#include "engine/model/tls.h"

namespace sluice {

class TlsEngine {
 public:
  // Records of 16 KiB that are made ahead of what the socket has taken.
  static constexpr size_t kOutgoingMax = 256UL << 10;

  virtual ~TlsEngine() = default;

  // What came from the peer, cut anywhere; returns how much of it was taken. Less than all only
  // while plain octets wait for read(): the rest is given again behind it.
  virtual size_t receive(std::string_view octets) = 0;
  // The peer has ended its side of the connection: without a close_notify before it, a truncation.
  virtual void receive_end() = 0;

  // The handshake is over and everything that was demanded is proved.
  virtual bool open() const = 0;
  // The peer has ended the session in order (close_notify); what it sent before was read.
  virtual bool ended() const = 0;
  virtual bool failed() const = 0;
  // REQUIRES: failed().
  virtual const TlsFailure& failure() const = 0;
  // REQUIRES: open().
  virtual const TlsFacts& facts() const = 0;

  // Plain octets that came, in order; 0: none now.
  virtual size_t read(std::span<char> out) = 0;
  // Takes plain octets in order, as many as the bound on outgoing() allows; returns how many.
  // REQUIRES: open().
  virtual size_t write(std::span<const iovec> pieces) = 0;
  // Ends our side in order: a close_notify is in outgoing(). REQUIRES: open().
  virtual void end() = 0;

  // All that the peer is to get next. Its octets lie still until sent(), over receive(), read() and
  // write() too, which only add behind them (tls_output.h does it): the kernel may be reading them.
  virtual std::string_view outgoing() const = 0;
  virtual void sent(size_t octets) = 0;

  // Between messages, when long nothing is expected: gives buffers back that are made again by
  // need. Octets that wait are kept.
  virtual void rest() = 0;
};

class TlsFactory {
 public:
  virtual ~TlsFactory() = default;
  // A client's engine, whose first flight is in outgoing(). `exchanger`: whose tickets may be used,
  // its host name and port, "mx.example.com:25". `now`: for the lifetime of tickets.
  virtual std::unique_ptr<TlsEngine> connect(const TlsDemand& demand, std::string_view exchanger,
                                             Instant now) = 0;
};

}  // namespace sluice
