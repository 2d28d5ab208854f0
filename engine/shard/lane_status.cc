#include "engine/shard/lane_status.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace sluice {

void keep_earlier(std::optional<Duration>& at, std::optional<Duration> other) {
  if (other && (!at || *other < *at)) at = other;
}

void keep_later(std::optional<Duration>& at, std::optional<Duration> other) {
  if (other && (!at || *other > *at)) at = other;
}

namespace {

void add_job(std::vector<LaneJob>& jobs, LaneJob&& more) {
  const auto known = std::find_if(jobs.begin(), jobs.end(),
                                  [&](const LaneJob& job) { return job.job == more.job; });
  if (known == jobs.end()) {
    jobs.push_back(std::move(more));
    return;
  }
  known->rows_waiting += more.rows_waiting;
  known->rows_deferred += more.rows_deferred;
  keep_earlier(known->first_due, more.first_due);
  keep_later(known->last_due, more.last_due);
}

// `rows_most`: of the shard that `sum` speaks for.
void add_lane(LaneStatus& sum, LaneStatus&& more, uint64_t& rows_most) {
  if (more.rows_waiting > rows_most) {
    rows_most = more.rows_waiting;
    sum.shard = more.shard;
    sum.wait.why = more.wait.why;
    sum.wait.share = more.wait.share;
    sum.wait.limit = std::move(more.wait.limit);
    sum.wait.limit_rate = more.wait.limit_rate;
  }
  if (sum.site == kOtherSites) sum.lanes += more.lanes;
  sum.rows_waiting += more.rows_waiting;
  sum.connections += more.connections;
  sum.as_of = std::max(sum.as_of, more.as_of);
  sum.wait.rate += more.wait.rate;
  if (sum.last_failure.empty()) sum.last_failure = std::move(more.last_failure);
  for (LaneJob& job : more.wait.jobs) add_job(sum.wait.jobs, std::move(job));
}

}  // namespace

std::vector<LaneStatus> merge_lanes(std::vector<LaneStatus> lanes) {
  std::vector<LaneStatus> merged;
  std::vector<uint64_t> rows_most;
  // The keys are copies: what they name is moved on.
  std::map<std::pair<std::string, std::string>, size_t> known;
  for (LaneStatus& lane : lanes) {
    const auto [at, is_new] = known.try_emplace({lane.site, lane.source}, merged.size());
    if (is_new) {
      rows_most.push_back(lane.rows_waiting);
      merged.push_back(std::move(lane));
    } else {
      add_lane(merged[at->second], std::move(lane), rows_most[at->second]);
    }
  }
  return merged;
}

}  // namespace sluice
