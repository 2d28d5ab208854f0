#include "engine/control/admin_server.h"

#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/net.h"
#include "engine/control/documents.h"
#include "engine/control/metrics.h"
#include "engine/control/route_document.h"
#include "engine/control/unix_socket.h"
#include "engine/control/worker_pool.h"

namespace sluice {
namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kPrometheus = "text/plain; version=0.0.4; charset=utf-8";
constexpr time_t kPatienceSeconds = 5;
// httplib wants a port that is not 0, also where there are none.
constexpr int kNoPort = 80;

std::string reason() { return std::strerror(errno); }

void answer_error(httplib::Response& response, int code, std::string_view message) {
  response.status = code;
  response.set_content(error_document(message), kJson);
}

// 503 for what the engine does not answer.
void answer_trouble(httplib::Response& response, const Status& status) {
  answer_error(response, 503, message_of(status));
}

// A directory and its parents.
Status make_directories(const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) {
      return misconfigured("cannot make the directory " + part + ": " + reason() +
                           "; make it, or set [admin] socket to a path that may be written");
    }
    if (slash == std::string::npos) return {};
  }
}

// Waiting in the kernel, beyond what waits for a worker.
constexpr int kBacklog = 128;

// httplib's server with a longer queue, and alone on its port (its default options let others
// listen there too).
class Server final : public httplib::Server {
 public:
  Server() {
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      (void)::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
  }
  bool bind(const std::string& host, int port) {
    return bind_to_port(host, port) && ::listen(svr_sock_, kBacklog) == 0;
  }
};

}  // namespace

// What the endpoints answer.
struct AdminServer::Pages {
  explicit Pages(EngineView& shown) : view(shown) {}

  EngineView& view;
  std::mutex totals_mutex;  // held from taking a snapshot until it is added
  Totals totals;

  void jobs(httplib::Response& response) {
    const auto jobs = view.jobs();
    if (!jobs.ok()) return answer_trouble(response, jobs.status());
    response.set_content(jobs_document(*jobs), kJson);
  }

  void job(const std::string& id, httplib::Response& response) {
    const auto jobs = view.jobs();
    if (!jobs.ok()) return answer_trouble(response, jobs.status());
    for (const JobReport& job : *jobs) {
      if (job.id == id) return response.set_content(job_document(job), kJson);
    }
    answer_error(response, 404, "no job " + id + " is active or ended lately");
  }

  void sites(httplib::Response& response) {
    const auto sites = view.sites();
    if (!sites.ok()) return answer_trouble(response, sites.status());
    response.set_content(sites_document(*sites), kJson);
  }

  void resolve(const std::string& domain, httplib::Response& response) {
    if (domain.empty() || domain.size() > 255) {
      return answer_error(response, 400, "name the domain: ?domain=NAME");
    }
    const auto explained = view.resolve(domain);
    if (!explained.ok()) return answer_trouble(response, explained.status());
    response.set_content(route_document(*explained), kJson);
  }

  void in_flight(const std::string& id, httplib::Response& response) {
    const auto rows = view.in_flight(id);
    if (!rows.ok()) return answer_trouble(response, rows.status());
    response.set_content(in_flight_document(*rows), kJson);
  }

  void command(const std::string& id, const std::string& verb, bool unread,
               httplib::Response& response) {
    if (unread && verb == "resume") return answer_status(response, view.resume_unread(id));
    const JobEvent event = verb == "pause"    ? JobEvent::kPaused
                           : verb == "resume" ? JobEvent::kResumed
                                              : JobEvent::kCancelled;
    answer_status(response, view.command(id, event));
  }

  void pause_site(const std::string& site, bool paused, httplib::Response& response) {
    if (site.empty()) return answer_error(response, 400, "name the site: ?site=NAME");
    answer_status(response, view.pause_site(site, paused));
  }

  static void answer_status(httplib::Response& response, const Status& status) {
    if (status.ok()) return response.set_content("{\"status\":\"ok\"}\n", kJson);
    if (absl::IsNotFound(status)) return answer_error(response, 404, message_of(status));
    if (absl::IsInvalidArgument(status)) return answer_error(response, 409, message_of(status));
    answer_trouble(response, status);
  }

  void metrics(httplib::Response& response) {
    MetricsInput input;
    input.version = SLUICE_VERSION;
    input.halted = view.halted();
    input.shards = view.shard_count();
    {
      const std::lock_guard<std::mutex> lock(totals_mutex);
      auto jobs = view.jobs();
      if (!jobs.ok()) return answer_trouble(response, jobs.status());
      input.jobs = std::move(*jobs);
      input.totals = totals.add(input.jobs);
    }
    auto sites = view.sites();
    if (!sites.ok()) return answer_trouble(response, sites.status());
    input.sites = std::move(*sites);
    const auto journal = view.journal_stats();
    if (!journal.ok()) return answer_trouble(response, journal.status());
    input.journal = *journal;
    input.dns_waits = view.dns_waits();
    const auto work = view.work_stats();
    if (!work.ok()) return answer_trouble(response, work.status());
    input.work = *work;
    response.set_content(metrics_text(input), kPrometheus);
  }

  void health(httplib::Response& response) {
    if (view.halted()) {
      return answer_error(response, 503, "sending has stopped: the journal cannot be written");
    }
    const auto jobs = view.jobs();
    if (!jobs.ok()) return answer_trouble(response, jobs.status());
    response.set_content("{\"status\":\"ok\"}\n", kJson);
  }
};

