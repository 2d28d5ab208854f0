// sluice bench: sends a made-up job to a sink and prints the figures.
#include "tools/cmd/bench.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tools/cmd/bench_run.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"

namespace sluice::tools {
namespace {

constexpr const char* kFooter =
    R"(Writes a made-up personalised job (HTML and text, five fields) into a temporary spool, starts
a sink on one core and the sender on another, waits until the job is done and prints what it cost.
Mail stays on the machine: loopback only.

MODES say how messages lie on the wire:
  lockstep  each command waits for its answer
  data      PIPELINING with DATA: one round trip a message
  chunking  BDAT when the envelope is accepted: one round trip a message
  blind     BDAT without waiting: many messages in flight from the first on
  earned    as without any rule: chunking, then blind when the exchanger has passed its probe
Several modes take turns in each round, so that the machine's moods strike them alike.

"taken" is when a row left the list for a connection, "answered" when the receiver's verdict came,
"recorded" when it was on disk. Allocations are counted in a short run of their own without delay.
Exit codes: 0 all messages delivered and counted, else those of sysexits.h.

Examples:
  sluice bench --mode data --mode blind --runs 5
  sluice bench --messages 20000 --rtt 30ms --connections 5 --per-connection 50 --json)";

void say_progress(const BenchResult& result, const BenchOptions& options) {
  if (options.json || !is_terminal(stderr)) return;
  std::fprintf(stderr, "run %zu of %u: %s\n", result.runs.size() + 1, options.runs,
               std::string(name_of(result.mode)).c_str());
}

Status measure(const BenchOptions& options, int signals) {
  ASSIGN_OR_RETURN(BenchDirectory directory, BenchDirectory::make(options.spool));
  const BenchMachine machine = bench_machine(directory.path());
  std::vector<BenchResult> results;
  for (const BenchMode mode : options.modes) results.push_back({mode, {}});
  for (uint32_t round = 0; round < options.runs; ++round) {
    for (BenchResult& result : results) {
      say_progress(result, options);
      ASSIGN_OR_RETURN(BenchFigures figures, run_bench(directory, options, result.mode, signals));
      result.runs.push_back(std::move(figures));
    }
  }
  for (BenchResult& result : results) {
    if (!options.count_allocations) break;
    ASSIGN_OR_RETURN(const std::optional<double> allocations,
                     count_allocations(directory, options, result.mode, signals));
    if (allocations) result.runs.front().values[Figure::kAllocations] = *allocations;
  }
  if (!options.json) return print(bench_table(options, machine, results));
  for (const BenchResult& result : results) {
    RETURN_IF_ERROR(print(bench_json(options, machine, result)));
  }
  return {};
}

int run(BenchOptions options, const BenchTexts& texts) {
  const Status understood = understand(texts, options);
  if (!understood.ok()) {
    report_error(understood);
    return absl::IsInvalidArgument(understood) ? static_cast<int>(kUsage)
                                               : exit_code_of(understood);
  }
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGINT);
  sigaddset(&mask, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  const int signals = ::signalfd(-1, &mask, SFD_CLOEXEC);
  if (signals < 0) return report_error(unavailable("cannot make a signalfd"));
  const Status status = measure(options, signals);
  ::close(signals);
  if (absl::IsCancelled(status)) {
    report_error(status);
    return kTryAgain;
  }
  return status.ok() ? static_cast<int>(kDone) : report_error(status);
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<BenchOptions>();
  auto texts = std::make_shared<BenchTexts>();
  CLI::App* command =
      app.add_subcommand("bench", "Send a made-up job to a sink; print the figures");
  command->add_option("--messages", options->messages, "How many")->capture_default_str();
  command->add_option("--mode", texts->modes,
                      "One of MODES below; again for more (default earned)");
  command->add_option("--rtt", texts->rtt, "The sink delays every group of replies so long")
      ->capture_default_str();
  command->add_option("--connections", options->connections, "To each exchanger, at most")
      ->capture_default_str();
  command
      ->add_option("--per-connection", options->per_connection,
                   "Messages on a connection, at most; 0: as without a rule")
      ->capture_default_str();
  command->add_option("--size", texts->size, "Of a message, about")->capture_default_str();
  command->add_option("--domains", options->domains, "Among which the recipients are")
      ->capture_default_str();
  command
      ->add_option("--zipf", options->zipf,
                   "Domain k has recipients as 1/k^S; 0: all domains alike")
      ->capture_default_str();
  command->add_option("--exchangers", options->exchangers, "Sites, with addresses of their own")
      ->capture_default_str();
  command->add_option("--runs", options->runs, "Of each mode; medians are printed")
      ->capture_default_str();
  command->add_option("--cores", texts->cores, "SENDER,SINK to be pinned to, or none")
      ->capture_default_str();
  command->add_option("--shards", options->shards, "Of the sender; above 1 it is not pinned")
      ->capture_default_str();
  command->add_option("--spool", options->spool,
                      "Directory for the temporary spool (default $TMPDIR or /tmp)");
  command->add_flag("!--no-allocations", options->count_allocations, "Do not count allocations");
  command->add_flag("--json", options->json, "Print JSON, a line a mode");
  command->footer(kFooter);
  command->callback([options, texts, &exit_code] { exit_code = run(*options, *texts); });
}

}  // namespace sluice::tools
