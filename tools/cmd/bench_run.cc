#include "tools/cmd/bench_run.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string_view>

#include "engine/base/net.h"
#include "engine/base/strings.h"
#include "engine/control/admin_client.h"
#include "tools/cmd/bench_child.h"
#include "tools/cmd/bench_events.h"
#include "tools/cmd/common.h"
#include "tools/cmd/descriptor.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr Duration kStartPatience = std::chrono::minutes(1);
constexpr double kFull = 0.97;
constexpr uint64_t kAllocationMessages = 20'000;
constexpr const char* kAllocationLibrary = "libsluice_bench_alloc.so";

// Where the sender says that it is ready, as to a service manager.
StatusOr<int> open_notify_socket(const std::string& path) {
  const int number = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  const void* generic = &address;
  if (number < 0 || ::bind(number, static_cast<const sockaddr*>(generic), sizeof address) != 0) {
    const int error = errno;
    if (number >= 0) ::close(number);
    return unavailable("cannot listen on " + path + ": " + std::strerror(error));
  }
  return number;
}

// The last lines of a log, for an error.
std::string tail_of(const std::string& path) {
  constexpr size_t kTail = 1'500;
  const StatusOr<std::string> text = read_file(path);
  if (!text.ok() || text->empty()) return "it said nothing";
  const size_t from = text->size() < kTail ? 0 : text->find('\n', text->size() - kTail);
  return "it said:\n" + text->substr(from == std::string::npos ? 0 : from);
}

enum class Awaited : uint8_t { kReady, kSenderEnded, kSinkEnded, kSignal, kTimeOut };

Awaited wait_for(int descriptor, const BenchChild* sender, const BenchChild* sink, int signals,
                 Duration patience) {
  std::array<pollfd, 4> polls = {{{descriptor, POLLIN, 0},
                                  {sender == nullptr ? -1 : sender->ended_descriptor(), POLLIN, 0},
                                  {sink == nullptr ? -1 : sink->ended_descriptor(), POLLIN, 0},
                                  {signals, POLLIN, 0}}};
  const int milliseconds =
      static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(patience).count());
  int count = 0;
  while ((count = ::poll(polls.data(), polls.size(), milliseconds)) < 0 && errno == EINTR) {
  }
  if (polls[3].revents != 0) return Awaited::kSignal;
  if (polls[0].revents != 0) return Awaited::kReady;
  if (polls[1].revents != 0) return Awaited::kSenderEnded;
  if (polls[2].revents != 0) return Awaited::kSinkEnded;
  return Awaited::kTimeOut;
}

Status as_error(Awaited awaited, const std::string& log) {
  switch (awaited) {
    case Awaited::kReady:
      return {};
    case Awaited::kSenderEnded:
      return unavailable("the sender ended before the job was done; " + tail_of(log));
    case Awaited::kSinkEnded:
      return unavailable("the sink ended before the job was done");
    case Awaited::kSignal:
      return {absl::StatusCode::kCancelled, "stopped by a signal"};
    case Awaited::kTimeOut:
      return unavailable("the sender was not ready within a minute; " + tail_of(log));
  }
  return {};
}

