// sluice run: the sender, in the foreground.
#include <fcntl.h>
#include <signal.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "engine/base/log.h"
#include "engine/config/default_file.h"
#include "engine/control/admin_server.h"
#include "engine/control/notify.h"
#include "engine/ring/uring_io.h"
#include "engine/shard/engine.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/dkim_files.h"
#include "tools/cmd/token_keys.h"

namespace sluice::tools {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

void write_line(LogLevel level, const std::string& line) {
  spdlog::default_logger_raw()->log(spdlog_level(level), line);
}

// Lines go through a bounded queue to a thread of its own: when it is full the oldest are dropped.
void set_up_log(LogLevel least) {
  constexpr size_t kLinesMax = 8'192;
  spdlog::init_thread_pool(kLinesMax, 1);
  auto logger = std::make_shared<spdlog::async_logger>(
      "sluice", std::make_shared<spdlog::sinks::stderr_color_sink_mt>(), spdlog::thread_pool(),
      spdlog::async_overflow_policy::overrun_oldest);
  logger->set_level(spdlog_level(least));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
  spdlog::flush_every(std::chrono::seconds(1));
  set_log_sink(&write_line, least);
}

void fill_in_host_name(Configuration& config) {
  if (config.smtp.hello.empty()) config.smtp.hello = host_name();
  for (Source& source : config.sources) {
    if (source.hello.empty()) source.hello = config.smtp.hello;
  }
}

// One daemon a spool: the lock is held as long as the process lives.
class SpoolLock {
 public:
  SpoolLock() = default;
  SpoolLock(const SpoolLock&) = delete;
  SpoolLock& operator=(const SpoolLock&) = delete;
  ~SpoolLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Status take(const std::string& spool) {
    if (mkdir(spool.c_str(), 0755) != 0 && errno != EEXIST) {
      return cannot_create("cannot make the spool " + spool + ": " + std::strerror(errno) +
                           "; make it, or set [spool] path to a directory of yours");
    }
    const std::string path = spool + "/.lock";
    descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (descriptor_ < 0) {
      return cannot_create("cannot write to the spool " + spool + ": " + std::strerror(errno) +
                           "; give it to the user that sluice runs as");
    }
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      return exhausted("another sluice runs on the spool " + spool +
                       "; stop it first, or give this one a spool of its own");
    }
    return {};
  }

 private:
  int descriptor_ = -1;
};

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

// What a reload cannot change, as text.
std::string fixed_part(Configuration config) {
  config.shaping.clear();
  config.retry = {};
  config.log = {};
  return configuration_text(config);
}

// A broken file leaves the running configuration in force and says why.
void reload(Engine& engine, const std::string& path, const std::string& fixed) {
  const StatusOr<LoadedConfiguration> loaded = load_configuration(path);
  if (!loaded.ok()) {
    log(LogLevel::kError,
        "not reloaded, the running configuration stays in force: " + message_of(loaded.status()));
    return;
  }
  for (const std::string& warning : loaded->warnings) log(LogLevel::kWarning, warning);
  if (fixed_part(loaded->configuration) != fixed) {
    log(LogLevel::kWarning,
        path + ": changes outside [shaping], [retry] and [log] take effect at the next start");
  }
  engine.reload(loaded->configuration);
  set_log_sink(&write_line, loaded->configuration.log.level);
  spdlog::default_logger_raw()->set_level(spdlog_level(loaded->configuration.log.level));
  log(LogLevel::kInfo, "reloaded " + path);
}

// A shard that takes longer for a turn is worth no ping of the watchdog.
constexpr Duration kShardPatience = std::chrono::seconds(1);