// One listening socket with its threads.
class AdminServer::Listener {
 public:
  Listener(Pages& pages, int family) {
    server_.set_address_family(family);
    server_.new_task_queue = [] { return new WorkerPool(kWorkers, kWaitingMax); };
    server_.set_payload_max_length(0);
    server_.set_keep_alive_max_count(kRequestsMax);
    server_.set_keep_alive_timeout(kPatienceSeconds);
    server_.set_read_timeout(kPatienceSeconds);
    server_.set_write_timeout(kPatienceSeconds);
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty()) {
        answer_error(response, response.status, "no such page; see /api/v1/jobs and /metrics");
      }
    });
    server_.set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
          answer_error(response, 500, "this request could not be answered");
        });
    using httplib::Request;
    using httplib::Response;
    server_.Get("/api/v1/jobs", [&pages](const Request&, Response& r) { pages.jobs(r); });
    server_.Get("/api/v1/jobs/([A-Za-z0-9._-]{1,200})",
                [&pages](const Request& q, Response& r) { pages.job(q.matches[1], r); });
    server_.Get("/api/v1/jobs/([A-Za-z0-9._-]{1,200})/in_flight",
                [&pages](const Request& q, Response& r) { pages.in_flight(q.matches[1], r); });
    server_.Get("/api/v1/sites", [&pages](const Request&, Response& r) { pages.sites(r); });
    server_.Get("/metrics", [&pages](const Request&, Response& r) { pages.metrics(r); });
    server_.Get("/healthz", [&pages](const Request&, Response& r) { pages.health(r); });
    // Who may open the socket may command, and have DNS asked; TCP only reads.
    if (family != AF_UNIX) return;
    server_.Post("/api/v1/jobs/([A-Za-z0-9._-]{1,200})/(pause|resume|cancel)",
                 [&pages](const Request& q, Response& r) {
                   pages.command(q.matches[1], q.matches[2], q.get_param_value("unread") == "1", r);
                 });
    server_.Get("/api/v1/resolve", [&pages](const Request& q, Response& r) {
      pages.resolve(q.get_param_value("domain"), r);
    });
    server_.Post("/api/v1/sites/(pause|resume)", [&pages](const Request& q, Response& r) {
      pages.pause_site(q.get_param_value("site"), q.matches[1] == "pause", r);
    });
  }

  ~Listener() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  // Listens already when it returns true: who connects now waits in the kernel.
  bool bind(const std::string& host, int port) { return server_.bind(host, port); }

  void serve() {
    thread_ = std::thread([this] {
      try {
        server_.listen_after_bind();
      } catch (const std::exception& error) {
        log(LogLevel::kError, std::string("the admin server has ended: ") + error.what());
      }
      ended_.store(true, std::memory_order_release);
    });
    // A stop() before the thread has begun would be forgotten.
    while (!server_.is_running() && !ended_.load(std::memory_order_acquire)) {
      std::this_thread::yield();
    }
  }

 private:
  Server server_;
  std::thread thread_;
  std::atomic<bool> ended_{false};
};

AdminServer::AdminServer(EngineView& view) : pages_(std::make_unique<Pages>(view)) {}

AdminServer::~AdminServer() { stop(); }

Status AdminServer::start(const Configuration::Admin& options) {
  try {
    if (!options.socket.empty()) RETURN_IF_ERROR(start_socket(options.socket));
    if (options.listen.empty()) return {};
    Status status = start_tcp(options.listen);
    if (!status.ok()) stop();
    return status;
  } catch (const std::exception& error) {
    stop();
    return unavailable(std::string("the admin server cannot start: ") + error.what());
  }
}

Status AdminServer::start_socket(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos && slash > 0) {
    RETURN_IF_ERROR(make_directories(path.substr(0, slash)));
  }
  // Made under another name, so that nobody meets it before it has its mode, and so that what
  // stands there is replaced in one step.
  const std::string made = path + ".new";
  RETURN_IF_ERROR(check_socket_path(made));
  struct stat there {};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) {
      return misconfigured(path +
                           " is no socket: move it away, or set [admin] socket to another "
                           "path");
    }
    if (try_connect(path) == 0) {
      return unavailable("another sluice listens on " + path +
                         ": stop it first, or give this one another [admin] socket");
    }
  }
  ::unlink(made.c_str());
  auto listener = std::make_unique<Listener>(*pages_, AF_UNIX);
  errno = 0;
  if (!listener->bind(made, kNoPort) || ::chmod(made.c_str(), 0660) != 0 ||
      ::rename(made.c_str(), path.c_str()) != 0) {
    const std::string why = reason();
    ::unlink(made.c_str());
    return misconfigured("cannot make the admin socket " + path + ": " + why +
                         "; let the user that sluice runs as write there, or set [admin] socket");
  }
  listener->serve();
  socket_ = std::move(listener);
  socket_path_ = path;
  return {};
}

Status AdminServer::start_tcp(const std::string& address) {
  const auto parsed = parse_socket_address(address);
  if (!parsed) {
    return misconfigured("[admin] listen = \"" + address +
                         "\" is no address and port; write it like \"127.0.0.1:2580\"");
  }
  const bool ipv4 = parsed->ip.family == Family::kIpv4;
  auto listener = std::make_unique<Listener>(*pages_, ipv4 ? AF_INET : AF_INET6);
  errno = 0;
  if (!listener->bind(to_string(parsed->ip), parsed->port)) {
    return misconfigured("cannot listen on [admin] listen = \"" + address + "\": " + reason() +
                         "; choose a free port of this machine");
  }
  listener->serve();
  tcp_ = std::move(listener);
  return {};
}

void AdminServer::stop() {
  tcp_.reset();
  if (!socket_) return;
  // First, so that a command says "not running" instead of waiting.
  ::unlink(socket_path_.c_str());
  socket_.reset();
}

}  // namespace sluice