StatusOr<BenchChild> start_sink(const BenchOptions& options, BenchPlaces& places) {
  const uint32_t last = options.exchangers - 1;
  const std::string range = "127.77.0.1-127.77." + std::to_string((1 + last) / 256) + "." +
                            std::to_string((1 + last) % 256) + ":0";
  BenchChild::Plan plan;
  plan.arguments = {"sink",     "--json",
                    "--listen", options.exchangers == 1 ? "127.77.0.1:0" : range,
                    "--dns",    "127.0.0.1:0",
                    "--zone",   kBenchZone,
                    "--rtt",    std::to_string(options.rtt.count() / 1'000) + "us"};
  if (options.cores) plan.core = options.cores->sink;
  ASSIGN_OR_RETURN(BenchChild sink, BenchChild::start(plan));
  const Json ready = Json::parse(sink.read_line(kStartPatience), nullptr, false);
  if (!ready.is_object() || !ready.contains("smtp") || !ready.contains("dns")) {
    return unavailable("the sink did not start; its own message says why");
  }
  const auto smtp = parse_socket_address(ready["smtp"].at(0).get<std::string>());
  if (!smtp) return unavailable("the sink does not say where it listens");
  places.smtp_port = smtp->port;
  places.dns = ready["dns"].get<std::string>();
  return sink;
}

class Run {
 public:
  Run(BenchDirectory& directory, const BenchOptions& options, BenchMode mode, int signals)
      : directory_(directory),
        options_(options),
        mode_(mode),
        signals_(signals),
        log_(directory.file("run.log")) {}

  std::vector<std::pair<std::string, std::string>> sender_variables;
  std::function<void()> at_begin = [] {};
  std::function<void()> at_end = [] {};

  StatusOr<BenchFigures> run() {
    RETURN_IF_ERROR(directory_.clear());
    RETURN_IF_ERROR(prepare_());
    RETURN_IF_ERROR(write_job(directory_, options_, options_.messages));
    BenchPlaces places;
    ASSIGN_OR_RETURN(BenchChild sink, start_sink(options_, places));
    RETURN_IF_ERROR(write_configuration(directory_, options_, mode_, places));
    ASSIGN_OR_RETURN(BenchChild sender, start_sender());
    RETURN_IF_ERROR(deliver(sender, sink));
    return conclude(sender, sink);
  }
  void set_preparation(std::function<Status()> prepare) { prepare_ = std::move(prepare); }

 private:
  StatusOr<BenchChild> start_sender() {
    const std::string path = directory_.file("notify.sock");
    ASSIGN_OR_RETURN(const int number, open_notify_socket(path));
    const Descriptor notify(number);
    BenchChild::Plan plan;
    plan.arguments = {"run", "--config", directory_.file("sluice.toml")};
    if (options_.cores && options_.shards == 1) plan.core = options_.cores->sender;
    plan.errors = log_;
    plan.variables = sender_variables;
    plan.variables.emplace_back("NOTIFY_SOCKET", path);
    ASSIGN_OR_RETURN(BenchChild sender, BenchChild::start(plan));
    const Awaited awaited = wait_for(notify.get(), &sender, nullptr, signals_, kStartPatience);
    RETURN_IF_ERROR(as_error(awaited, log_));
    return sender;
  }

  // Drops the job and waits for its end.
  Status deliver(const BenchChild& sender, const BenchChild& sink) {
    const std::string spool = directory_.file("spool");
    const Descriptor watch(::inotify_init1(IN_CLOEXEC));
    for (const char* place : {"/done", "/failed"}) {
      if (::inotify_add_watch(watch.get(), (spool + place).c_str(), IN_MOVED_TO | IN_CREATE) < 0) {
        return unavailable("cannot watch " + spool + place + ": " + std::strerror(errno));
      }
    }
    ASSIGN_OR_RETURN(sender_before_, sender.usage());
    ASSIGN_OR_RETURN(sink_before_, sink.usage());
    at_begin();
    if (options_.cores) core_before_ = busy_time_of_core(options_.cores->sender);
    const auto began = Clock::now();
    const std::string job = directory_.file("job");
    if (::rename(job.c_str(), (spool + "/incoming/bench").c_str()) != 0) {
      return unavailable("cannot drop the job: " + std::string(std::strerror(errno)));
    }
    // Without patience: a job may last for days.
    constexpr Duration kForEver = std::chrono::hours(500);
    Awaited awaited = Awaited::kTimeOut;
    while (awaited == Awaited::kTimeOut) {
      awaited = wait_for(watch.get(), &sender, &sink, signals_, kForEver);
    }
    RETURN_IF_ERROR(as_error(awaited, log_));
    wall_ = Clock::now() - began;
    at_end();
    if (options_.cores) core_after_ = busy_time_of_core(options_.cores->sender);
    ASSIGN_OR_RETURN(sender_after_, sender.usage());
    ASSIGN_OR_RETURN(sink_after_, sink.usage());
    const StatusOr<std::string> metrics = admin_get(directory_.file("admin.sock"), "/metrics");
    if (metrics.ok()) metrics_ = *metrics;
    return check_outcome(spool);
  }

  // Every message was delivered, says the job's own summary.
  Status check_outcome(const std::string& spool) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(spool + "/failed", error)) {
      const StatusOr<std::string> why = read_file(entry.path().string() + "/error.txt");
      return io_error("the job was refused: " + (why.ok() ? *why : std::string("without reason")));
    }
    for (const auto& entry : std::filesystem::directory_iterator(spool + "/done", error)) {
      ASSIGN_OR_RETURN(const std::string text, read_file(entry.path().string() + "/summary.json"));
      const Json summary = Json::parse(text, nullptr, false);
      if (!summary.is_object()) break;
      const uint64_t delivered = summary.value("delivered", uint64_t{0});
      if (delivered == options_.messages) return {};
      return io_error("only " + grouped(delivered) + " of " + grouped(options_.messages) +
                      " messages were delivered; " + tail_of(log_));
    }
    return io_error("the job has no summary");
  }

  StatusOr<BenchFigures> conclude(BenchChild& sender, BenchChild& sink) {
    sender.stop();
    if (sender.exit_status() != 0) {
      return unavailable("the sender did not end as it should; " + tail_of(log_));
    }
    const Json report = Json::parse(sink.stop(), nullptr, false);
    if (!report.is_object() || !report.contains("rate")) {
      return unavailable("the sink gave no report");
    }
    if (report["identities"]["distinct"] != options_.messages) {
      return io_error("the sink got messages for " + report["identities"]["distinct"].dump() +
                      " recipients, not " + std::to_string(options_.messages));
    }
    RETURN_IF_ERROR(check_octets(report["content_bytes"].get<double>()));
    BenchFigures figures;
    const auto messages = static_cast<double>(options_.messages);
    const auto add = [&figures](Figure figure, double value) { figures.values[figure] = value; };
    const double seconds = std::chrono::duration<double>(wall_).count();
    const Duration sender_cpu = sender.user_time() + sender.system_time() - sender_before_.cpu;
    add(Figure::kSenderCpu, to_seconds(sender_cpu) * 1e6 / messages);
    add(Figure::kSinkCpu, to_seconds(sink_after_.cpu - sink_before_.cpu) * 1e6 / messages);
    add(Figure::kSenderBusy, to_seconds(sender_after_.cpu - sender_before_.cpu) / seconds);
    if (options_.cores && options_.shards == 1) {
      const Duration own = sender_after_.cpu - sender_before_.cpu;
      const double others = to_seconds(core_after_ - core_before_ - own) / seconds;
      add(Figure::kOthers, std::clamp(others, 0.0, 1.0));
    }
    add(Figure::kMemory, static_cast<double>(sender_after_.memory_peak));
    add_written(figures, sender, messages);
    add_report(figures, report, messages);
    add_metrics(figures, messages);
    const StatusOr<BenchLatency> latency = read_latency(directory_.file("record"));
    if (latency.ok() && latency->deliveries >= options_.messages) {
      add(Figure::kAnsweredMedian, latency->median_ms);
      add(Figure::kAnsweredHigh, latency->high_ms);
    }
    return figures;
  }

  // What the sender says that it delivered is what arrived, to the octet.
  Status check_octets(double arrived) {
    const auto delivered = metric("sluice_delivered_bytes_total");
    if (!delivered || *delivered == arrived) return {};
    return io_error("the sender delivered " + std::to_string(*delivered) +
                    " octets of messages, the sink got " + std::to_string(arrived));
  }

  std::optional<double> metric(std::string_view name) {
    for (const std::string_view line : split(metrics_, '\n')) {
      if (line.substr(0, name.size()) != name) continue;
      const std::string value(line.substr(name.size()));
      char* end = nullptr;
      const double number = std::strtod(value.c_str(), &end);
      if (end != value.c_str()) return number;
    }
    return std::nullopt;
  }

  void add_written(BenchFigures& figures, const BenchChild& sender, double messages) {
    const uint64_t written = sender.written_in_all() - sender_before_.write_bytes;
    // A file system in memory counts nothing.
    if (written > 0) figures.values[Figure::kWritten] = static_cast<double>(written) / messages;
  }

  void add_report(BenchFigures& figures, const Json& report, double messages) {
    const double active = report["rate"]["active_seconds"].get<double>();
    if (active > 0) {
      figures.values[Figure::kRate] = report["rate"]["messages_per_second"].get<double>();
      const double busy = to_seconds(sink_after_.cpu - sink_before_.cpu) / active;
      figures.values[Figure::kSinkBusy] = std::min(busy, 1.0);
      figures.sink_full = busy >= kFull;
    }
    figures.values[Figure::kConnections] = report["connections"]["accepted"].get<double>();
    figures.values[Figure::kConnectionsPeak] = report["connections"]["peak"].get<double>();
    figures.values[Figure::kContent] = report["content_bytes"].get<double>() / messages;
  }

  // Those of the sender's metrics that it has.
  void add_metrics(BenchFigures& figures, double messages) {
    struct Wanted {
      Figure figure;
      std::string_view name;
      double factor;
    };
    const std::array<Wanted, 5> all = {
        {{Figure::kJournal, "sluice_journal_bytes_total", 1 / messages},
         {Figure::kSyncs, "sluice_journal_commits_total", 1e3 / messages},
         {Figure::kEnters, "sluice_ring_enters_total", 1 / messages},
         {Figure::kRecordedMedian, "sluice_taken_to_recorded_seconds{quantile=\"0.5\"}", 1e3},
         {Figure::kRecordedHigh, "sluice_taken_to_recorded_seconds{quantile=\"0.99\"}", 1e3}}};
    for (const Wanted& wanted : all) {
      const auto value = metric(wanted.name);
      if (value) figures.values[wanted.figure] = *value * wanted.factor;
    }
  }

  BenchDirectory& directory_;
  const BenchOptions& options_;
  const BenchMode mode_;
  const int signals_;
  const std::string log_;
  std::function<Status()> prepare_ = [] { return Status(); };
  BenchUsage sender_before_;
  BenchUsage sender_after_;
  BenchUsage sink_before_;
  BenchUsage sink_after_;
  Duration core_before_{0};
  Duration core_after_{0};
  Clock::duration wall_{};
  std::string metrics_;
};

