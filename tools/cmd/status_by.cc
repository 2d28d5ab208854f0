#include "tools/cmd/status_by.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "tools/cmd/job_rows.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

constexpr size_t kShown = 50;

using ByKey = std::map<std::string, Counts, std::less<>>;

void count(ByKey& all, std::string_view key, const ReportRow& row) {
  auto found = all.find(key);
  if (found == all.end()) found = all.emplace(key, Counts()).first;
  ++found->second.states[static_cast<size_t>(row.outcome.state)];
  found->second.attempts += row.outcome.attempts;
  if (row.outcome.maybe_delivered) ++found->second.maybe_delivered;
  if (row.outcome.dns_stale) ++found->second.stale;
}

// Rejected rows have no domain; rows that no source has tried yet have none either.
std::string_view key_of(const ReportRow& row, bool by_domain) {
  if (!by_domain) return row.outcome.source;
  if (row.outcome.state == State::kRejected) return {};
  return row.recipient.substr(row.recipient.rfind('@') + 1);
}

Status count_job_rows(const SpoolPaths& spool, const Places& places, const FoundJob& job,
                      bool by_domain, ByKey& all) {
  ASSIGN_OR_RETURN(const OpenDirectory directory, open_job(spool, job));
  if (job.place == Place::kFailed)
    return invalid("job " + job.id + " was refused: nothing is sent");
  ASSIGN_OR_RETURN(const Outcomes outcomes,
                   read_outcomes(spool, job.id, job.place == Place::kActive ? places.socket : ""));
  const auto visit = [&](const ReportRow& row) {
    count(all, key_of(row, by_domain), row);
    return Status();
  };
  return visit_rows(directory, outcomes, visit, nullptr);
}

std::string json_lines(const std::string& by, const ByKey& all) {
  std::string out;
  for (const auto& [key, counts] : all) {
    nlohmann::ordered_json line;
    line[by] = key.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(key);
    line["total"] = counts.total();
    for (size_t i = 0; i < kStates; ++i) line[std::string(kStateNames[i])] = counts.states[i];
    line["attempts"] = counts.attempts;
    line["maybe_delivered"] = counts.maybe_delivered;
    line["stale"] = counts.stale;
    out += line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  return out;
}

std::string table_of(const std::string& by, const ByKey& all) {
  std::vector<std::pair<std::string_view, const Counts*>> ranked;
  for (const auto& [key, counts] : all) ranked.emplace_back(key, &counts);
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return a.second->total() > b.second->total();
  });
  Table table({by == "domain" ? "DOMAIN" : "SOURCE", ">TOTAL", ">ATTEMPTS", "RECIPIENTS"});
  for (size_t i = 0; i < ranked.size() && i < kShown; ++i) {
    const auto& [key, counts] = ranked[i];
    table.add({key.empty() ? "-" : escaped(key, 80),
               grouped(static_cast<uint64_t>(counts->total())),
               grouped(static_cast<uint64_t>(counts->attempts)), state_words(*counts)});
  }
  std::string text = table.text();
  if (ranked.size() > kShown) {
    text += "and " + grouped(ranked.size() - kShown) + " more: --json prints all\n";
  }
  return text;
}

}  // namespace

Status show_status_by(const Places& places, const StatusByOptions& options) {
  const SpoolPaths spool(places.spool);
  std::vector<FoundJob> jobs;
  if (options.job.empty()) {
    ASSIGN_OR_RETURN(jobs, list_jobs(spool));
    std::erase_if(jobs, [](const FoundJob& job) { return job.place != Place::kActive; });
    if (jobs.empty()) {
      std::fprintf(stderr, "sluice: no job is active; name one: sluice status JOB --by %s\n",
                   options.by.c_str());
      return {};
    }
  } else {
    ASSIGN_OR_RETURN(FoundJob job, find_job(spool, options.job));
    jobs.push_back(std::move(job));
  }
  ByKey all;
  for (const FoundJob& job : jobs) {
    RETURN_IF_ERROR(count_job_rows(spool, places, job, options.by == "domain", all));
  }
  return print(options.json ? json_lines(options.by, all) : table_of(options.by, all));
}

}  // namespace sluice::tools
