// One name server, asked through c-ares on the shard's loop.
//
// PURPOSE. Takes a packet there and brings the answer back, over UDP, and over TCP where it was
//   truncated. c-ares sends, sends again and matches; its sockets are watched by poll operations of
//   Io; it never blocks. Who is asked when, and how often, is decided by the caller.
// OWNERSHIP. Loop and Gate outlive it; what was asked lives until it has landed. close() must have
//   been called, and the gate's close awaited, before it dies.
// THREAD. The shard's. c-ares is not shared with other threads.
// TRANSPORT. A server on loopback is asked over UDP, any other over TCP: c-ares keeps one UDP port,
//   which could be spoofed.
// TIME-OUTS. What is not answered within `timeout`, doubled each time, is sent again, `tries` times
//   in all and under the same id; then it lands as kTimeout. Looked at by tick(). The clock is
//   c-ares's own.
// LIMITS. 65,536 questions at a time; the caller holds far fewer.
// REQUIRES. The program ignores SIGPIPE: c-ares writes to TCP sockets without MSG_NOSIGNAL.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/status.h"
#include "engine/resolve/lookup.h"
#include "engine/ring/gate.h"
#include "engine/ring/loop.h"

namespace sluice {

// What c-ares finds in /etc/resolv.conf; at least one.
StatusOr<std::vector<SocketAddress>> system_name_servers();

class CaresServer {
  struct Channel;

 public:
  // A question under way.
  class Asked {
   public:
    Asked() = default;
    Asked(const Asked&) = delete;
    Asked& operator=(const Asked&) = delete;
    virtual ~Asked() = default;
    // Its end, once: the answer as it came, or why there is none. The view lives until this
    // returns. May destroy this; asks no server.
    virtual void landed(LookupAnswer::Failure failure, std::string_view packet) = 0;

   private:
    friend class CaresServer;
    Channel* channel_ = nullptr;
    uint16_t id_ = 0;
  };

  CaresServer(Loop& loop, Gate& gate, const SocketAddress& address, Duration timeout, int tries);
  ~CaresServer();
  CaresServer(const CaresServer&) = delete;
  CaresServer& operator=(const CaresServer&) = delete;

  // Once, before the first question. Unavailable when c-ares cannot be set up.
  Status open();
  // `packet` is a query whose OPT record comes last; its id is set here. `asked` may land before
  // this returns.
  void ask(std::string& packet, Asked& asked);
  // To be called every 100 ms or so while outstanding() is not 0.
  void tick();
  uint32_t outstanding() const { return outstanding_; }
  // All that is under way lands as kClosed; close() ends the server's use as well.
  void cancel();
  void close();

  // "127.0.0.1:53"
  const std::string& text() const { return text_; }

 private:
  struct Watch;

  static void on_answer(void* argument, int status, int timeouts, unsigned char* bytes, int length);
  static void on_socket_state(void* argument, int socket, int readable, int writable);
  static void destroy_handle(Channel& channel);
  static void process(Channel& channel, const Watch& watch, uint32_t ready);
  void set_interest(Channel& channel, int socket, uint32_t wanted);
  Task<> watch_socket(Channel& channel, Watch& watch);
  void drop_dry_channels();
  void renew_when_edns_is_off();

  Loop& loop_;
  Gate& gate_;  // the watches run in it
  const std::string text_;
  const bool over_tcp_;
  const Duration timeout_;
  const int tries_;
  Channel* current_ = nullptr;
  std::vector<std::unique_ptr<Channel>> channels_;  // current, and older ones that run dry
  uint32_t outstanding_ = 0;
  Instant renewed_{};
};

}  // namespace sluice
