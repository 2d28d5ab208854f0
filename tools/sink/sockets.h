// Addresses as the kernel wants them, and listening sockets. Any thread.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "engine/base/net.h"
#include "engine/base/status.h"

namespace sluice::sink {

// Returns the length that belongs with `out`.
socklen_t to_kernel(const SocketAddress& address, sockaddr_storage& out);
SocketAddress from_kernel(const sockaddr_storage& address);

// A bound socket of `type` (SOCK_STREAM: also listening, with TCP_NODELAY for what it accepts),
// non-blocking, SO_REUSEADDR, SO_REUSEPORT when asked. With port 0 `address` gets the chosen one.
StatusOr<int> open_bound(int type, SocketAddress& address, bool reuse_port);

// Raises the limit of open files to its hard limit; returns what it is now.
uint64_t raise_open_files();

}  // namespace sluice::sink