// Waits for the signals that end the program; a second one ends it at once.
void serve(Engine& engine, Notifier& notifier, const sigset_t& signals, const std::string& path,
           const std::string& fixed) {
  while (true) {
    timespec second{1, 0};
    siginfo_t info{};
    const int signal = sigtimedwait(&signals, &info, &second);
    if (engine.responsive(kShardPatience)) notifier.watchdog();
    if (engine.halted()) {
      log(LogLevel::kError, "sending has stopped and cannot go on; ending");
      return;
    }
    if (signal == SIGTERM || signal == SIGINT) return;
    if (signal == SIGHUP) {
      notifier.reloading(monotonic_now());
      reload(engine, path, fixed);
      notifier.ready();
    }
  }
}

// Ends the process when a second signal comes while the engine drains.
void watch_for_second_signal(const sigset_t& signals) {
  std::thread([signals] {
    while (true) {
      int signal = 0;
      if (sigwait(&signals, &signal) != 0 || signal == SIGHUP) continue;
      static constexpr char kLine[] = "sluice: stopped at once\n";
      const ssize_t ignored = ::write(STDERR_FILENO, kLine, sizeof kLine - 1);
      (void)ignored;
      _exit(kTryAgain);
    }
  }).detach();
}

int run(const std::string& config_path) {
  StatusOr<LoadedConfiguration> loaded = load_configuration(config_path);
  if (!loaded.ok()) return report_error(loaded.status());
  const std::string fixed = fixed_part(loaded->configuration);
  Configuration config = std::move(loaded->configuration);
  fill_in_host_name(config);
  StatusOr<std::shared_ptr<const DkimKeys>> dkim_keys = load_dkim_keys(config.dkim);
  if (!dkim_keys.ok()) return report_error(dkim_keys.status());
  // Before any thread is made, the log's included, so that all of them leave signals to this one.
  const sigset_t signals = handled_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  set_up_log(config.log.level);
  for (const std::string& warning : loaded->warnings) log(LogLevel::kWarning, warning);
  std::string fewer;
  if (const Status status = fit_connections(config, fewer); !status.ok()) {
    return report_error(status);
  }
  if (!fewer.empty()) log(LogLevel::kWarning, fewer);

  SpoolLock lock;
  if (const Status status = lock.take(config.spool.path); !status.ok()) {
    return report_error(status);
  }

  StatusOr<TokenKeysPtr> token_keys = load_token_keys(config, MissingKeys::kMake);
  if (!token_keys.ok()) return report_error(token_keys.status());

  Limits limits;
  limits.connections_per_shard =
      std::min(limits.connections_per_shard, config.engine.max_connections);
  Engine engine(std::move(config), limits,
                {.dkim = std::move(*dkim_keys), .tokens = std::move(*token_keys)});
  if (const Status status = engine.start(); !status.ok()) return report_error(status);
  EngineAdapter view(engine);
  AdminServer admin(view);
  if (const Status status = admin.start(engine.config().admin); !status.ok()) {
    engine.drain();
    engine.wait();
    return report_error(status);
  }
  Notifier notifier;
  log(LogLevel::kInfo, engine.describe_limits());
  log(LogLevel::kInfo, "ready: drop jobs into " + engine.config().spool.path + "/incoming");
  notifier.ready();
  serve(engine, notifier, signals, config_path, fixed);

  notifier.stopping();
  watch_for_second_signal(signals);
  log(LogLevel::kInfo, "stopping: what is in flight may end");
  admin.stop();  // its queries need running shards
  engine.drain();
  engine.wait();
  log(LogLevel::kInfo, "stopped");
  set_log_sink(nullptr, LogLevel::kWarning);
  spdlog::shutdown();
  return engine.halted() ? kInputOutput : kDone;
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("run", "Watch the spool and send: the sender itself");
  auto config = std::make_shared<std::string>(default_configuration_path());
  command->add_option("--config", *config, "The configuration file")->capture_default_str();
  command->footer(
      "Runs in the foreground. SIGTERM lets what is in flight end, a second one stops at once.\n"
      "Example: sluice run --config /etc/sluice/sluice.toml");
  command->callback([config, &exit_code] { exit_code = run(*config); });
}

}  // namespace sluice::tools
