// Asks a running sluice over its admin socket: what the commands use.
//
// One request, one answer, blocking; any thread. Errors: Unavailable when nobody listens (the
// message says how to start a daemon or name its socket), when the socket may not be opened, or
// when the answer does not come within kTimeout; NotFound for 404; Internal for other codes.
// Limits: an answer has at most 64 MiB.
#pragma once

#include <string>

#include "engine/base/status.h"

namespace sluice {

inline constexpr int kAdminTimeoutSeconds = 10;

// The body of GET `target` ("/api/v1/jobs") from the daemon that listens on `socket_path`.
StatusOr<std::string> admin_get(const std::string& socket_path, const std::string& target);
// The same for POST, which commands; InvalidArgument for 409.
StatusOr<std::string> admin_post(const std::string& socket_path, const std::string& target);
// Percent-encodes a value for a target's query.
std::string query_value(const std::string& text);

}  // namespace sluice
