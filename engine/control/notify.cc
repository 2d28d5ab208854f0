#include "engine/control/notify.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "engine/base/strings.h"

namespace sluice {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// A value stands on one line.
std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return out;
}

std::string with_status(std::string message, std::string_view status) {
  if (!status.empty()) message += "\nSTATUS=" + one_line(status);
  return message;
}

}  // namespace

Notifier::Notifier() : socket_(environment("NOTIFY_SOCKET")) {}

bool Notifier::send(const std::string& message) const {
  if (socket_.empty()) return true;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if ((socket_[0] != '/' && socket_[0] != '@') || socket_.size() >= sizeof to.sun_path) {
    return false;
  }
  std::memcpy(to.sun_path, socket_.data(), socket_.size());
  // An abstract name begins with a zero octet and has no end mark.
  const bool abstract = socket_[0] == '@';
  if (abstract) to.sun_path[0] = '\0';
  const size_t bytes = offsetof(sockaddr_un, sun_path) + socket_.size() + (abstract ? 0 : 1);

  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return false;
  const timeval patience{1, 0};
  (void)::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const ssize_t sent =
      ::sendto(descriptor, message.data(), message.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&to), static_cast<socklen_t>(bytes));
  ::close(descriptor);
  return sent == static_cast<ssize_t>(message.size());
}

bool Notifier::ready(std::string_view status) const { return send(with_status("READY=1", status)); }

bool Notifier::stopping(std::string_view status) const {
  return send(with_status("STOPPING=1", status));
}

bool Notifier::reloading(Instant now) const {
  const auto since = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  return send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(since.count()));
}

bool Notifier::watchdog() const { return send("WATCHDOG=1"); }

bool Notifier::status(std::string_view text) const { return send("STATUS=" + one_line(text)); }

std::optional<Duration> watchdog_interval() {
  const auto wanted = parse_decimal(environment("WATCHDOG_USEC"));
  if (!wanted || *wanted == 0 || *wanted > uint64_t{INT64_MAX} / 1'000) return std::nullopt;
  const std::string process = environment("WATCHDOG_PID");
  if (!process.empty() && process != std::to_string(::getpid())) return std::nullopt;
  return std::chrono::microseconds(static_cast<int64_t>(*wanted));
}

}  // namespace sluice
