#include "engine/control/admin_client.h"

#include <httplib.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <exception>

#include "engine/base/strings.h"
#include "engine/control/unix_socket.h"

namespace sluice {
namespace {

constexpr size_t kAnswerBytesMax = 64UL << 20;
constexpr int kNoPort = 80;

Status nobody(const std::string& path, int error) {
  if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR) {
    return unavailable("no sluice is running on " + path +
                       ": start it with `sluice run --config F`, or name its configuration with "
                       "--config");
  }
  if (error == EACCES || error == EPERM) {
    return unavailable(path + " may not be opened by this user: become a member of its group");
  }
  return unavailable("cannot reach sluice on " + path + ": " +
                     (error == 0 ? "too many ask it at once; try again" : std::strerror(error)));
}

StatusOr<std::string> get(const std::string& path, const std::string& target) {
  httplib::Client client(path, kNoPort);
  client.set_address_family(AF_UNIX);
  client.set_connection_timeout(kAdminTimeoutSeconds);
  client.set_read_timeout(kAdminTimeoutSeconds);
  client.set_write_timeout(kAdminTimeoutSeconds);
  const httplib::Headers headers = {{"Host", "localhost"}};
  std::string body;
  const auto result =
      client.Get(target.c_str(), headers, [&body](const char* octets, size_t count) {
        if (body.size() + count > kAnswerBytesMax) return false;
        body.append(octets, count);
        return true;
      });
  if (result.error() == httplib::Error::Connection) return nobody(path, try_connect(path));
  if (!result) {
    return unavailable("sluice on " + path + " does not answer (" +
                       httplib::to_string(result.error()) + "): is it too busy, or ending?");
  }
  if (result->status == 200) return body;
  const std::string what = escaped(trim(body));
  if (result->status == 404) return missing(what);
  if (result->status == 503) return unavailable(what);
  return Status(absl::StatusCode::kInternal,
                "sluice on " + path + " answers " + std::to_string(result->status) + ": " + what);
}

}  // namespace

StatusOr<std::string> admin_get(const std::string& socket_path, const std::string& target) {
  RETURN_IF_ERROR(check_socket_path(socket_path));
  try {
    return get(socket_path, target);
  } catch (const std::exception& error) {
    return unavailable("cannot ask sluice on " + socket_path + ": " + error.what());
  }
}

}  // namespace sluice
