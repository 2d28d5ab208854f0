// Io over io_uring: the real world.
//
// One ring a shard: SINGLE_ISSUER and DEFER_TASKRUN (completions appear only when the owning
// thread enters the kernel, once a turn), TASKRUN_FLAG so that liburing's peek knows when to
// enter, a completion queue as large as all operations together. Another thread wakes the ring by
// MSG_RING from its own ring where it has one, else through an eventfd.
//
// Thread: made, used and destroyed on one thread; wake() alone is for all.
// Errors: create() says in one line what is missing and how to mend it: a kernel before 6.1
//   (Unavailable), io_uring forbidden by sysctl or seccomp, or no memory for the ring
//   (FailedPrecondition).
// BUGS: file metadata calls are synchronous (see Io). Sending is always a copy: zero-copy send
//   needs a second completion a message and wins only above 10 KiB (liburing#643).
#pragma once

#include <liburing.h>
#include <netinet/in.h>

#include <memory>
#include <vector>

#include "engine/ring/io.h"

namespace sluice {

struct UringOptions {
  uint32_t operations_max = 65'536;
  uint64_t seed = 0;  // of random(); 0: from the operating system
};

// The moment now, for what begins before there is an Io.
Instant monotonic_now();

// Raises the process's limit of open files to `wanted`, or as far as the hard limit allows; returns
// what may be open now.
uint64_t raise_descriptor_limit(uint64_t wanted);

class UringIo final : public Io {
 public:
  static StatusOr<std::unique_ptr<UringIo>> create(const UringOptions& options);
  // REQUIRES: nothing is in flight.
  ~UringIo() override;

  Instant now() const override { return now_; }
  WallTime wall_now() const override { return wall_now_; }
  Instant precise_now() override;
  Duration cpu_time() override;
  Random& random() override { return random_; }

  void submit_and_wait(Instant until) override;
  void wake() override;

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
  StatusOr<Handle> open_beneath(const std::string& directory, const std::string& name) override;
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

  // Counters that tell where the time goes; the owning thread's.
  struct Stats {
    uint64_t enters = 0;
    uint64_t submitted = 0;
    uint64_t completed = 0;
    uint64_t overflows = 0;
  };
  const Stats& stats() const { return stats_; }
  uint64_t enters() const override { return stats_.enters; }

 private:
  explicit UringIo(const UringOptions& options);
  Status set_up();

  // What the kernel reads of a request until it is submitted, and whose request it is.
  struct Slot {
    Operation* op = nullptr;
    uint32_t generation = 1;
    uint32_t next_free = 0;
    msghdr message{};
    sockaddr_storage address{};
  };
  Slot& slot(uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  io_uring_sqe* take_sqe();
  // Takes a slot for `op` and stamps the request with it.
  Slot& start(io_uring_sqe* sqe, Operation& op);
  void reap();
  void on_completion(uint64_t user_data, int32_t result);
  void arm_wake_poll();
  void read_clocks();

  static constexpr uint32_t kChunk = 256;
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  const uint32_t operations_max_;
  io_uring ring_{};
  bool ring_is_up_ = false;
  int wake_descriptor_ = -1;
  std::vector<std::unique_ptr<Slot[]>> chunks_;
  uint32_t slots_made_ = 0;
  uint32_t free_slot_ = kNoSlot;
  uint32_t in_flight_ = 0;
  Instant now_{};
  WallTime wall_now_{};
  Random random_;
  Stats stats_;
};

}  // namespace sluice
