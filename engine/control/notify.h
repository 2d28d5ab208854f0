// Tells the service manager how we are: the sd_notify protocol, by hand.
//
// Datagrams of NAME=VALUE lines to the socket that $NOTIFY_SOCKET names: a path, or "@name" for an
// abstract one. Without that variable every call does nothing and succeeds.
// Thread: any; each call is one datagram. Errors: false when the datagram could not be sent; mail
// goes out all the same. Limits: a call waits at most 1 s when the manager does not read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/time.h"

namespace sluice {

class Notifier {
 public:
  // `socket` as $NOTIFY_SOCKET has it; empty: nobody to tell.
  explicit Notifier(std::string socket) : socket_(std::move(socket)) {}
  // From the environment.
  Notifier();

  bool active() const { return !socket_.empty(); }

  bool ready(std::string_view status = {}) const;
  bool stopping(std::string_view status = {}) const;
  // `now`: CLOCK_MONOTONIC at which the reload began. ready() ends it.
  bool reloading(Instant now) const;
  bool watchdog() const;
  bool status(std::string_view text) const;

 private:
  bool send(const std::string& message) const;

  std::string socket_;
};

// Within which time watchdog() is expected again ($WATCHDOG_USEC, when $WATCHDOG_PID is absent or
// us); call it twice as often. Nothing when the manager does not watch.
std::optional<Duration> watchdog_interval();

}  // namespace sluice
