// The whole receiver: listeners, workers, name server, and what they have seen.
//
//   Sink sink(options);
//   status = sink.start();          // listens when OK
//   sink.addresses(), sink.dns_address()
//   poll(sink.done_event()) or a signal
//   SinkReport report = sink.finish();
//
// Thread: one (the main thread). Ownership: owns its threads and sockets; finish() or the
// destructor ends them. Errors: start() says what, where and how to mend it; nothing is left behind
// then. Limits: those of SinkOptions; the process needs a descriptor a connection. BUGS: addresses
// with port 0 all get the port that the kernel chose for the first of them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/status.h"
#include "tools/sink/dns_server.h"
#include "tools/sink/ledger.h"
#include "tools/sink/options.h"
#include "tools/sink/report.h"
#include "tools/sink/uring_worker.h"
#include "tools/sink/zones.h"

namespace sluice::sink {

class Sink {
 public:
  explicit Sink(SinkOptions options);
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  ~Sink();

  Status start();
  // With the ports that were chosen.
  const std::vector<SocketAddress>& addresses() const { return options_.listen; }
  std::optional<SocketAddress> dns_address() const;
  // Readable when stop_after_messages is reached.
  int done_event() const { return shared_.done_event; }
  // Stops and counts together. With `drain` clients may still finish and say QUIT: until nothing
  // has come for a quarter of a second, five seconds at most.
  SinkReport finish(bool drain);
  // For --identities and --expect. Any time.
  const IdentityTable& identities() const { return shared_.identities; }

 private:
  Status open_listeners(std::vector<std::vector<int>>& sockets);
  void stop(bool drain);

  SinkOptions options_;
  Shared shared_;
  std::optional<Zones> zones_;
  std::unique_ptr<DnsServer> dns_;
  std::vector<std::unique_ptr<UringWorker>> workers_;
  std::chrono::steady_clock::time_point epoch_;
};

}  // namespace sluice::sink
