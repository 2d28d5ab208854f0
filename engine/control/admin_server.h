// The admin socket: HTTP for commands, dashboards and Prometheus.
//
// Purpose: answers, over a unix socket and, when asked for, read-only over TCP:
//     GET /api/v1/jobs       {"jobs": [...]}, documents.h tells the fields
//     GET /api/v1/jobs/ID    one of them; 404 when no such job is known
//     GET /api/v1/sites      {"sites": [...]}
//     GET /metrics           Prometheus text, metrics.h
//     POST /api/v1/jobs/ID/VERB   pause, resume (?unread=1: without what cannot be read), cancel;
//                            unix socket only, as POST /api/v1/sites/VERB?site=NAME
//     GET /healthz           200 while the engine answers and sends, else 503
//   Errors have the body {"error": "..."}.
// Socket: its directory is made when missing (0755). A socket file on which nobody answers is
//   replaced; one that answers belongs to a running sluice and start() refuses. Mode 0660: owner
//   and group command. stop() removes it.
// Ownership: the view outlives the server. Destroying the server stops it.
// Thread: start() and stop() from one thread; requests run on threads of the server's own.
// Errors: start(): Unavailable (another one runs), FailedPrecondition (path, address), with the
//   mend. No exception leaves.
// Limits: kWorkers requests at a time for each listener; kWaitingMax accepted connections wait for
//   one, further ones in the kernel. 5 s for reading a request and for writing an answer; no
//   bodies; a connection carries kRequestsMax requests.
// BUGS: a client that reads slowly holds one of the workers for up to 5 s a write. stop() waits
//   for what is being answered.
#pragma once

#include <memory>
#include <string>

#include "engine/base/status.h"
#include "engine/control/engine_view.h"
#include "engine/model/configuration.h"

namespace sluice {

class AdminServer {
 public:
  static constexpr size_t kWorkers = 3;
  static constexpr size_t kWaitingMax = 16;
  static constexpr size_t kRequestsMax = 100;

  explicit AdminServer(EngineView& view);
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  ~AdminServer();

  // Listens when it returns OK. At most once. An empty socket or listen: none of that kind.
  Status start(const Configuration::Admin& options);
  // Idempotent.
  void stop();

 private:
  struct Pages;
  class Listener;
  Status start_socket(const std::string& path);
  Status start_tcp(const std::string& address);

  std::unique_ptr<Pages> pages_;
  std::unique_ptr<Listener> socket_;
  std::unique_ptr<Listener> tcp_;
  std::string socket_path_;
};

}  // namespace sluice
