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

StatusOr<std::string> request(const std::string& path, const std::string& target, bool post) {
  httplib::Client client(path, kNoPort);
  client.set_address_family(AF_UNIX);
  client.set_connection_timeout(kAdminTimeoutSeconds);
  client.set_read_timeout(kAdminTimeoutSeconds);
  client.set_write_timeout(kAdminTimeoutSeconds);
  const httplib::Headers headers = {{"Host", "localhost"}};
  std::string body;
  const auto take = [&body](const char* octets, size_t count) {
    if (body.size() + count > kAnswerBytesMax) return false;
    body.append(octets, count);
    return true;
  };
  const auto result = post ? client.Post(target.c_str(), headers, std::string(), "text/plain")
                           : client.Get(target.c_str(), headers, take);
  if (post && result) body = result->body;
  if (result.error() == httplib::Error::Connection) return nobody(path, try_connect(path));
  if (!result) {
    return unavailable("sluice on " + path + " does not answer (" +
                       httplib::to_string(result.error()) + "): is it too busy, or ending?");
  }
  if (result->status == 200) return body;
  const std::string what = escaped(trim(body));
  if (result->status == 404) return missing(what);
  if (result->status == 409) return invalid(what);
  if (result->status == 503) return unavailable(what);
  return Status(absl::StatusCode::kInternal,
                "sluice on " + path + " answers " + std::to_string(result->status) + ": " + what);
}

}  // namespace

namespace {

StatusOr<std::string> ask(const std::string& socket_path, const std::string& target, bool post) {
  RETURN_IF_ERROR(check_socket_path(socket_path));
  try {
    return request(socket_path, target, post);
  } catch (const std::exception& error) {
    return unavailable("cannot ask sluice on " + socket_path + ": " + error.what());
  }
}

}  // namespace

StatusOr<std::string> admin_get(const std::string& socket_path, const std::string& target) {
  return ask(socket_path, target, false);
}

StatusOr<std::string> admin_post(const std::string& socket_path, const std::string& target) {
  return ask(socket_path, target, true);
}

std::string query_value(const std::string& text) {
  return httplib::detail::encode_query_param(text);
}

}  // namespace sluice
