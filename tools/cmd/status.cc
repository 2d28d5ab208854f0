// `sluice status`: jobs and their counts, from the daemon; without one, from the spool.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
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
const JobReport* pick(const std::vector<JobReport>& jobs, const std::string& id_or_name) {
  const JobReport* newest = nullptr;
  for (const JobReport& job : jobs) {
    if (job.id == id_or_name) return &job;
    const auto id = parse_job_id(job.id);
    const bool is_named = job.name == id_or_name || (id && id->name == id_or_name);
    if (is_named && (newest == nullptr || job.created >= newest->created)) newest = &job;
  }
  return newest;
}

bool is_ended(const JobStatus& job) {
  return job.phase == "done" || job.phase == "failed" || job.phase == "stopped";
}

std::string per_second(double rate) {
  if (rate <= 0) return "-";
  if (rate >= 10) return grouped(static_cast<uint64_t>(std::llround(rate))) + "/s";
  char text[32];
  std::snprintf(text, sizeof text, "%.1f/s", rate);
  return text;
}

// Now; of an ended job delivered messages a second since it was taken.
std::string rate_words(const JobReport& job) {
  if (!is_ended(job)) return per_second(job.forecast.rate);
  const double seconds = to_seconds(job.finished - job.created);
  if (job.phase != "done" || seconds <= 0) return "-";
  return per_second(static_cast<double>(job.counts[State::kDelivered]) / seconds);
}

// This machine's time of day; with the date when it is more than half a day away.
std::string clock_words(WallTime at, Duration from_now) {
  const std::time_t seconds = unix_seconds(at);
  std::tm parts{};
  char text[64];
  if (localtime_r(&seconds, &parts) == nullptr) return "-";
  const bool is_near = from_now < std::chrono::hours(12);
  const size_t length = is_near ? std::strftime(text, sizeof text, "%H:%M:%S", &parts)
                                : std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return length == 0 ? "-" : text;
}

// "21:35:07 (12m05s)"; "-" when it is not known.
std::string eta_words(const std::optional<Duration>& eta_in, WallTime eta) {
  if (!eta_in) return "-";
  const std::string left = duration_words(*eta_in);
  return eta == WallTime() ? left : clock_words(eta, *eta_in) + " (" + left + ")";
}

// What holds an active job back, and what its ETA leaves out or waits for.
std::string forecast_words(const JobReport& job) {
  const JobForecast& forecast = job.forecast;
  const BottleneckReport& bottleneck = forecast.bottleneck;
  std::vector<std::string> parts;
  if (bottleneck.why != Bottleneck::kNone) {
    std::string words = "waits for " + words_of(bottleneck);
    if (!bottleneck.site.empty()) words += " at " + bottleneck.site;
    if (!bottleneck.source.empty()) words += " from " + bottleneck.source;
    const auto share = static_cast<int>(std::lround(bottleneck.share * 100));
    if (share > 0 && share < 100) words += ", " + std::to_string(share) + "% of the time";
    parts.push_back(std::move(words));
  }
  if (forecast.last_due != WallTime()) {
    parts.push_back(grouped(static_cast<uint64_t>(job.counts[State::kDeferred])) +
                    " deferred, the last due at " +
                    clock_words(forecast.last_due, forecast.last_due - wall_now()));
  }
  if (forecast.held > 0) {
    parts.push_back(grouped(forecast.held) +
                    " at sites that cannot be reached or are paused, not in the ETA");
  }
  std::string line;
  for (const std::string& part : parts) line += (line.empty() ? "" : "; ") + part;
  return line.empty() ? "" : job.id + ": " + escaped(line, 400) + "\n";
}

