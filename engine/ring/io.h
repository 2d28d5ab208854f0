// The door to the outside of one shard: time, chance, sockets, files.
//
// Implemented twice: UringIo (uring_io.h) over io_uring, and SimIo (tests/sim) with virtual time,
// network and disk. Nobody else reads a clock, a socket, a file or randomness.
//
// Thread: an Io belongs to the thread that made it; wake() alone may be called from any.
// Ownership: handles are plain numbers owned by whoever opened them; close() gives them back.
//   Operation objects and every buffer, iovec array and address given with one stay alive and
//   unchanged until it completes. An operation completes exactly once, also when cancelled.
// Errors: an operation's IoResult; synchronous calls return absl::Status with path and mend.
// Limits: at most Limits::operations_per_ring in flight; more is a CHECK (admission prevents it).
// BUGS: open, rename, unlink, stat and listing are synchronous: a hanging network file system
//   under the spool stalls the shard.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/random.h"
#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ring/operation.h"

namespace sluice {

using Handle = int32_t;  // a file descriptor, or the simulation's number
inline constexpr Handle kNoHandle = -1;

struct SocketOptions {
  Family family = Family::kIpv4;
  std::optional<IpAddress> source;  // bound before connecting; port chosen by the kernel
};

struct FileStat {
  uint64_t bytes = 0;
  bool is_directory = false;
  bool is_file = false;     // a regular one: no directory, link, pipe or device
  bool is_symlink = false;  // of the name itself, not followed
  WallTime modified{};
  uint32_t mode = 0;  // permission bits
  uint32_t owner = 0;
};

enum class OpenMode : uint8_t {
  kRead,
  kCreate,     // for writing; must not exist
  kAppend,     // for writing at given offsets; made when missing
  kDirectory,  // to sync it
};

class Io {
 public:
  virtual ~Io() = default;

  // --- time and chance -------------------------------------------------------------------------
  // The moment at which the current turn began: constant within a turn.
  virtual Instant now() const = 0;
  virtual WallTime wall_now() const = 0;
  // Reads the clock anew; for budgets, not for decisions about mail.
  virtual Instant precise_now() = 0;
  // What this thread has used of its core; zero where nobody measures it.
  virtual Duration cpu_time() { return Duration::zero(); }
  virtual Random& random() = 0;

  // --- the loop --------------------------------------------------------------------------------
  // Submits what was started, waits until something completes, `until` passes or wake() is called,
  // then completes operations: marks them done and notifies their signals. Runs no coroutine.
  virtual void submit_and_wait(Instant until) = 0;
  // Ends the current or the next submit_and_wait() at once. Any thread.
  virtual void wake() = 0;
  // Calls into the kernel for the ring's sake so far.
  virtual uint64_t enters() const { return 0; }

  // --- sockets ---------------------------------------------------------------------------------
  // TCP, non-blocking, TCP_NODELAY, bound to the source. Fails with kAddressUnusable mapped to
  // FailedPrecondition, out of descriptors to ResourceExhausted.
  virtual StatusOr<Handle> open_socket(const SocketOptions& options) = 0;
  // A listening TCP socket (SO_REUSEPORT when asked), for receivers.
  virtual StatusOr<Handle> open_listener(const SocketAddress& address, bool reuse_port) = 0;
  // A bound UDP socket, for DNS servers of tests and demos.
  virtual StatusOr<Handle> open_udp(const SocketAddress& address, bool reuse_port) = 0;
  virtual void connect(Operation& op, Handle socket, const SocketAddress& to) = 0;
  virtual void accept(Operation& op, Handle listener) = 0;
  // Gathers; may send less than all. At most 1,024 pieces.
  virtual void send(Operation& op, Handle socket, std::span<const iovec> pieces) = 0;
  virtual void receive(Operation& op, Handle socket, std::span<char> buffer) = 0;
  // Completes when a descriptor of another library (c-ares) is readable or writable
  // (POLLIN/POLLOUT bits in and out).
  virtual void poll(Operation& op, int descriptor, uint32_t events) = 0;
  // Asks for an end of `op`; it still completes, with kCancelled or with what it had done.
  virtual void cancel(Operation& op) = 0;
  // REQUIRES: nothing is in flight on the handle.
  virtual void close(Handle handle) = 0;

  // --- files -----------------------------------------------------------------------------------
  virtual StatusOr<Handle> open_file(const std::string& path, OpenMode mode) = 0;
  // `name`, which may have folders, in `directory`, for reading: no symbolic link below `directory`
  // is followed, and what is not a regular file is refused.
  virtual StatusOr<Handle> open_beneath(const std::string& directory, const std::string& name) {
    return open_file(directory + "/" + name, OpenMode::kRead);
  }
  virtual void read(Operation& op, Handle file, std::span<char> buffer, uint64_t offset) = 0;
  virtual void write(Operation& op, Handle file, std::span<const iovec> pieces,
                     uint64_t offset) = 0;
  // fdatasync; on a directory, fsync.
  virtual void sync(Operation& op, Handle file) = 0;

  virtual StatusOr<FileStat> stat(const std::string& path) = 0;
  // Names in a directory, without "." and "..", sorted.
  virtual StatusOr<std::vector<std::string>> list(const std::string& path) = 0;
  virtual Status make_directory(const std::string& path, uint32_t mode) = 0;  // OK when it exists
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove_file(const std::string& path) = 0;
  // Cuts a file back to its first `bytes` octets. Durable with the file's next sync.
  virtual Status truncate(const std::string& path, uint64_t bytes) = 0;
  virtual Status remove_directory(const std::string& path) = 0;
  // Octets that an ordinary user may still write to the file system of `path`.
  virtual StatusOr<uint64_t> free_bytes(const std::string& path) = 0;

 protected:
  // For implementations: the life of an operation.
  static void begin(Operation& op, uint64_t id);
  static uint64_t id_of(const Operation& op) { return op.id_; }
  static void complete(Operation& op, IoResult result);
};

}  // namespace sluice
