// The second implementation of the door Io: the World's time, Network and Disk.
//
// submit_and_wait() never waits: it completes what has happened, and returns. Whoever drives the
//   shards asks ready() whether there is something to complete, and lets time pass when no shard
//   can run. wake() needs no effect: the driver looks at the mailboxes.
// OWNERSHIP. World, Network and Disk outlive it. THREAD. One, for all of them.
// ERRORS. As UringIo: the same errors for the same causes, with the path in words.
// A power cut: sever() cuts the Io off from the world: lines are reset, what was under way on the
//   disk ends, and from then on there is nobody to reach and a clock of its own, so that the shard
//   can be taken apart by its own drain without any effect.
// BUGS. No datagrams, and no descriptor of another library ever becomes ready.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/ring/io.h"
#include "tests/sim/disk.h"
#include "tests/sim/network.h"
#include "tests/sim/world.h"

namespace sluice::sim {

// How long calls of the disk take.
struct DiskPace {
  Duration quick_min = std::chrono::microseconds(5);  // reads and writes
  Duration quick_max = std::chrono::microseconds(200);
  Duration sync_min = std::chrono::microseconds(100);  // at most: Disk::sync_max
};

class SimIo final : public Io, private Watcher {
 public:
  SimIo(World& world, Network& network, std::shared_ptr<Disk> disk, uint64_t seed);
  // REQUIRES: nothing is in flight.
  ~SimIo() override;

  DiskPace pace;
  Duration turn_cost{};  // what a turn is said to have used of the core; no time passes by it
  uint32_t descriptors_max = 100'000;
  size_t send_max =
      0;  // a send takes at most so many octets, chosen at random; 0: all there is room for

  // Something is there to be completed.
  bool ready() const { return !completed_.empty(); }
  bool in_flight() const { return !pending_.empty() || !completed_.empty(); }
  // See above. `nowhere` and `limbo` outlive the Io.
  void sever(World& limbo, Network& nowhere);

  Instant now() const override { return now_; }
  WallTime wall_now() const override { return world_->wall_now(); }
  Instant precise_now() override;
  Duration cpu_time() override { return cpu_time_; }
  Random& random() override { return random_; }
  void submit_and_wait(Instant until) override;
  void wake() override {}

  StatusOr<Handle> open_socket(const SocketOptions& options) override;
  StatusOr<Handle> open_listener(const SocketAddress& address, bool reuse_port) override;
  StatusOr<Handle> open_udp(const SocketAddress& address, bool reuse_port) override;
  void connect(Operation& op, Handle socket, const SocketAddress& to) override;
  void accept(Operation& op, Handle listener) override;
  void send(Operation& op, Handle socket, std::span<const iovec> pieces) override;
  void receive(Operation& op, Handle socket, std::span<char> buffer) override;
  void poll(Operation& op, int descriptor, uint32_t events) override;
  void cancel(Operation& op) override;
  void close(Handle handle) override;

  StatusOr<Handle> open_file(const std::string& path, OpenMode mode) override;
  void read(Operation& op, Handle file, std::span<char> buffer, uint64_t offset) override;
  void write(Operation& op, Handle file, std::span<const iovec> pieces, uint64_t offset) override;
  void sync(Operation& op, Handle file) override;
  StatusOr<FileStat> stat(const std::string& path) override;
  StatusOr<std::vector<std::string>> list(const std::string& path) override;
  Status make_directory(const std::string& path, uint32_t mode) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove_file(const std::string& path) override;
  Status truncate(const std::string& path, uint64_t bytes) override;
  Status remove_directory(const std::string& path) override;
  StatusOr<uint64_t> free_bytes(const std::string& path) override;

 private:
  // What waits behind a listening handle.
  struct Listener final : Server {
    explicit Listener(SimIo& owner) : io(owner) {}
    void on_connection(const LinePtr& line) override;
    SimIo& io;
    SocketAddress address;
    std::vector<LinePtr> backlog;
    std::vector<uint64_t> accepts;
  };
  struct Descriptor {
    std::optional<IpAddress> source;  // a socket's
    LinePtr line;
    int side = 0;
    uint64_t receiving = 0;  // operations by their number
    uint64_t sending = 0;
    uint64_t in_flight = 0;
    std::unique_ptr<Listener> listener;
    std::string path;  // a file's
    NodePtr node;
  };
  struct Pending {
    Operation* op = nullptr;
    Handle handle = kNoHandle;
    std::span<char> buffer;
    std::span<const iovec> pieces;
    std::function<IoResult()> finish;  // of a file: its effect
  };

  void on_change(Line& line, int side) override;
  Handle add(Descriptor descriptor);
  uint64_t start(Operation& op, Handle handle);
  void end(uint64_t id, IoResult result);
  void start_file(Operation& op, Handle file, Duration delay, std::function<IoResult()> finish);
  void try_receive(Descriptor& socket);
  void try_send(Descriptor& socket);
  void adopt(Descriptor& socket, const LinePtr& line, int side);
  void give_backlog(Listener& listener);

  World* world_;
  Network* network_;
  const std::shared_ptr<Disk> disk_;
  Random random_;
  Instant now_;
  Duration worked_{};  // pretended within the turn, for precise_now()
  Duration cpu_time_{};
  Handle last_handle_ = 2;
  uint64_t last_id_ = 0;
  std::map<Handle, Descriptor> descriptors_;
  std::map<uint64_t, Handle> by_line_;
  std::map<uint64_t, Pending> pending_;
  std::vector<std::pair<Operation*, IoResult>> completed_;
};

}  // namespace sluice::sim
