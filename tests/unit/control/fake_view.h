// An engine that only has a status, for tests of what shows it.
#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/control/engine_view.h"

namespace sluice {

class FakeView final : public EngineView {
 public:
  StatusOr<std::vector<JobReport>> jobs() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!trouble_.ok()) return trouble_;
    return jobs_;
  }
  StatusOr<std::vector<SiteReport>> sites() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!trouble_.ok()) return trouble_;
    return sites_;
  }
  StatusOr<std::vector<RowPlace>> in_flight(const std::string& job) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!trouble_.ok()) return trouble_;
    if (job != "busy") return std::vector<RowPlace>();
    return std::vector<RowPlace>{{0, 5}, {3, 7}};
  }
  StatusOr<Journal::Stats> journal_stats() override {
    Journal::Stats stats;
    stats.commits = 12;
    stats.records = 3'400;
    stats.bytes = 95'200;
    return stats;
  }
  StatusOr<ExplainedRoute> resolve(const std::string& domain) override {
    if (domain == "slow.example") return unavailable("DNS does not answer for " + domain);
    auto route = std::make_shared<Route>();
    route->site = "(a|b).mx.example";
    route->stale = true;
    route->exchangers.push_back({"a.mx.example", 10, {*parse_ip("192.0.2.1")}});
    ExplainedRoute explained;
    explained.route = route;
    explained.lives = std::chrono::seconds(77);
    explained.servers = "127.0.0.1:53";
    explained.trace.facts.push_back({.name = domain,
                                     .type = "MX",
                                     .kind = "records",
                                     .source = "stale",
                                     .ad = true,
                                     .age = std::chrono::seconds(60),
                                     .lives = std::chrono::milliseconds(1'500),
                                     .records = {"10 a.mx.example", "20 b.mx.example"},
                                     .detail = {}});
    explained.trace.unusable.push_back({"b.mx.example", 20, "10.0.0.1", "private"});
    return explained;
  }
  Status command(const std::string& job, JobEvent event) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (job == "none") return missing("no such job");
    commands_.push_back(job + " " + std::to_string(static_cast<int>(event)));
    return trouble_;
  }
  Status resume_unread(const std::string& job) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back(job + " unread");
    return trouble_;
  }
  Status pause_site(const std::string& site, bool paused) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back((paused ? "pause " : "resume ") + site);
    return trouble_;
  }
  std::vector<std::string> commands() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return commands_;
  }
  uint32_t shard_count() const override { return 2; }
  bool halted() const override { return halted_; }

  void set_jobs(std::vector<JobReport> jobs) {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_ = std::move(jobs);
  }
  void set_sites(std::vector<SiteReport> sites) {
    const std::lock_guard<std::mutex> lock(mutex_);
    sites_ = std::move(sites);
  }
  void set_trouble(Status trouble) {
    const std::lock_guard<std::mutex> lock(mutex_);
    trouble_ = std::move(trouble);
  }
  void set_halted(bool halted) { halted_ = halted; }

 private:
  std::vector<std::string> commands_;
  std::mutex mutex_;
  std::vector<JobReport> jobs_;
  std::vector<SiteReport> sites_;
  Status trouble_;
  std::atomic<bool> halted_{false};
};

inline SiteReport site_with(const std::string& site, const std::string& source, uint64_t waiting,
                            uint32_t connections, const std::string& failure = "") {
  SiteReport report;
  report.site = site;
  report.source = source;
  report.rows_waiting = waiting;
  report.connections = connections;
  report.last_failure = failure;
  return report;
}

inline JobReport job_with(const std::string& id, const std::string& phase, int64_t delivered,
                          int64_t waiting) {
  JobReport job;
  job.id = id;
  job.name = "july";
  job.phase = phase;
  job.counts.states[static_cast<size_t>(State::kDelivered)] = delivered;
  job.counts.states[static_cast<size_t>(State::kWaiting)] = waiting;
  job.counts.attempts = delivered;
  job.counts.bytes = delivered * 1'000;
  job.created = from_unix_seconds(1'700'000'000);
  return job;
}

}  // namespace sluice
