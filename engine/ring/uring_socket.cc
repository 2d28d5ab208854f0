// The socket calls of UringIo that are made at once, without the ring.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/ring/uring_io.h"

namespace sluice {
namespace {

socklen_t to_sockaddr(const SocketAddress& address, sockaddr_storage& out) {
  std::memset(&out, 0, sizeof out);
  if (address.ip.family == Family::kIpv4) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    std::memcpy(&v4->sin_addr, address.ip.octets.data(), 4);
    return sizeof(sockaddr_in);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(address.port);
  std::memcpy(&v6->sin6_addr, address.ip.octets.data(), 16);
  return sizeof(sockaddr_in6);
}

// Closes unless released.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

void set_option(int socket, int level, int option, int value) {
  // Options only tune: a kernel that lacks one still works.
  (void)setsockopt(socket, level, option, &value, sizeof value);
}

Status socket_error(const std::string& what, int error) {
  const std::string text = what + ": " + std::strerror(error);
  switch (io_error_of(error)) {
    case IoError::kNoDescriptors:
      return exhausted(text + "; raise ulimit -n or lower [engine] max_connections");
    case IoError::kAddressInUse:
    case IoError::kAddressUnusable:
    case IoError::kDenied:
      return misconfigured(text);
    default:
      return unavailable(text);
  }
}

int family_of(Family family) { return family == Family::kIpv4 ? AF_INET : AF_INET6; }

StatusOr<Handle> open_bound(const SocketAddress& address, bool reuse_port, int type) {
  Descriptor socket(::socket(family_of(address.ip.family), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) return socket_error("socket", errno);
  set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (reuse_port) set_option(socket.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (address.ip.family == Family::kIpv6) set_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  sockaddr_storage raw;
  const socklen_t length = to_sockaddr(address, raw);
  if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&raw), length) != 0) {
    return socket_error("cannot listen on " + to_string(address), errno);
  }
  if (type == SOCK_STREAM && listen(socket.get(), 4'096) != 0) {
    return socket_error("cannot listen on " + to_string(address), errno);
  }
  return socket.release();
}

}  // namespace

StatusOr<Handle> UringIo::open_socket(const SocketOptions& options) {
  Descriptor socket(
      ::socket(family_of(options.family), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.get() < 0) return socket_error("socket", errno);
  set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.source) {
    // The port is chosen at connect, by the whole quadruple: 28,000 connections to each peer.
    set_option(socket.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    sockaddr_storage raw;
    const socklen_t length = to_sockaddr({*options.source, 0}, raw);
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&raw), length) != 0) {
      return socket_error("source address " + to_string(*options.source) + " cannot be bound",
                          errno);
    }
  }
  return socket.release();
}

StatusOr<Handle> UringIo::open_listener(const SocketAddress& address, bool reuse_port) {
  return open_bound(address, reuse_port, SOCK_STREAM);
}

StatusOr<Handle> UringIo::open_udp(const SocketAddress& address, bool reuse_port) {
  return open_bound(address, reuse_port, SOCK_DGRAM);
}

void UringIo::connect(Operation& op, Handle socket, const SocketAddress& to) {
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_connect(sqe, socket, nullptr, 0);
  Slot& taken = start(sqe, op);
  sqe->off = to_sockaddr(to, taken.address);
  sqe->addr = reinterpret_cast<uint64_t>(&taken.address);
}

void UringIo::accept(Operation& op, Handle listener) {
  io_uring_sqe* sqe = take_sqe();
  io_uring_prep_accept(sqe, listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  start(sqe, op);
}

void UringIo::close(Handle handle) { ::close(handle); }

}  // namespace sluice
