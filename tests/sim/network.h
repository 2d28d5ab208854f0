// The network between shards and receivers: listeners, connections, and what the weather does.
//
// A connection (Line) is two byte streams. What one end writes arrives at the other after a delay,
//   cut into pieces at random places, in order; an end of stream comes after all octets; a reset
//   overtakes nothing either, and drops what comes behind it. A window bounds what is under way or
//   unread. A peer that closes with octets unread, or is written to after it closed, resets.
// Weather is set per address of the listening side and read when a connection begins.
// OWNERSHIP. A Line is shared by its ends and the events under way; watchers and servers outlive
//   their being registered: unwatch and unlisten first. THREAD. One.
// BUGS. No retransmission, no congestion: a line is fast or it is silent.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/time.h"
#include "engine/ring/operation.h"
#include "tests/sim/world.h"

namespace sluice::sim {

// How an address can be reached, and how its lines behave.
struct Weather {
  enum class Reach : uint8_t { kOpen, kRefused, kUnreachable, kSilent };
  Reach reach = Reach::kOpen;
  Duration delay_min = std::chrono::microseconds(200);  // one way
  Duration delay_max = std::chrono::milliseconds(3);
  size_t piece_max = 0;        // pieces have at most so many octets, chosen at random; 0: not cut
  size_t window = 64UL << 10;  // octets under way and unread, each way
  uint64_t resets_one_in = 0;  // of pieces that arrive: a reset comes instead
};

class Line;
using LinePtr = std::shared_ptr<Line>;

// Told when something has changed at an end: octets came, the stream ended or was reset, or there
// is room to write again.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_change(Line& line, int side) = 0;
};

class Line {
 public:
  // Side 0 dialled, side 1 listened.
  struct End {
    std::string inbox;   // arrived, not taken
    bool ended = false;  // nothing follows the inbox
    bool reset = false;
    bool closed = false;    // by its owner
    bool finished = false;  // its owner writes no more
    size_t under_way = 0;   // octets towards it
    Instant last_arrival{};
    Watcher* watcher = nullptr;
  };
  uint64_t number = 0;
  SocketAddress from;
  SocketAddress to;
  Weather weather;
  bool counted = false;  // as open
  std::array<End, 2> ends;
};

// Accepts connections.
class Server {
 public:
  virtual ~Server() = default;
  // `side` of the line is the server's.
  virtual void on_connection(const LinePtr& line) = 0;
};

class Network {
 public:
  explicit Network(World& world) : world_(world) {}
  ~Network() { world_.forget(this); }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  void set_weather(const IpAddress& address, const Weather& weather) {
    weather_[address] = weather;
  }
  void set_default_weather(const Weather& weather) { default_weather_ = weather; }
  Weather weather_of(const IpAddress& address) const;

  // False when the address is taken.
  bool listen(const SocketAddress& address, Server& server);
  void unlisten(const SocketAddress& address) { servers_.erase(address); }

  // Tells `done` after a while; a silent address after the kernel's own time-out. `owner` may
  // forget it.
  using Connected = std::function<void(IoError, LinePtr)>;
  void connect(const SocketAddress& from, const SocketAddress& to, const void* owner,
               Connected done);

  // Octets taken of what is written: fewer when the window is small, 0 when it is full.
  size_t write(const LinePtr& line, int side, std::string_view octets);
  // Up to `most` octets of what has arrived.
  std::string take(const LinePtr& line, int side, size_t most);
  // The end writes no more (half-close).
  void finish(const LinePtr& line, int side);
  // Tears the line: the other side sees a reset.
  void reset(const LinePtr& line, int side);
  // The owner is done with its end.
  void close(const LinePtr& line, int side);

  uint64_t lines_made() const { return lines_; }
  // Connections that stand, until whoever dialled has closed its end.
  uint32_t lines_open(const IpAddress& from, const IpAddress& to) const;
  uint32_t lines_open() const;

  // Told of each connection that is begun, whatever becomes of it.
  std::function<void(const Line&)> dialled;
  // Told of each connection that stands, before the server is.
  std::function<void(const Line&)> opened;
  uint32_t ports_max = 28'000;  // connections from one address; beyond it: kAddressUnusable

 private:
  Duration delay_of(const Line& line);
  // Plans an arrival at the other side, behind all earlier ones.
  void send_event(const LinePtr& line, int to_side, World::Action action);
  void arrive(const LinePtr& line, int side, const std::string& piece);
  void tell(const LinePtr& line, int side);

  World& world_;
  Weather default_weather_;
  std::map<IpAddress, Weather> weather_;
  std::map<SocketAddress, Server*> servers_;
  std::map<std::pair<IpAddress, IpAddress>, uint32_t> open_;
  uint64_t lines_ = 0;
};

}  // namespace sluice::sim
