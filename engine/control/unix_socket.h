// Small things about unix sockets that server and client share. Any thread.
#pragma once

#include <string>

#include "engine/base/status.h"

namespace sluice {

// FailedPrecondition when `path` is longer than a socket's name may be (unix(7): 107 octets).
Status check_socket_path(const std::string& path);

// 0 when somebody accepts connections there, else the errno of connect(2).
int try_connect(const std::string& path);

}  // namespace sluice
