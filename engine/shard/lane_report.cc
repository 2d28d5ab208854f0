// The part of a lane that says what it holds and what it waits for.
#include <algorithm>
#include <string>

#include "engine/shard/lane.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

double per_second(const std::optional<Rate>& rate) {
  if (!rate) return 0;
  return static_cast<double>(rate->amount) / std::chrono::duration<double>(rate->period).count();
}

// The key of a shaping rule that sets a limit; empty for what no rule sets.
std::string_view key_of(Bottleneck why) {
  switch (why) {
    case Bottleneck::kMessageRate:
      return "max_message_rate";
    case Bottleneck::kProviderMessageRate:
      return "provider_max_message_rate";
    case Bottleneck::kConnectionLimit:
      return "connection_limit";
    case Bottleneck::kProviderConnectionLimit:
      return "provider_connection_limit";
    case Bottleneck::kConnectionRate:
      return "max_connection_rate";
    default:
      return {};
  }
}

}  // namespace

Bottleneck Lane::bottleneck() const {
  const Instant moment = now();
  LaneFacts facts;
  const uint64_t due = queue_.due_count();
  facts.rows_waiting =
      ahead_.rows() + queue_.size() - due +
      (due > 0 && queue_.next_wake(shard_.peers().clock, moment) <= moment ? due : 0);
  facts.rows_deferred = due;
  facts.rows_loaded = ahead_.ready();
  facts.halted = shard_.halted() || shard_.recorder().full();
  facts.paused = site_.paused;
  facts.refused = moment < resume_at_;
  facts.backing_off = moment < back_off_.not_before();
  facts.reading = ahead_.is_reading();
  facts.connections = open_;
  facts.idle = static_cast<uint32_t>(idle_.size());
  facts.connection_limit = policy().connection_limit;
  facts.message_denied = limits_.message_holdup(moment);
  facts.connection_denied = limits_.connection_holdup();
  if (no_connection_left_) facts.connection_denied = Bottleneck::kMaxConnections;
  return bottleneck_of(facts);
}

Origin Lane::limit_of(Bottleneck why) const {
  const std::string_view key = key_of(why);
  if (const Origin* set = shaped_.origins.find(key)) return *set;
  Origin origin;
  origin.key = key;
  if (why == Bottleneck::kConnectionLimit) {
    origin.value = std::to_string(policy().connection_limit);
  } else if (why == Bottleneck::kMaxConnections) {
    origin = {.key = "max_connections",
              .value = std::to_string(shard_.config().engine.max_connections),
              .file = shard_.config().file,
              .table = "[engine]"};
  } else if (why == Bottleneck::kJobRate) {
    origin = {.key = "rate", .value = "", .file = "job.toml", .table = "[send]"};
  }
  return origin;
}

double Lane::rate_of(Bottleneck why) const {
  if (why == Bottleneck::kMessageRate) return per_second(policy().max_message_rate);
  if (why == Bottleneck::kProviderMessageRate) {
    return per_second(shaped_.provider_max_message_rate);
  }
  if (why != Bottleneck::kJobRate) return 0;
  const auto jobs = queue_.jobs(shard_.peers().clock);
  for (const SiteQueue::JobRows& rows : jobs) {
    const Job& job = shard_.job(rows.job);
    if (job.rate != nullptr) return per_second(job.spec.send.rate);
  }
  return 0;
}

void Lane::add_jobs_to(std::vector<LaneJob>& jobs, bool sums) const {
  const Instant moment = now();
  const auto entry = [&](JobIndex index) -> LaneJob& {
    const Job& job = shard_.job(index);
    const auto known =
        std::find_if(jobs.begin(), jobs.end(), [&](const LaneJob& j) { return j.job == job.id; });
    if (known != jobs.end()) return *known;
    LaneJob& fresh = jobs.emplace_back();
    fresh.job = job.id;
    fresh.priority = job.spec.send.priority;
    fresh.own_rate = per_second(job.spec.send.rate);
    return fresh;
  };
  const auto add = [&](const SiteQueue::JobRows& rows) {
    LaneJob& job = entry(rows.job);
    job.rows_waiting += rows.first_attempts;
    if (rows.due == 0) return;
    job.rows_deferred += rows.due;
    keep_earlier(job.first_due, std::max(rows.first_due - moment, Duration::zero()));
    keep_later(job.last_due, std::max(rows.latest_due - moment, Duration::zero()));
  };
  if (sums) {
    queue_.visit_job_sums(shard_.peers().clock, add);
  } else {
    queue_.visit_jobs(shard_.peers().clock, add);
  }
  if (ahead_.rows() == 0) return;
  ahead_.visit_jobs([&](JobIndex index, uint64_t rows) {
    if (rows > 0) entry(index).rows_waiting += rows;
  });
}

void Lane::add_to(LaneStatus& others) const {
  ++others.lanes;
  others.connections += open_;
  if (rows_waiting() == 0) return;
  others.rows_waiting += rows_waiting();
  others.wait.rate += rate_.per_second(now());
  add_jobs_to(others.wait.jobs, true);
}

LaneStatus Lane::status() const {
  const Instant moment = now();
  LaneStatus status;
  status.site = site_.name;
  status.source = shard_.config().sources[source_].name;
  status.rows_waiting = rows_waiting();
  status.connections = open_;
  status.last_failure = last_failure_;
  status.shard = shard_.number();
  status.as_of = shard_.wall_now();
  status.wait.why = tally_.dominant(moment);
  status.wait.share = tally_.share(status.wait.why, moment);
  status.wait.limit = limit_of(status.wait.why);
  status.wait.limit_rate = rate_of(status.wait.why);
  status.wait.rate = rate_.per_second(moment);
  add_jobs_to(status.wait.jobs, false);
  if (status.wait.why == Bottleneck::kJobRate) {
    for (const LaneJob& job : status.wait.jobs) {
      const Job* known = shard_.find_job_by_id(job.job);
      if (known != nullptr && known->spec.send.rate) {
        status.wait.limit.value = to_string(*known->spec.send.rate);
      }
    }
  }
  return status;
}

}  // namespace sluice
