#include "engine/control/forecast.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

// From these on the CPU, or DNS, is what holds a shard up.
constexpr double kBusy = 0.9;
constexpr double kWaitsForDns = 0.2;

// A job at a lane.
struct Place {
  const LaneStatus* lane = nullptr;
  size_t job = 0;  // in the lane's list
};

bool is_held(Bottleneck why) {
  return why == Bottleneck::kBackOff || why == Bottleneck::kRefused || why == Bottleneck::kPaused;
}

// What a busy core would look like from the lane.
bool may_be_cpu(Bottleneck why) {
  return why == Bottleneck::kNone || why == Bottleneck::kReplies || why == Bottleneck::kDisk ||
         why == Bottleneck::kConnectionLimit || why == Bottleneck::kMaxConnections ||
         why == Bottleneck::kProviderConnectionLimit;
}

LaneRest rest_at(const LaneStatus& lane, size_t of, WallTime now) {
  LaneRest rest;
  std::vector<LaneShare> shares;
  for (const LaneJob& job : lane.wait.jobs) {
    shares.push_back({job.priority, job.rows_waiting + job.rows_deferred});
  }
  const LaneJob& job = lane.wait.jobs[of];
  rest.waiting = job.rows_waiting;
  rest.deferred = job.rows_deferred;
  rest.ahead = rows_ahead(shares, of);
  rest.rate = lane.wait.rate;
  if (lane.wait.why == Bottleneck::kMessageRate) rest.limit_rate = lane.wait.limit_rate;
  rest.first_due = job.first_due;
  rest.last_due = job.last_due;
  rest.age = std::max(now - lane.as_of, Duration(0));
  rest.held = is_held(lane.wait.why);
  return rest;
}

BottleneckReport bottleneck_of(const LaneStatus& lane, const std::vector<ShardLoad>& loads) {
  BottleneckReport report;
  report.site = lane.site;
  report.source = lane.source;
  // What it waited for lately matters to nobody once nothing waits.
  if (lane.rows_waiting == 0) return report;
  report.why = lane.wait.why;
  report.share = lane.wait.share;
  if (is_limit(report.why)) {
    report.limit = limit_text(lane.wait.limit);
    if (!report.limit.empty()) report.origin = place_text(lane.wait.limit);
  }
  const double busy = lane.shard < loads.size() ? loads[lane.shard].busy : -1;
  if (busy >= kBusy && may_be_cpu(report.why)) {
    report.why = Bottleneck::kCpu;
    report.share = busy;
    report.limit.clear();
    report.origin.clear();
  }
  return report;
}

BottleneckReport simply(Bottleneck why, double share = 1) {
  BottleneckReport report;
  report.why = why;
  report.share = share;
  return report;
}

double most(const std::vector<ShardLoad>& loads, double ShardLoad::*of) {
  double value = -1;
  for (const ShardLoad& load : loads) value = std::max(value, load.*of);
  return value;
}

// What keeps rows from coming to the lanes; nothing when they are there.
std::optional<BottleneckReport> before_lanes(const JobStatus& job, const JobPace& pace,
                                             uint64_t at_lanes,
                                             const std::vector<ShardLoad>& loads) {
  const auto waiting = static_cast<uint64_t>(std::max<int64_t>(job.counts[State::kWaiting], 0));
  const bool taking = job.phase == "taking";
  if (waiting > 0 && at_lanes < waiting / 2 + 1) {
    const double dns = most(loads, &ShardLoad::dns_wait);
    if (dns >= kWaitsForDns) return simply(Bottleneck::kDns, dns);
    const double busy = most(loads, &ShardLoad::busy);
    if (busy >= kBusy) return simply(Bottleneck::kCpu, busy);
  }
  // All that was read so far is gone within a second.
  if (taking && static_cast<double>(waiting) <= pace.lately.begun) {
    return simply(Bottleneck::kList);
  }
  return std::nullopt;
}

BottleneckReport bottleneck_of(const JobStatus& job, const JobPace& pace, const Eta& eta,
                               const std::vector<Place>& places, const EngineSnapshot& snapshot) {
  if (job.phase == "scheduled") return simply(Bottleneck::kScheduled);
  if (job.phase == "paused") return simply(Bottleneck::kPaused);
  const bool active = job.phase == "taking" || job.phase == "sending";
  if (!active || (job.phase == "sending" && job.counts.open() == 0)) return {};
  if (snapshot.halted) return simply(Bottleneck::kDisk);
  uint64_t at_lanes = 0;
  for (const Place& place : places) at_lanes += place.lane->wait.jobs[place.job].rows_waiting;
  if (auto before = before_lanes(job, pace, at_lanes, snapshot.loads)) return std::move(*before);

  const Place* last = eta.last_lane ? &places[*eta.last_lane] : nullptr;
  if (last == nullptr && !places.empty()) {
    // All of them are held: the one where most of the job waits.
    last = &*std::max_element(places.begin(), places.end(), [](const Place& a, const Place& b) {
      const auto rows = [](const Place& place) {
        const LaneJob& at = place.lane->wait.jobs[place.job];
        return at.rows_waiting + at.rows_deferred;
      };
      return rows(a) < rows(b);
    });
  }
  if (last != nullptr) {
    BottleneckReport report = bottleneck_of(*last->lane, snapshot.loads);
    const LaneJob& at = last->lane->wait.jobs[last->job];
    if (at.rows_waiting == 0 && at.rows_deferred > 0 && !is_held(report.why)) {
      report = simply(Bottleneck::kRetry);
      report.site = last->lane->site;
      report.source = last->lane->source;
    }
    // Another job's rate is no reason for this one: it takes turns with what is in flight.
    const bool others = report.why == Bottleneck::kJobRate && at.own_rate <= 0;
    if (!others && report.why != Bottleneck::kNone) return report;
  }
  if (job.counts[State::kInFlight] > 0) return simply(Bottleneck::kReplies);
  if (job.counts[State::kWaiting] > 0) {
    return simply(job.phase == "taking" ? Bottleneck::kList : Bottleneck::kNone);
  }
  return simply(job.counts[State::kDeferred] > 0 ? Bottleneck::kRetry : Bottleneck::kNone);
}

