// `sluice submit`: checks a job completely and drops it into the spool; --wait follows it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "engine/control/documents.h"
#include "engine/ring/uring_io.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/follow.h"
#include "tools/cmd/row_message.h"
#include "tools/cmd/submission.h"

namespace sluice::tools {
namespace {

// Of a ring that reads a few files.
constexpr uint32_t kOperations = 64;

struct SubmitOptions {
  std::string path;
  std::string config;
  std::string name;
  bool wait = false;
  bool dry_run = false;
  uint64_t row = 0;  // 0: not given
  bool json = false;
};

Status print_id(const std::string& id, bool json) {
  return print(json ? nlohmann::json({{"job", id}}).dump() + "\n" : id + "\n");
}

Status print_end(const JobStatus& job, bool json) {
  if (json) return print(job_document(job));
  Table table({"STATE", ">RECIPIENTS", ">SHARE"});
  const int64_t total = job.counts.total();
  for (size_t i = 0; i < kStates; ++i) {
    if (job.counts.states[i] == 0) continue;
    table.add({std::string(kStateNames[i]), grouped(static_cast<uint64_t>(job.counts.states[i])),
               percent(job.counts.states[i], total)});
  }
  table.add({"total", grouped(static_cast<uint64_t>(total)), ""});
  return print(table.text());
}

void print_warnings(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    std::fprintf(stderr, "sluice: warning: %s\n", warning.c_str());
  }
}

// Prints what row --row would get, and where it would go. Nothing is written.
Status print_dry_run(Loop& loop, const Submission& submission, const SubmitOptions& options) {
  const uint64_t number = std::max<uint64_t>(options.row, 1);
  const Job& job = *submission.job;
  StatusOr<OwnedRow> row = find_list_row(loop, job, number);
  if (!row.ok()) return annotate(row.status(), submission.directory);
  ASSIGN_OR_RETURN(const RowMessage message, compose_row(job, *row, loop.io().wall_now()));
  if (options.json) return print(message_json(message, {}, number));
  std::fprintf(stderr, "sluice: the largest of %s messages has at most %s octets: row %s\n",
               grouped(submission.list.rows - submission.list.rejected).c_str(),
               grouped(submission.list.largest_bytes_max).c_str(),
               std::to_string(submission.list.largest_row).c_str());
  std::fprintf(stderr, "sluice: not sent, row %s would go %s\n", std::to_string(number).c_str(),
               envelope_words(message).c_str());
  if (job.message->has_tokens()) {
    std::fputs("sluice: tokens are shown as x: only the sender has their keys\n", stderr);
  }
  return print(message.octets);
}

StatusOr<int> submit(const SubmitOptions& options) {
  ASSIGN_OR_RETURN(
      LoadedConfiguration loaded,
      load_configuration(options.config.empty() ? default_configuration_path() : options.config));
  Configuration& config = loaded.configuration;
  if (config.smtp.hello.empty()) config.smtp.hello = host_name();
  ASSIGN_OR_RETURN(const std::unique_ptr<UringIo> io,
                   UringIo::create({.operations_max = kOperations}));
  Loop loop(*io, {.frame_bytes_max = 16UL << 20, .mailbox_entries = 64});
  ASSIGN_OR_RETURN(const Submission submission,
                   check_submission(loop, config, options.path, options.name));
  print_warnings(submission.job->message->warnings());
  print_warnings(submission.list.warnings);
  if (options.dry_run) {
    RETURN_IF_ERROR(print_dry_run(loop, submission, options));
    return int{kDone};
  }
  RETURN_IF_ERROR(publish_submission(submission, config.spool.path));
  RETURN_IF_ERROR(print_id(submission.id, options.json));
  if (!options.wait) return int{kDone};
  const Places places{config.spool.path, config.admin.socket};
  ASSIGN_OR_RETURN(const JobStatus job, follow_job(loop, places, submission.id));
  RETURN_IF_ERROR(print_end(job, options.json));
  return int{all_delivered(job.counts) ? kDone : kNotAllDelivered};
}

int run_submit(const SubmitOptions& options) {
  if (!options.name.empty() && !is_job_name(options.name)) {
    report_error(invalid("--name " + escaped(options.name) +
                         ": a name has 1 to 100 letters, digits, '.', '_' or '-' and begins with "
                         "a letter or digit"));
    return kUsage;
  }
  if (options.row != 0 && !options.dry_run) {
    report_error(invalid("--row names the row that --dry-run prints; add --dry-run"));
    return kUsage;
  }
  if (options.wait && options.dry_run) {
    report_error(invalid("--wait has nothing to wait for with --dry-run"));
    return kUsage;
  }
  const StatusOr<int> code = submit(options);
  return code.ok() ? *code : report_error(code.status());
}

}  // namespace

void add_submit(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<SubmitOptions>();
  CLI::App* command =
      app.add_subcommand("submit", "Check a job, put it into the spool, print its id");
  command->add_option("path", options->path, "A job's directory, or the job.toml in it")
      ->required();
  command->add_option("--config", options->config,
                      "The configuration (default: $SLUICE_CONFIG, else /etc/sluice/sluice.toml)");
  command->add_option("--name", options->name, "Begin the id with this, not with the job's name");
  command->add_flag("--wait", options->wait,
                    "Follow the job to its end; exit 1 when a recipient is bounced, expired, "
                    "cancelled or rejected");
  command->add_flag("--dry-run", options->dry_run,
                    "Check everything, print the finished message of a row and where it would go, "
                    "write nothing");
  command
      ->add_option("--row", options->row, "With --dry-run: the row of the list, from 1 (default 1)")
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", options->json, "Print JSON, one document a line");
  command->footer(
      "Examples:\n  sluice submit my-job/ --wait\n  sluice submit my-job/ --dry-run --row 3");
  command->callback([options, &exit_code] { exit_code = run_submit(*options); });
}

}  // namespace sluice::tools