// Eight octets of a file, mapped: the counter of the preloaded library.
class MappedCounter {
 public:
  MappedCounter() = default;
  MappedCounter(const MappedCounter&) = delete;
  MappedCounter& operator=(const MappedCounter&) = delete;
  ~MappedCounter() {
    if (value_ != nullptr) ::munmap(value_, sizeof *value_);
  }
  Status open(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (file.get() < 0 || ::ftruncate(file.get(), sizeof *value_) != 0) {
      return cannot_create("cannot make " + path + ": " + std::strerror(errno));
    }
    void* mapped =
        ::mmap(nullptr, sizeof *value_, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (mapped == MAP_FAILED) return unavailable("cannot map " + path);
    value_ = static_cast<std::atomic<uint64_t>*>(mapped);
    return {};
  }
  uint64_t read() const { return value_ == nullptr ? 0 : value_->load(); }

 private:
  std::atomic<uint64_t>* value_ = nullptr;
};

}  // namespace

StatusOr<BenchFigures> run_bench(BenchDirectory& directory, const BenchOptions& options,
                                 BenchMode mode, int signals) {
  return Run(directory, options, mode, signals).run();
}

StatusOr<std::optional<double>> count_allocations(BenchDirectory& directory, BenchOptions options,
                                                  BenchMode mode, int signals) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string library = (self.parent_path() / kAllocationLibrary).string();
  if (error || !std::filesystem::exists(library, error)) return std::optional<double>();
  options.messages = std::min(options.messages, kAllocationMessages);
  options.rtt = Duration(0);
  const std::string path = directory.file("allocations");
  MappedCounter counter;
  uint64_t before = 0;
  uint64_t after = 0;
  Run run(directory, options, mode, signals);
  run.set_preparation([&counter, &path] { return counter.open(path); });
  run.sender_variables = {{"LD_PRELOAD", library}, {"SLUICE_BENCH_ALLOCATIONS", path}};
  run.at_begin = [&counter, &before] { before = counter.read(); };
  run.at_end = [&counter, &after] { after = counter.read(); };
  const StatusOr<BenchFigures> figures = run.run();
  if (!figures.ok()) return figures.status();
  if (before == 0) return std::optional<double>();  // nothing was counted
  return std::optional<double>(static_cast<double>(after - before) /
                               static_cast<double>(options.messages));
}

}  // namespace sluice::tools