std::string job_table(const std::vector<JobReport>& jobs) {
  Table table({"JOB", ">TOTAL", ">RATE", "ETA", "PHASE", "RECIPIENTS"});
  std::string notes;
  std::string errors;
  for (const JobReport& job : jobs) {
    table.add({job.id, grouped(static_cast<uint64_t>(job.counts.total())), rate_words(job),
               eta_words(job.forecast.eta_in, job.forecast.eta), job.phase,
               job.phase == "failed" ? "refused" : state_words(job.counts)});
    if (!is_ended(job)) notes += forecast_words(job);
    if (!job.error.empty()) {
      errors += "\n" + coloured(stdout, 31, job.id) + ": " + job.error + "\n";
    }
  }
  return table.text() + (notes.empty() ? "" : "\n" + notes) + errors;
}

std::string site_table(const std::vector<SiteReport>& sites) {
  Table table(
      {"SITE", "SOURCE", ">WAITING", ">CONNECTIONS", ">RATE", "ETA", "WAITS FOR", "LAST FAILURE"});
  for (const SiteReport& site : sites) {
    const bool waits = site.bottleneck.why != Bottleneck::kNone;
    const std::string name =
        site.site == kOtherSites ? "(" + grouped(site.lanes) + " other sites)" : escaped(site.site);
    table.add(
        {name, site.source.empty() ? "-" : site.source, grouped(site.rows_waiting),
         grouped(site.connections), per_second(site.wait.rate), eta_words(site.eta_in, site.eta),
         waits ? escaped(words_of(site.bottleneck), 120) : "-", escaped(site.last_failure, 120)});
  }
  return table.text();
}

Status show_sites(const Places& places, const StatusOptions& options) {
  ASSIGN_OR_RETURN(const std::string document, admin_get(places.socket, "/api/v1/sites"));
  if (options.json) return print(document);
  ASSIGN_OR_RETURN(const std::vector<SiteReport> sites, parse_sites_document(document));
  if (sites.empty()) {
    std::fprintf(stderr, "sluice: no site has mail\n");
    return {};
  }
  return print(site_table(sites));
}

Status show_jobs(const std::vector<JobReport>& jobs, bool json, bool one) {
  if (json) return print(one ? job_document(jobs.front()) : jobs_document(jobs));
  if (jobs.empty()) {
    std::fprintf(stderr, "sluice: no jobs; send one with `sluice submit`\n");
    return {};
  }
  return print(job_table(jobs));
}

StatusOr<std::vector<JobReport>> from_spool(const SpoolPaths& spool, const std::string& job) {
  std::vector<FoundJob> found;
  if (job.empty()) {
    ASSIGN_OR_RETURN(found, list_jobs(spool));
  } else {
    ASSIGN_OR_RETURN(FoundJob one, find_job(spool, job));
    found.push_back(std::move(one));
  }
  std::vector<JobReport> jobs;
  for (const FoundJob& entry : found) {
    StatusOr<JobStatus> status = status_from_spool(spool, entry);
    if (status.ok()) {
      static_cast<JobStatus&>(jobs.emplace_back()) = std::move(*status);
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
    ASSIGN_OR_RETURN(std::vector<JobReport> jobs, parse_jobs_document(*document));
    if (!one) return show_jobs(jobs, options.json, one);
    if (const JobReport* job = pick(jobs, options.job)) {
      return show_jobs({*job}, options.json, one);
    }
  }
  // Ended long ago, or there is no daemon to ask.
  const StatusOr<std::vector<JobReport>> jobs = from_spool(SpoolPaths(places.spool), options.job);
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
  CLI::App* command = app.add_subcommand(
      "status", "Show jobs: their counts, when they will be done, and what holds them back");
  command->add_option("job", options->job, "A job's id, or a name: its newest job");
  options->places.add_to(*command, /*with_socket=*/true);
  command
      ->add_option("--by", options->by,
                   "site: what waits where, and what for; domain, source: recipients by state")
      ->check(CLI::IsMember({"domain", "site", "source"}));
  command->add_flag("--json", options->json, "Print JSON");
  command->footer(
      "Without a running sluice it shows what the spool's files tell.\n"
      "Example: sluice status july-news");
  command->callback([options, &exit_code] { exit_code = run_status(*options); });
}

}  // namespace sluice::tools
