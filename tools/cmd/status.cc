// `sluice status`: jobs and their counts, from the daemon; without one, from the spool.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "engine/control/admin_client.h"
#include "engine/control/documents.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/spool_jobs.h"
#include "tools/cmd/status_by.h"

namespace sluice::tools {
namespace {

struct StatusOptions {
  PlaceOptions places;
  std::string job;
  std::string by;
  bool json = false;
};

// The job with that id, else the newest of that name; null when there is none.
const JobStatus* pick(const std::vector<JobStatus>& jobs, const std::string& id_or_name) {
  const JobStatus* newest = nullptr;
  for (const JobStatus& job : jobs) {
    if (job.id == id_or_name) return &job;
    const auto id = parse_job_id(job.id);
    const bool is_named = job.name == id_or_name || (id && id->name == id_or_name);
    if (is_named && (newest == nullptr || job.created >= newest->created)) newest = &job;
  }
  return newest;
}

// Delivered messages a second since the job was taken.
std::string rate_words(const JobStatus& job) {
  const WallTime end = job.finished == WallTime() ? wall_now() : job.finished;
  const double seconds = to_seconds(end - job.created);
  const auto delivered = static_cast<double>(job.counts[State::kDelivered]);
  if (job.phase == "stopped" || delivered <= 0 || seconds <= 0) return "-";
  const double rate = delivered / seconds;
  if (rate >= 10) return grouped(static_cast<uint64_t>(rate)) + "/s";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f/s", rate);
  return text;
}

std::string job_table(const std::vector<JobStatus>& jobs) {
  Table table({"JOB", ">TOTAL", ">RATE", "PHASE", "RECIPIENTS"});
  std::string errors;
  for (const JobStatus& job : jobs) {
    table.add({job.id, grouped(static_cast<uint64_t>(job.counts.total())), rate_words(job),
               job.phase, job.phase == "failed" ? "refused" : state_words(job.counts)});
    if (!job.error.empty()) {
      errors += "\n" + coloured(stdout, 31, job.id) + ": " + job.error + "\n";
    }
  }
  return table.text() + errors;
}

std::string site_table(const std::vector<Shard::SiteStatus>& sites) {
  Table table({"SITE", "SOURCE", ">WAITING", ">CONNECTIONS", "LAST FAILURE"});
  for (const Shard::SiteStatus& site : sites) {
    table.add({escaped(site.site), site.source, grouped(site.rows_waiting),
               grouped(site.connections), escaped(site.last_failure, 120)});
  }
  return table.text();
}

Status show_sites(const Places& places, const StatusOptions& options) {
  ASSIGN_OR_RETURN(const std::string document, admin_get(places.socket, "/api/v1/sites"));
  if (options.json) return print(document);
  ASSIGN_OR_RETURN(const std::vector<Shard::SiteStatus> sites, parse_sites_document(document));
  if (sites.empty()) {
    std::fprintf(stderr, "sluice: no site has mail\n");
    return {};
  }
  return print(site_table(sites));
}

Status show_jobs(const std::vector<JobStatus>& jobs, bool json, bool one) {
  if (json) return print(one ? job_document(jobs.front()) : jobs_document(jobs));
  if (jobs.empty()) {
    std::fprintf(stderr, "sluice: no jobs; send one with `sluice submit`\n");
    return {};
  }
  return print(job_table(jobs));
}

StatusOr<std::vector<JobStatus>> from_spool(const SpoolPaths& spool, const std::string& job) {
  std::vector<FoundJob> found;
  if (job.empty()) {
    ASSIGN_OR_RETURN(found, list_jobs(spool));
  } else {
    ASSIGN_OR_RETURN(FoundJob one, find_job(spool, job));
    found.push_back(std::move(one));
  }
  std::vector<JobStatus> jobs;
  for (const FoundJob& entry : found) {
    StatusOr<JobStatus> status = status_from_spool(spool, entry);
    if (status.ok()) {
      jobs.push_back(std::move(*status));
    } else if (!job.empty()) {
      return status.status();
    } else {
      report_error(annotate(status.status(), entry.id));
    }
  }
  return jobs;
}

Status show_status(const StatusOptions& options) {
  ASSIGN_OR_RETURN(const Places places, find_places(options.places));
  if (options.by == "site") return show_sites(places, options);
  if (!options.by.empty()) {
    return show_status_by(places, {options.by, options.job, options.json});
  }
  const bool one = !options.job.empty();
  const StatusOr<std::string> document = admin_get(places.socket, "/api/v1/jobs");
  if (document.ok()) {
    if (!one && options.json) return print(*document);
    ASSIGN_OR_RETURN(std::vector<JobStatus> jobs, parse_jobs_document(*document));
    if (!one) return show_jobs(jobs, options.json, one);
    if (const JobStatus* job = pick(jobs, options.job)) {
      return show_jobs({*job}, options.json, one);
    }
  }
  // Ended long ago, or there is no daemon to ask.
  const StatusOr<std::vector<JobStatus>> jobs = from_spool(SpoolPaths(places.spool), options.job);
  if (document.ok() && !jobs.ok()) return jobs.status();
  if (!document.ok()) {
    if (!one && (!jobs.ok() || jobs->empty())) return document.status();
    report_error(document.status());
    if (!jobs.ok()) return jobs.status();
    std::fprintf(stderr, "sluice: this is what the spool %s shows\n", places.spool.c_str());
  }
  return show_jobs(*jobs, options.json, one);
}

int run_status(const StatusOptions& options) {
  const Status status = show_status(options);
  return status.ok() ? kDone : report_error(status);
}

}  // namespace

void add_status(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* command = app.add_subcommand("status", "Show jobs and their counts");
  command->add_option("job", options->job, "A job's id, or a name: its newest job");
  options->places.add_to(*command, /*with_socket=*/true);
  command
      ->add_option("--by", options->by,
                   "site: what waits where, and why; domain, source: recipients by state")
      ->check(CLI::IsMember({"domain", "site", "source"}));
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Without a running sluice it shows what the spool's files tell.\n"
      "Example: sluice status july-news");
  command->callback([options, &exit_code] { exit_code = run_status(*options); });
}

}  // namespace sluice::tools
