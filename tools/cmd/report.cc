// `sluice report`: what became of every recipient of a job, from the spool alone.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "engine/spool/job_files.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/job_rows.h"
#include "tools/cmd/outcome_report.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

constexpr size_t kPrintedAtOnce = 256UL << 10;

struct ReportOptions {
  PlaceOptions places;
  std::string job;
  std::string format;  // empty: summary
  std::vector<std::string> only;
  bool json = false;
};

// The states that --only names. A wrong one is a mistake of usage.
std::optional<ReportSummary::Only> states_of(const std::vector<std::string>& names) {
  ReportSummary::Only only{};
  for (const std::string& name : names) {
    const auto state = parse_state(name);
    if (!state) {
      std::vector<std::string> known(kStateNames.begin(), kStateNames.end());
      report_error(
          invalid("--only " + escaped(name) + ": no such state; there are " + join(known, ", ")));
      return std::nullopt;
    }
    only[static_cast<size_t>(*state)] = true;
  }
  return only;
}

// Rows left out when the list was taken are counted, but their addresses are kept nowhere.
void note_what_has_no_rows(const ReportSummary::Only& only) {
  for (const State state : {State::kSuppressed, State::kDuplicate}) {
    if (!only[static_cast<size_t>(state)]) continue;
    std::fprintf(stderr,
                 "sluice: %s recipients that were left out when the list was taken have no rows "
                 "here, only a count: see --format summary\n",
                 std::string(name_of(state)).c_str());
  }
}

Status print_rows(const OpenDirectory& directory, const Outcomes& outcomes, bool csv,
                  const ReportSummary::Only& only) {
  const bool all = std::find(only.begin(), only.end(), true) == only.end();
  std::string out(csv ? kReportHeader : "");
  const auto visit = [&](const ReportRow& row) -> Status {
    if (!all && !only[static_cast<size_t>(row.outcome.state)]) return {};
    if (csv) {
      append_csv_row(out, row);
    } else {
      append_json_row(out, row);
    }
    if (out.size() < kPrintedAtOnce) return {};
    Status printed = print(out);
    out.clear();
    return printed;
  };
  Status read = visit_rows(directory, outcomes, visit, nullptr);
  RETURN_IF_ERROR(print(out));
  return read;
}

Status print_summary(const OpenDirectory& directory, const Outcomes& outcomes, const FoundJob& job,
                     const ReportSummary::Only& only, bool json) {
  const auto id = parse_job_id(job.id);
  std::string name = id ? id->name : "";
  const StatusOr<std::string> text = directory.read("summary.json", 1UL << 20);
  if (text.ok()) {
    const StatusOr<JobSummary> summary = parse_summary(*text);
    if (summary.ok()) name = summary->name;
  }
  ReportSummary summary(job.id, name, only);
  Counts counts;
  const auto visit = [&summary](const ReportRow& row) {
    summary.add(row);
    return Status();
  };
  Status read = visit_rows(directory, outcomes, visit, &counts);
  if (!text.ok()) {
    std::fprintf(stderr, "sluice: the job is not done yet: this is what is known so far\n");
  }
  RETURN_IF_ERROR(print(json ? summary.json(counts) : summary.text(counts)));
  return read;
}

Status report(const ReportOptions& options, const ReportSummary::Only& only) {
  ASSIGN_OR_RETURN(const Places places, find_places(options.places));
  const SpoolPaths spool(places.spool);
  ASSIGN_OR_RETURN(const FoundJob job, find_job(spool, options.job));
  ASSIGN_OR_RETURN(const OpenDirectory directory, open_job(spool, job));
  if (job.place == Place::kFailed) {
    const StatusOr<std::string> why = directory.read("error.txt", 1UL << 20);
    return invalid("job " + job.id + " was refused; nothing of it was sent" +
                   (why.ok() ? ":\n" + *why : std::string()));
  }
  ASSIGN_OR_RETURN(const Outcomes outcomes,
                   read_outcomes(spool, job.id, job.place == Place::kActive ? places.socket : ""));
  if (outcomes.texts_left_out() > 0) {
    std::fprintf(stderr, "sluice: %s replies are left out: they would not fit into memory\n",
                 grouped(outcomes.texts_left_out()).c_str());
  }
  const bool rows = options.format == "csv" || options.format == "jsonl";
  if (!rows) return print_summary(directory, outcomes, job, only, options.json);
  note_what_has_no_rows(only);
  return print_rows(directory, outcomes, options.format == "csv", only);
}

int run_report(const ReportOptions& options) {
  const auto only = states_of(options.only);
  if (!only) return kUsage;
  if (options.json && options.format == "csv") {
    report_error(
        invalid("--json and --format csv contradict each other; --format jsonl prints a "
                "JSON object a row"));
    return kUsage;
  }
  const Status status = report(options, *only);
  return status.ok() ? kDone : report_error(status);
}

}  // namespace

void add_report(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand("report", "Show what became of every recipient of a job");
  command->add_option("job", options->job, "A job's id, or a name: its newest job")->required();
  options->places.add_to(*command, /*with_socket=*/true);
  command
      ->add_option("--format", options->format,
                   "summary (default), csv or jsonl: a line a recipient")
      ->check(CLI::IsMember({"csv", "jsonl", "summary"}));
  command
      ->add_option("--only", options->only,
                   "Only recipients in this state; again for more: waiting, deferred, in_flight, "
                   "delivered, bounced, expired, cancelled, rejected, suppressed, duplicate")
      ->allow_extra_args(false)
      ->delimiter(',');
  command->add_flag("--json", options->json, "Print the summary as JSON");
  command->footer(
      "Works with and without a running sluice; without one nothing is in flight.\n"
      "Example: sluice report july-news --format csv --only bounced > bounced.csv");
  command->callback([options, &exit_code] { exit_code = run_report(*options); });
}

}  // namespace sluice::tools
