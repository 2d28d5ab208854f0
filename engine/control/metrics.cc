#include "engine/control/metrics.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <utility>

#include "engine/shard/tls_reports.h"

namespace sluice {
namespace {

constexpr const char* kOther = "other";

// A label's value (exposition format 0.0.4): backslash, quote and line end are escaped.
std::string label(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void head(std::string& out, const std::string& name, const char* type, const char* help) {
  out += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

void sample(std::string& out, const std::string& name, const std::string& labels, int64_t value) {
  out += name;
  if (!labels.empty()) out += "{" + labels + "}";
  out += " " + std::to_string(value) + "\n";
}

bool is_active(const JobStatus& job) { return job.phase != "done" && job.phase != "failed"; }

void add_to(Counts& sum, const Counts& more) {
  for (size_t i = 0; i < kStates; ++i) sum.states[i] += more.states[i];
}

void append_jobs(std::string& out, const std::vector<JobReport>& jobs) {
  std::map<std::string, int64_t> phases;
  for (const JobReport& job : jobs) ++phases[job.phase];
  head(out, "sluice_jobs", "gauge", "Known jobs: active ones and those that ended lately.");
  for (const auto& [phase, count] : phases) {
    sample(out, "sluice_jobs", "phase=" + label(phase), count);
  }

  head(out, "sluice_recipients", "gauge", "Recipients of the active jobs by state.");
  const auto append = [&out](const std::string& job, const Counts& counts) {
    for (size_t i = 0; i < kStates; ++i) {
      sample(out, "sluice_recipients", "job=" + label(job) + ",state=" + label(kStateNames[i]),
             counts.states[i]);
    }
  };
  size_t shown = 0;
  Counts rest;
  for (const JobReport& job : jobs) {
    if (!is_active(job)) continue;
    if (++shown <= kJobsMax) {
      append(job.id, job.counts);
    } else {
      add_to(rest, job.counts);
    }
  }
  if (shown > kJobsMax) append(kOther, rest);
}

// The rate of a job that is not shown by name is in nobody's sum; an ETA cannot be summed at all.
void append_forecasts(std::string& out, const std::vector<JobReport>& jobs) {
  std::string rates;
  std::string etas;
  size_t shown = 0;
  for (const JobReport& job : jobs) {
    if (!is_active(job) || ++shown > kJobsMax) continue;
    const std::string labels = "{job=" + label(job.id) + "} ";
    rates += "sluice_job_rate" + labels + std::to_string(job.forecast.rate) + "\n";
    if (!job.forecast.eta_in) continue;
    etas +=
        "sluice_job_eta_seconds" + labels + std::to_string(to_seconds(*job.forecast.eta_in)) + "\n";
  }
  head(out, "sluice_job_rate", "gauge",
       "Recipients a second that came to their end lately, of active jobs.");
  out += rates;
  head(out, "sluice_job_eta_seconds", "gauge", "Until an active job is done, where it is known.");
  out += etas;
}

void append_totals(std::string& out, const Counts& totals) {
  head(out, "sluice_recipients_total", "counter", "Recipients that came to a final state.");
  for (size_t i = 0; i < kStates; ++i) {
    if (!is_final(static_cast<State>(i))) continue;
    sample(out, "sluice_recipients_total", "state=" + label(kStateNames[i]), totals.states[i]);
  }
  head(out, "sluice_attempts_total", "counter", "Delivery attempts made.");
  sample(out, "sluice_attempts_total", "", totals.attempts);
  head(out, "sluice_delivered_bytes_total", "counter", "Octets of delivered messages.");
  sample(out, "sluice_delivered_bytes_total", "", totals.bytes);
}

void append_journal(std::string& out, const Journal::Stats& journal) {
  head(out, "sluice_journal_commits_total", "counter",
       "Groups of verdicts made durable, one fdatasync each.");
  sample(out, "sluice_journal_commits_total", "", static_cast<int64_t>(journal.commits));
  head(out, "sluice_journal_records_total", "counter", "Verdicts and job events made durable.");
  sample(out, "sluice_journal_records_total", "", static_cast<int64_t>(journal.records));
  head(out, "sluice_journal_bytes_total", "counter", "Octets written to the journal.");
  sample(out, "sluice_journal_bytes_total", "", static_cast<int64_t>(journal.bytes));
  head(out, "sluice_journal_unsynced", "gauge", "Verdicts that are not durable yet.");
  sample(out, "sluice_journal_unsynced", "", journal.uncommitted);
  head(out, "sluice_journal_longest_commit_seconds", "gauge",
       "The longest that writing and syncing took since the start.");
  out += "sluice_journal_longest_commit_seconds " +
         std::to_string(to_seconds(journal.longest_commit)) + "\n";
}

void append_dns_waits(std::string& out, const std::vector<Duration>& waits) {
  head(out, "sluice_dns_wait_seconds_total", "counter",
       "Time in which a shard had mail only for domains that DNS had not answered.");
  for (size_t shard = 0; shard < waits.size(); ++shard) {
    out += "sluice_dns_wait_seconds_total{shard=" + label(std::to_string(shard)) + "} " +
           std::to_string(to_seconds(waits[shard])) + "\n";
  }
}

void append_work(std::string& out, const WorkStats& work) {
  head(out, "sluice_ring_enters_total", "counter", "System calls of the rings.");
  out += "sluice_ring_enters_total " + std::to_string(work.ring_enters) + "\n";
  head(out, "sluice_taken_to_recorded_seconds", "summary",
       "From a message taken to its verdict durably recorded.");
  for (const char* const share : {"0.5", "0.99"}) {
    out += "sluice_taken_to_recorded_seconds{quantile=" + label(share) + "} " +
           std::to_string(to_seconds(work.recorded.quantile(std::atof(share)))) + "\n";
  }
  out += "sluice_taken_to_recorded_seconds_count " + std::to_string(work.recorded.total()) + "\n";
}

void append_tls(std::string& out, const TlsCounts& tls) {
  head(out, "sluice_sessions_total", "counter", "Sessions that could carry mail.");
  out += "sluice_sessions_total{tls=\"full\"} " + std::to_string(tls.full) + "\n";
  out += "sluice_sessions_total{tls=\"resumed\"} " + std::to_string(tls.resumed) + "\n";
  out += "sluice_sessions_total{tls=\"none\"} " + std::to_string(tls.clear) + "\n";
  std::map<std::string, uint64_t> by_result;
  for (size_t kind = 0; kind < tls.failed.size(); ++kind) {
    by_result[tls_result_type(static_cast<TlsFailureKind>(kind))] += tls.failed[kind];
  }
  head(out, "sluice_tls_failures_total", "counter",
       "Handshakes that failed, by the result types of TLS reports.");
  for (const auto& [result, count] : by_result) {
    out +=
        "sluice_tls_failures_total{result=" + label(result) + "} " + std::to_string(count) + "\n";
  }
}

void append_sites(std::string& out, const std::vector<SiteReport>& sites) {
  std::map<std::string, int64_t> by_site;
  int64_t waiting = 0;
  for (const SiteReport& site : sites) {
    by_site[site.site] += site.connections;
    waiting += static_cast<int64_t>(site.rows_waiting);
  }
  std::vector<std::pair<std::string, int64_t>> ranked(by_site.begin(), by_site.end());
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  head(out, "sluice_site_connections", "gauge", "Open connections by site.");
  int64_t other = 0;
  bool has_other = ranked.size() > kSitesMax;
  for (size_t i = 0; i < ranked.size(); ++i) {
    if (i >= kSitesMax || ranked[i].first == kOtherSites) {
      other += ranked[i].second;
      has_other = true;
    } else {
      sample(out, "sluice_site_connections", "site=" + label(ranked[i].first), ranked[i].second);
    }
  }
  if (has_other) sample(out, "sluice_site_connections", "site=" + label(kOther), other);
  head(out, "sluice_site_rows_waiting", "gauge", "Rows queued at sites.");
  sample(out, "sluice_site_rows_waiting", "", waiting);
}

}  // namespace

Counts Totals::add(const std::vector<JobReport>& jobs) {
  std::map<std::string, Counts> now;
  for (const JobReport& job : jobs) {
    const auto known = seen_.find(job.id);
    const Counts before = known == seen_.end() ? Counts() : known->second;
    const auto gain = [](int64_t from, int64_t to) { return std::max<int64_t>(to - from, 0); };
    for (size_t i = 0; i < kStates; ++i) {
      if (!is_final(static_cast<State>(i))) continue;
      sum_.states[i] += gain(before.states[i], job.counts.states[i]);
    }
    sum_.attempts += gain(before.attempts, job.counts.attempts);
    sum_.maybe_delivered += gain(before.maybe_delivered, job.counts.maybe_delivered);
    sum_.bytes += gain(before.bytes, job.counts.bytes);
    now[job.id] = job.counts;
  }
  seen_ = std::move(now);
  return sum_;
}

std::string metrics_text(const MetricsInput& input) {
  std::string out;
  head(out, "sluice_build_info", "gauge", "The program that runs.");
  sample(out, "sluice_build_info", "version=" + label(input.version), 1);
  head(out, "sluice_halted", "gauge", "1 when sending has stopped: the journal cannot be written.");
  sample(out, "sluice_halted", "", input.halted ? 1 : 0);
  head(out, "sluice_shards", "gauge", "Shards that run.");
  sample(out, "sluice_shards", "", input.shards);
  append_jobs(out, input.jobs);
  append_forecasts(out, input.jobs);
  append_totals(out, input.totals);
  append_journal(out, input.journal);
  append_dns_waits(out, input.dns_waits);
  append_work(out, input.work);
  append_tls(out, input.work.tls);
  append_sites(out, input.sites);
  return out;
}

}  // namespace sluice
