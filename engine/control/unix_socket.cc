#include "engine/control/unix_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice {

Status check_socket_path(const std::string& path) {
  if (!path.empty() && path.size() < sizeof(sockaddr_un::sun_path)) return {};
  return misconfigured("\"" + path + "\" cannot be the name of a socket: it has " +
                       std::to_string(path.size()) + " octets, 1 to " +
                       std::to_string(sizeof(sockaddr_un::sun_path) - 1) +
                       " are possible; set [admin] socket to a shorter path");
}

int try_connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return ENAMETOOLONG;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return errno;
  const int result =
      ::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // EAGAIN: its queue is full, so somebody is there.
  const int error = result == 0 || errno == EAGAIN ? 0 : errno;
  ::close(descriptor);
  return error;
}

}  // namespace sluice
