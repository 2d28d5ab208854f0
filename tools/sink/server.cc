#include "tools/sink/server.h"

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "tools/sink/sockets.h"

namespace sluice::sink {
namespace {

// Descriptors besides the connections: listeners, rings, files.
constexpr uint64_t kSpareDescriptors = 64;

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

Sink::Sink(SinkOptions options) : options_(std::move(options)), shared_(options_) {
  options_.session.store = !options_.store_directory.empty();
}

Sink::~Sink() {
  stop(false);
  if (shared_.done_event >= 0) ::close(shared_.done_event);
}

std::optional<SocketAddress> Sink::dns_address() const {
  if (!dns_) return std::nullopt;
  return dns_->address();
}

Status Sink::open_listeners(std::vector<std::vector<int>>& sockets) {
  const bool shared_ports = options_.threads > 1;
  uint16_t chosen = 0;
  sockets.resize(options_.threads);
  for (SocketAddress& address : options_.listen) {
    if (address.port == 0) address.port = chosen;
    const bool choose = address.port == 0;
    for (std::vector<int>& own : sockets) {
      ASSIGN_OR_RETURN(const int fd, open_bound(SOCK_STREAM, address, shared_ports));
      own.push_back(fd);
    }
    if (choose) chosen = address.port;
  }
  return absl::OkStatus();
}

Status Sink::start() {
  RETURN_IF_ERROR(check_options(options_));
  const uint64_t files = raise_open_files();
  const uint64_t spare = kSpareDescriptors + options_.listen.size() * options_.threads;
  if (options_.connections_max == 0 && files > spare) {
    options_.connections_max = std::min(kConnectionsDefault, files - spare);
  }
  const uint64_t needed = options_.connections_max + spare;
  if (files < needed || files == spare) {
    return misconfigured("the limit of open files is " + std::to_string(files) + ", but " +
                         std::to_string(options_.connections_max) + " connections need " +
                         std::to_string(needed) +
                         "; raise it (ulimit -n) or lower --max-connections");
  }
  if (options_.session.store) RETURN_IF_ERROR(Store::prepare(options_.store_directory));
  if (!options_.log_file.empty()) RETURN_IF_ERROR(shared_.log.open(options_.log_file));
  if (options_.session.starttls) {
    ASSIGN_OR_RETURN(shared_.tls, make_tls_identity(options_.tls, options_.session.hostname));
  }
  if (!options_.expect_file.empty() && !std::ifstream(options_.expect_file)) {
    return missing("cannot read " + options_.expect_file);
  }
  shared_.done_event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (shared_.done_event < 0) return unavailable("cannot make an eventfd");

  std::vector<std::vector<int>> sockets;
  Status status = open_listeners(sockets);
  epoch_ = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < sockets.size(); ++i) {
    // A worker takes over its sockets, also when nothing is to be started any more.
    if (status.ok() || !sockets[i].empty()) {
      workers_.push_back(std::make_unique<UringWorker>(shared_, i, std::move(sockets[i])));
    }
    if (status.ok()) status = workers_.back()->start(epoch_);
  }
  if (status.ok() && options_.dns.listen) {
    std::vector<IpAddress> addresses;
    for (const SocketAddress& address : options_.listen) addresses.push_back(address.ip);
    auto zones = Zones::make(options_.dns, std::move(addresses));
    status = zones.status();
    if (status.ok()) {
      zones_.emplace(std::move(*zones));
      dns_ = std::make_unique<DnsServer>(*zones_);
      status = dns_->start(*options_.dns.listen);
    }
  }
  if (!status.ok()) {
    stop(false);
    workers_.clear();
    dns_.reset();
  }
  return status;
}

void Sink::stop(bool drain) {
  for (const auto& worker : workers_) worker->stop(drain);
  for (const auto& worker : workers_) worker->join();
  if (dns_) dns_->stop();
}

SinkReport Sink::finish(bool drain) {
  stop(drain);
  SinkReport report;
  std::vector<HostCounts> by_host(options_.listen.size());
  for (const auto& worker : workers_) {
    report.add(worker->counts(), worker->session_counts(), by_host);
  }
  report.finish(by_host, shared_);
  report.log_errors = shared_.log.errors();
  if (!options_.expect_file.empty()) {
    std::ifstream lines(options_.expect_file);
    report.expectation = shared_.identities.compare(lines);
  }
  if (dns_) {
    report.dns_udp = dns_->counts().queries_udp.load();
    report.dns_tcp = dns_->counts().queries_tcp.load();
    report.dns_unanswered = dns_->counts().unanswered.load();
  }
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    report.cpu_user_seconds = seconds_of(usage.ru_utime);
    report.cpu_system_seconds = seconds_of(usage.ru_stime);
  }
  report.wall_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - epoch_).count();
  return report;
}

}  // namespace sluice::sink