uint64_t count(const JobStatus& job, State state) {
  return static_cast<uint64_t>(std::max<int64_t>(job.counts[state], 0));
}

Eta estimate_job(const JobStatus& job, const JobPace& pace, const std::vector<Place>& places,
                 WallTime now) {
  JobRest rest;
  rest.waiting = count(job, State::kWaiting);
  rest.in_flight = count(job, State::kInFlight);
  rest.deferred = count(job, State::kDeferred);
  rest.taken = static_cast<uint64_t>(std::max<int64_t>(job.counts.total(), 0));
  rest.list_read = job.phase == "sending" ? 1 : pace.list_read;
  rest.pace = pace.lately;
  for (const Place& place : places) {
    rest.lanes.push_back(rest_at(*place.lane, place.job, now));
    rest.job_rate = std::max(rest.job_rate, place.lane->wait.jobs[place.job].own_rate);
  }
  return estimate(rest);
}

// Of an ended job, or while nobody measures, since it was taken.
double average_rate(const JobStatus& job, WallTime now) {
  const WallTime end = job.finished == WallTime() ? now : job.finished;
  const int64_t ended = job.counts.total() - job.counts.open();
  if (end <= job.created || ended <= 0) return 0;
  return static_cast<double>(ended) / to_seconds(end - job.created);
}

}  // namespace

std::string words_of(const BottleneckReport& bottleneck) {
  return words_of(bottleneck.why, bottleneck.limit, bottleneck.origin);
}

std::vector<JobReport> forecast_jobs(EngineSnapshot snapshot) {
  std::map<std::string_view, std::vector<Place>> places;
  WallTime now{};
  for (const LaneStatus& lane : snapshot.lanes) {
    now = std::max(now, lane.as_of);
    for (size_t i = 0; i < lane.wait.jobs.size(); ++i) {
      places[lane.wait.jobs[i].job].push_back({&lane, i});
    }
  }
  static const std::vector<Place> nowhere;
  std::vector<JobReport> reports;
  for (size_t i = 0; i < snapshot.jobs.size(); ++i) {
    JobReport report;
    static_cast<JobStatus&>(report) = std::move(snapshot.jobs[i]);
    const JobPace pace = i < snapshot.paces.size() ? snapshot.paces[i] : JobPace();
    const WallTime at = pace.as_of == WallTime() ? now : pace.as_of;
    const bool ended = report.finished != WallTime();
    JobForecast& forecast = report.forecast;
    forecast.rate =
        pace.as_of == WallTime() || ended ? average_rate(report, at) : pace.lately.finished;
    const auto found = places.find(report.id);
    const std::vector<Place>& here = found == places.end() ? nowhere : found->second;
    const Eta eta = estimate_job(report, pace, here, at);
    forecast.held = eta.held;
    forecast.bottleneck = bottleneck_of(report, pace, eta, here, snapshot);
    if (!ended && (report.phase == "taking" || report.phase == "sending")) {
      forecast.eta_in = eta.in;
      if (eta.in && at != WallTime()) forecast.eta = at + *eta.in;
      if (eta.last_due && at != WallTime()) forecast.last_due = at + *eta.last_due;
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

std::vector<SiteReport> forecast_sites(std::vector<LaneStatus> lanes,
                                       const std::vector<ShardLoad>& loads) {
  std::vector<SiteReport> reports;
  for (LaneStatus& lane : lanes) {
    SiteReport report;
    static_cast<LaneStatus&>(report) = std::move(lane);
    report.bottleneck = bottleneck_of(static_cast<const LaneStatus&>(report), loads);
    // As if all its jobs were one, to which this is the only lane.
    LaneRest rest;
    for (const LaneJob& job : report.wait.jobs) {
      rest.waiting += job.rows_waiting;
      rest.deferred += job.rows_deferred;
      if (job.first_due && (!rest.first_due || *job.first_due < *rest.first_due)) {
        rest.first_due = job.first_due;
      }
      if (job.last_due && (!rest.last_due || *job.last_due > *rest.last_due)) {
        rest.last_due = job.last_due;
      }
    }
    if (report.wait.jobs.empty()) rest.waiting = report.rows_waiting;
    rest.ahead = rest.waiting + rest.deferred;
    rest.rate = report.wait.rate;
    if (report.wait.why == Bottleneck::kMessageRate) rest.limit_rate = report.wait.limit_rate;
    rest.held = is_held(report.wait.why);
    if (rest.ahead > 0) {
      JobRest all;
      all.waiting = rest.waiting;
      all.deferred = rest.deferred;
      all.list_read = 1;
      all.lanes.push_back(rest);
      report.eta_in = estimate(all).in;
      if (report.eta_in && report.as_of != WallTime()) report.eta = report.as_of + *report.eta_in;
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace sluice
