// The sink's name server: UDP and TCP on one port, answers from Zones, a thread of its own.
//
// Ownership: `zones` outlives it; stop() or the destructor joins the thread. start() once.
// Errors: start() says which address could not be bound. Malformed queries get no answer.
// Limits: kTcpMax TCP connections, further ones are closed at once; one idle for 10 s is closed.
// BUGS: answers over TCP are written blocking with a second's limit: a client that does not read
//   delays the others by that second once.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/status.h"
#include "tools/sink/zones.h"

namespace sluice::sink {

struct DnsCounts {
  std::atomic<uint64_t> queries_udp{0};
  std::atomic<uint64_t> queries_tcp{0};
  std::atomic<uint64_t> unanswered{0};  // TIMEOUT entries, malformed queries
};

class DnsServer {
 public:
  static constexpr size_t kTcpMax = 256;

  explicit DnsServer(const Zones& zones) : zones_(zones) {}
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;
  ~DnsServer() { stop(); }

  // Binds and begins to answer. Port 0: one is chosen, see address().
  Status start(const SocketAddress& address);
  void stop();
  const SocketAddress& address() const { return address_; }
  const DnsCounts& counts() const { return counts_; }

 private:
  Status bind_both(const SocketAddress& address);
  struct Client {
    int socket = -1;
    int64_t last_used_ms = 0;
    std::string input;
  };

  void run();
  void serve_udp();
  void accept_tcp(int64_t now_ms);
  // False: the connection is over.
  bool serve_tcp(Client& client);
  std::string answer(std::string_view packet, bool tcp);

  const Zones& zones_;
  SocketAddress address_;
  int udp_ = -1;
  int tcp_ = -1;
  int wake_ = -1;
  std::atomic<bool> stopping_{false};
  std::vector<Client> clients_;
  DnsCounts counts_;
  std::thread thread_;
};

}  // namespace sluice::sink
