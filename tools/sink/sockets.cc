#include "tools/sink/sockets.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::sink {

socklen_t to_kernel(const SocketAddress& address, sockaddr_storage& out) {
  std::memset(&out, 0, sizeof out);
  if (address.ip.family == Family::kIpv4) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    std::memcpy(&v4.sin_addr, address.ip.octets.data(), 4);
    std::memcpy(&out, &v4, sizeof v4);
    return sizeof v4;
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(address.port);
  std::memcpy(&v6.sin6_addr, address.ip.octets.data(), 16);
  std::memcpy(&out, &v6, sizeof v6);
  return sizeof v6;
}

SocketAddress from_kernel(const sockaddr_storage& address) {
  SocketAddress out;
  if (address.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    out.port = ntohs(v4.sin_port);
    std::memcpy(out.ip.octets.data(), &v4.sin_addr, 4);
  } else {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    out.ip.family = Family::kIpv6;
    out.port = ntohs(v6.sin6_port);
    std::memcpy(out.ip.octets.data(), &v6.sin6_addr, 16);
  }
  return out;
}

StatusOr<int> open_bound(int type, SocketAddress& address, bool reuse_port) {
  const int family = address.ip.family == Family::kIpv4 ? AF_INET : AF_INET6;
  const int fd = ::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto failed = [&address, fd](const char* what) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return unavailable(
        std::string("cannot ") + what + " " + to_string(address) + ": " + std::strerror(error) +
        (error == EADDRINUSE ? "; another program listens there, choose another port" : ""));
  };
  if (fd < 0) return failed("make a socket for");
  const int on = 1;
  bool fine = ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
  if (reuse_port) fine = fine && ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0;
  if (family == AF_INET6) {
    fine = fine && ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
  }
  if (type == SOCK_STREAM) {
    fine = fine && ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
  }
  if (!fine) return failed("set socket options for");
  sockaddr_storage storage;
  socklen_t length = to_kernel(address, storage);
  const void* generic = &storage;
  if (::bind(fd, static_cast<const sockaddr*>(generic), length) != 0) return failed("bind");
  if (type == SOCK_STREAM && ::listen(fd, 4'096) != 0) return failed("listen on");
  void* target = &storage;
  length = sizeof storage;
  if (::getsockname(fd, static_cast<sockaddr*>(target), &length) != 0) return failed("read");
  address = from_kernel(storage);
  return fd;
}

uint64_t raise_open_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1'024;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

}  // namespace sluice::sink
