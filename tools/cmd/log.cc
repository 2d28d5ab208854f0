// `sluice log`: the event record as JSON lines, of all shards in the order of time.
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/strings.h"
#include "engine/record/event.h"
#include "engine/shard/event_follower.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/event_reader.h"

namespace sluice::tools {
namespace {

constexpr size_t kPrintedAtOnce = 256UL << 10;
constexpr int kLookIntervalMs = 200;

struct LogOptions {
  std::string config;
  bool follow = false;
  std::string job;
  std::vector<std::string> types;
  bool json = false;
};

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");
void on_interrupt(int) { interrupted = true; }

std::vector<std::string_view> known_types() {
  std::vector<std::string_view> types;
  for (size_t i = 0; i < kStates; ++i) {
    const auto state = static_cast<State>(i);
    if (!is_final(state) && state != State::kDeferred) continue;
    const std::string_view type = event_type(state);
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  }
  return types;
}

Status check_types(const std::vector<std::string>& types) {
  const std::vector<std::string_view> known = known_types();
  for (const std::string& type : types) {
    if (std::find(known.begin(), known.end(), type) != known.end()) continue;
    const std::vector<std::string> words(known.begin(), known.end());
    const std::string_view near = nearest(type, known);
    return invalid("--type " + escaped(type) + ": no such type; " +
                   (near.empty() ? std::string() : "did you mean " + std::string(near) + "? ") +
                   "There are " + join(words, ", "));
  }
  return {};
}

bool is_wanted(const LogOptions& options, std::string_view line) {
  if (!options.types.empty()) {
    const std::string_view type = event_member(line, "type");
    if (std::find(options.types.begin(), options.types.end(), type) == options.types.end()) {
      return false;
    }
  }
  if (options.job.empty()) return true;
  const std::string_view job = event_member(line, "job");
  if (job == options.job) return true;
  const std::optional<JobId> id = parse_job_id(job);
  return id && id->name == options.job;
}

Status print_events(const LogOptions& options, EventReader& reader) {
  std::string out;
  std::string_view line;
  while (!interrupted) {
    ASSIGN_OR_RETURN(const bool more, reader.next(line));
    if (!more) break;
    if (!is_wanted(options, line)) continue;
    out += line;
    out += '\n';
    if (out.size() < kPrintedAtOnce) continue;
    RETURN_IF_ERROR(print(out));
    out.clear();
  }
  return out.empty() ? Status() : print(out);
}

Status show_log(const LogOptions& options) {
  const std::string path = options.config.empty() ? default_configuration_path() : options.config;
  ASSIGN_OR_RETURN(const LoadedConfiguration loaded, load_configuration(path));
  const Configuration& config = loaded.configuration;
  EventReader reader(record_directory(config, SpoolPaths(config.spool.path)));
  if (options.follow) {
    std::signal(SIGINT, on_interrupt);
    std::signal(SIGTERM, on_interrupt);
  }
  while (true) {
    const Status looked = reader.look();
    // Before the first start nothing is there: that may come.
    const bool may_come = options.follow && looked.code() == absl::StatusCode::kNotFound;
    if (looked.code() == absl::StatusCode::kNotFound && !options.follow) {
      std::fprintf(stderr, "sluice: %s yet\n", message_of(looked).c_str());
      return {};
    }
    if (!looked.ok() && !may_come) return looked;
    RETURN_IF_ERROR(print_events(options, reader));
    if (!options.follow || interrupted) return {};
    (void)::poll(nullptr, 0, kLookIntervalMs);
  }
}

int run_log(const LogOptions& options) {
  if (const Status types = check_types(options.types); !types.ok()) {
    report_error(types);
    return kUsage;
  }
  errno = 0;
  const Status status = show_log(options);
  // Whoever read it has seen enough, as `head` does.
  if (!status.ok() && errno == EPIPE) return kDone;
  return status.ok() ? kDone : report_error(status);
}

}  // namespace

void add_log(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<LogOptions>();
  CLI::App* command = app.add_subcommand("log", "Print the event record as JSON lines");
  command->add_option("--config", options->config,
                      "The configuration (default: $SLUICE_CONFIG, else /etc/sluice/sluice.toml)");
  command->add_flag("-f,--follow", options->follow, "Then wait for more, until interrupted");
  command->add_option("--job", options->job, "Only events of this job: its id, or its name");
  command->add_option("--type", options->types, "Only events of this type; may be repeated");
  command->add_flag("--json", options->json, "JSON lines: what is printed anyway");
  command->footer(
      "After a crash some events stand there twice, with the same id.\n"
      "Example: sluice log --follow --job july-news --type Bounce");
  command->callback([options, &exit_code] { exit_code = run_log(*options); });
}

}  // namespace sluice::tools
