// `sluice show`: the message that a row of a job got, or will get.
//
// The row comes from its segment, or, when intake has not come to it yet, from the list. The date
// is that of the row's first attempt, as its outcome or the journal has it; before that, now.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/strings.h"
#include "engine/record/entry.h"
#include "engine/ring/uring_io.h"
#include "engine/shard/job_loader.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/job_rows.h"
#include "tools/cmd/row_message.h"
#include "tools/cmd/run_task.h"
#include "tools/cmd/spool_jobs.h"
#include "tools/cmd/token_keys.h"

namespace sluice::tools {
namespace {

// Of a ring that reads a few files.
constexpr uint32_t kOperations = 64;

struct ShowOptions {
  std::string job;
  std::string config;
  uint64_t row = 0;
  bool json = false;
};

// What the journal knows of a row.
struct Past {
  State state = State::kWaiting;
  uint32_t attempts = 0;
  WallTime first_at{};
};

StatusOr<Past> past_of(const SpoolPaths& spool, const std::string& job, const SegmentPlace& place) {
  Past past;
  RETURN_IF_ERROR(read_journal(spool, [&](const JournalEntry& entry) {
    if (entry.kind != JournalEntry::Kind::kVerdict || entry.job != job) return Status();
    if (entry.segment != place.segment || entry.row != place.row) return Status();
    if (is_final(past.state)) return Status();
    if (!is_final(entry.state) && entry.attempts < past.attempts) return Status();
    past = {entry.state, entry.attempts, entry.first_at};
    return Status();
  }));
  return past;
}

void note_changed_files(const Job& job, const SegmentPlace& place) {
  if (job.template_hash == place.template_hash) return;
  std::fprintf(stderr,
               "sluice: job.toml or a part of the message was changed in %s after the job was "
               "taken: this is not what was sent\n",
               job.directory.c_str());
}

Status show_in(Loop& loop, const Configuration& config, const SpoolPaths& spool,
               const FoundJob& found, const ShowOptions& options) {
  ASSIGN_OR_RETURN(const OpenDirectory directory, open_job(spool, found));
  if (found.place == Place::kFailed) {
    const StatusOr<std::string> why = directory.read("error.txt", 1UL << 20);
    return invalid("job " + found.id + " was refused; nothing of it was sent" +
                   (why.ok() ? ":\n" + *why : std::string()));
  }
  const std::optional<JobId> id = parse_job_id(found.id);
  JobLoad load;
  load.directory =
      found.place == Place::kDone ? spool.done_job(found.id) : spool.active_job(found.id);
  load.id = found.id;
  if (id) load.created = id->created;
  StatusOr<TokenKeysPtr> tokens = load_token_keys(config, MissingKeys::kRefuse);
  if (tokens.ok()) load.keys.tokens = *tokens;
  const Limits limits;  // outlives the task, which refers to it
  ASSIGN_OR_RETURN(const JobPtr job,
                   run_task(loop, [&] { return load_job(loop, config, limits, load); }));
  ASSIGN_OR_RETURN(std::optional<SegmentPlace> place, find_segment_row(directory, options.row));
  Past past;
  OwnedRow row;
  if (place) {
    note_changed_files(*job, *place);
    ASSIGN_OR_RETURN(const std::optional<Outcome> outcome, find_outcome(directory, options.row));
    if (outcome) {
      past = {outcome->state, outcome->attempts, outcome->first_at};
    } else {
      ASSIGN_OR_RETURN(past, past_of(spool, found.id, *place));
    }
    row = std::move(place->contents);
  } else {
    ASSIGN_OR_RETURN(row, find_list_row(loop, *job, options.row));
  }
  const WallTime date = past.first_at == WallTime() ? loop.io().wall_now() : past.first_at;
  ASSIGN_OR_RETURN(const RowMessage message, compose_row(*job, row, date));
  if (!tokens.ok() && job->message->has_tokens()) {
    std::fprintf(stderr, "sluice: tokens are shown as x: %s\n",
                 message_of(tokens.status()).c_str());
  }
  if (!config.dkim.empty()) {
    std::fputs("sluice: without its DKIM-Signature: only the sender reads the keys\n", stderr);
  }
  if (options.json) return print(message_json(message, found.id, options.row));
  std::fprintf(stderr, "sluice: job %s, row %s, %s: %s\n", found.id.c_str(),
               std::to_string(options.row).c_str(), std::string(name_of(past.state)).c_str(),
               envelope_words(message).c_str());
  return print(message.octets);
}

Status show(const ShowOptions& options) {
  ASSIGN_OR_RETURN(
      LoadedConfiguration loaded,
      load_configuration(options.config.empty() ? default_configuration_path() : options.config));
  Configuration& config = loaded.configuration;
  if (config.smtp.hello.empty()) config.smtp.hello = host_name();
  ASSIGN_OR_RETURN(const std::unique_ptr<UringIo> io,
                   UringIo::create({.operations_max = kOperations}));
  Loop loop(*io, {.frame_bytes_max = 16UL << 20, .mailbox_entries = 64});
  const SpoolPaths spool(config.spool.path);
  ASSIGN_OR_RETURN(const FoundJob found, find_job(spool, options.job));
  Status status = show_in(loop, config, spool, found, options);
  if (status.code() != absl::StatusCode::kNotFound || found.place != Place::kActive) return status;
  // It may have moved to done/ meanwhile.
  const StatusOr<FoundJob> again = find_job(spool, found.id);
  if (!again.ok() || again->place == Place::kActive) return status;
  return show_in(loop, config, spool, *again, options);
}

}  // namespace

void add_show(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ShowOptions>();
  CLI::App* command =
      app.add_subcommand("show", "Print the message that a recipient got, or will get");
  command->add_option("job", options->job, "A job's id, or a name: its newest job")->required();
  command->add_option("--row", options->row, "The row of the list, from 1; the header is none")
      ->required()
      ->check(CLI::PositiveNumber);
  command->add_option("--config", options->config,
                      "The configuration (default: $SLUICE_CONFIG, else /etc/sluice/sluice.toml)");
  command->add_flag("--json", options->json, "Print envelope and message as one JSON object");
  command->footer(
      "Works with and without a running sluice. Line ends are CRLF. A row that gets no message\n"
      "(rejected, duplicate, suppressed) says why and ends with 65.\n"
      "Example: sluice show july-news --row 3 > message.eml");
  command->callback([options, &exit_code] {
    const Status status = show(*options);
    exit_code = status.ok() ? int{kDone} : report_error(status);
  });
}

}  // namespace sluice::tools
