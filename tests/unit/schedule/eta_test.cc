#include "engine/schedule/eta.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <vector>

namespace sluice {
namespace {

constexpr Instant kStart{std::chrono::hours(1'000)};

TEST(RateMeter, ASteadyRateIsToldSoonAndWithoutDrift) {
  RateMeter meter;
  EXPECT_EQ(meter.per_second(kStart), 0);
  Instant now = kStart;
  for (int i = 0; i < 1'000; ++i) {
    meter.add(now);
    now += 100ms;
    if (i >= 10) {
      EXPECT_NEAR(meter.per_second(now), 10, 1) << i;
    }
    if (i >= 100) {
      EXPECT_NEAR(meter.per_second(now), 10, 0.15) << i;
    }
  }
}

TEST(RateMeter, ForgetsAFastBeginningInHalfAMinute) {
  RateMeter meter;
  for (int i = 0; i < 1'000; ++i) meter.add(kStart + i * 1ms);
  EXPECT_NEAR(meter.per_second(kStart + 1s), 1'000, 2);
  for (int i = 1; i <= 40; ++i) meter.add(kStart + i * 1s);
  EXPECT_NEAR(meter.per_second(kStart + 40s), 1, 0.1);
}

TEST(RateMeter, RestIsNoRate) {
  RateMeter meter;
  for (int i = 0; i < 100; ++i) meter.add(kStart + i * 10ms);
  EXPECT_EQ(meter.per_second(kStart + 1h), 0);
  meter.add(kStart + 1h);
  meter.add(kStart + 1h + 1s);
  EXPECT_NEAR(meter.per_second(kStart + 1h + 1s), 1, 0.01);
}

TEST(ShareMeter, TellsTheLastTenSeconds) {
  ShareMeter meter;
  EXPECT_LT(meter.share(), 0);
  Duration spent{};
  for (int i = 0; i <= 20; ++i) {
    meter.add(kStart + i * 1s, spent);
    spent += i < 10 ? 100ms : 900ms;
  }
  EXPECT_NEAR(meter.share(), 0.9, 0.001);
  meter.add(kStart + 21s, spent + 1h);
  EXPECT_EQ(meter.share(), 1);
}

TEST(Pace, LooksAtWhatAttemptsCameTo) {
  Counts counts;
  int64_t rows = 1;
  for (int64_t& count : counts.states) count = rows *= 2;
  counts.attempts = 5;
  const PaceSample sample = sample_of(counts, kStart);
  EXPECT_EQ(sample.finished, counts[State::kDelivered] + counts[State::kBounced]);
  EXPECT_EQ(sample.begun, sample.finished + counts[State::kDeferred] + counts[State::kExpired]);
  EXPECT_EQ(sample.attempts, 5);
  EXPECT_EQ(sample.at, kStart);
}

TEST(Pace, BeginsWithTheFirstResult) {
  Pace pace;
  // Ten minutes of nothing, then 20 rows a second of which a quarter is deferred.
  for (int i = 0; i < 600; ++i) pace.add({.at = kStart + i * 1s});
  EXPECT_EQ(pace.figures().begun, 0);
  const Instant began = kStart + 600s;
  for (int i = 1; i <= 8; ++i) {
    pace.add({.at = began + i * 1s, .begun = i * 20, .finished = i * 15, .attempts = i * 20});
  }
  EXPECT_NEAR(pace.figures().begun, 20, 0.01);
  EXPECT_NEAR(pace.figures().finished, 15, 0.01);
  EXPECT_NEAR(pace.figures().deferred, 5, 0.01);
}

TEST(Pace, SamplesThatComeTooOftenTakeTheLastOnesPlace) {
  Pace pace;
  for (int i = 1; i <= 4'000; ++i) {
    // 100 rows a second for a while, then 10.
    const int64_t rows = i <= 2'000 ? i * 5 : 10'000 + (i - 2'000) / 2;
    pace.add({.at = kStart + i * 50ms, .begun = rows, .finished = rows, .attempts = rows});
  }
  EXPECT_NEAR(pace.figures().begun, 10, 0.1);
}

TEST(RowsAhead, BetterPrioritiesGoFirstAndEqualOnesTakeTurns) {
  const std::vector<LaneShare> shares = {{5, 100}, {5, 1'000}, {0, 30}, {9, 7}};
  EXPECT_EQ(rows_ahead(shares, 0), 100U + 100 + 30);
  EXPECT_EQ(rows_ahead(shares, 1), 1'000U + 100 + 30);
  EXPECT_EQ(rows_ahead(shares, 2), 30U);
  EXPECT_EQ(rows_ahead(shares, 3), 7U + 30 + 1'000 + 100);
}

// --- jobs that are run in pretence ---------------------------------------------------------------

// A lane that sends by a plain rule: so many rows a second, after a burst.
struct PretendedLane {
  double rate = 10;
  double burst = 1;
  int64_t rows = 0;
  bool limited = false;  // the rate is a limit that the lane knows
  double deferred = 0;   // this share of first attempts
  Duration retry{};
};

class PretendedJob {
 public:
  explicit PretendedJob(std::vector<PretendedLane> lanes) {
    for (const PretendedLane& lane : lanes) {
      lanes_.push_back({lane, lane.rows, lane.burst, 0, {}, {}});
    }
  }

  // Runs to the end and compares the estimate at half time with it: the relative error of the whole
  // time.
  double error_at_half_time() {
    std::map<Duration, std::optional<Duration>> estimates;
    Duration at{};
    for (; open() > 0; at += kStep) {
      step(at);
      if (at.count() % (1s).count() == 0) pace_.add(sample(at));
      estimates[at] = estimate_at(at).in;
      if (at > 10h) return 1e9;
    }
    took_ = at;
    const auto half = estimates.lower_bound(at / 2);
    if (half == estimates.end() || !half->second) return 1e9;
    half_ = half->first + *half->second;
    return std::abs(to_seconds(half_ - at)) / to_seconds(at);
  }
  Duration took() const { return took_; }

 private:
  static constexpr Duration kStep = std::chrono::milliseconds(50);

  struct Running {
    PretendedLane lane;
    int64_t waiting;
    double permits;
    double owed;  // of deferrals
    std::multimap<Duration, int> due;
    RateMeter meter;
  };

  int64_t open() const {
    int64_t rows = 0;
    for (const Running& lane : lanes_) {
      rows += lane.waiting + static_cast<int64_t>(lane.due.size());
    }
    return rows;
  }

  void step(Duration at) {
    for (Running& lane : lanes_) {
      lane.permits = std::min(lane.permits + lane.lane.rate * to_seconds(kStep),
                              std::max(lane.lane.burst, lane.lane.rate * to_seconds(kStep)) + 1);
      while (lane.permits >= 1) {
        const bool due = !lane.due.empty() && lane.due.begin()->first <= at;
        if (!due && lane.waiting == 0) break;
        lane.permits -= 1;
        ++attempts_;
        lane.meter.add(kStart + at);
        if (due) {
          lane.due.erase(lane.due.begin());
          ++finished_;
          continue;
        }
        --lane.waiting;
        ++begun_;
        lane.owed += lane.lane.deferred;
        if (lane.owed >= 1) {
          lane.owed -= 1;
          lane.due.emplace(at + lane.lane.retry, 0);
        } else {
          ++finished_;
        }
      }
    }
  }

  PaceSample sample(Duration at) const {
    return {.at = kStart + at, .begun = begun_, .finished = finished_, .attempts = attempts_};
  }

  Eta estimate_at(Duration at) {
    JobRest rest;
    rest.list_read = 1;
    Pace pace = pace_;
    pace.add(sample(at));
    rest.pace = pace.figures();
    for (const Running& lane : lanes_) {
      LaneRest part;
      part.waiting = static_cast<uint64_t>(lane.waiting);
      part.deferred = lane.due.size();
      part.ahead = part.waiting + part.deferred;
      part.rate = lane.meter.per_second(kStart + at);
      if (lane.lane.limited) part.limit_rate = lane.lane.rate;
      if (!lane.due.empty()) {
        part.first_due = std::max(lane.due.begin()->first - at, Duration(0));
        part.last_due = std::max(lane.due.rbegin()->first - at, Duration(0));
      }
      rest.waiting += part.waiting;
      rest.deferred += part.deferred;
      rest.lanes.push_back(part);
    }
    return estimate(rest);
  }

  std::vector<Running> lanes_;
  Pace pace_;
  int64_t begun_ = 0;
  int64_t finished_ = 0;
  int64_t attempts_ = 0;
  Duration took_{};
  Duration half_{};
};

TEST(EtaAtHalfTime, OfASteadyJob) {
  for (const bool limited : {false, true}) {
    for (const int64_t rows : {200, 2'000, 60'000}) {
      PretendedJob job({{.rate = 10, .rows = rows, .limited = limited}});
      EXPECT_LT(job.error_at_half_time(), 0.05) << rows;
    }
  }
}

TEST(EtaAtHalfTime, OfManySitesAndOneSlowOneWithALimit) {
  std::vector<PretendedLane> lanes(30, {.rate = 50, .rows = 500});
  lanes.push_back({.rate = 2, .rows = 400, .limited = true});
  PretendedJob job(lanes);
  EXPECT_LT(job.error_at_half_time(), 0.05);
  EXPECT_NEAR(to_seconds(job.took()), 200, 3);
  lanes.back().limited = false;  // only seen by its rate
  PretendedJob unknown(lanes);
  EXPECT_LT(unknown.error_at_half_time(), 0.05);
}

TEST(EtaAtHalfTime, OfABurstAndThenASteadyRate) {
  PretendedJob known({{.rate = 10, .burst = 500, .rows = 1'500, .limited = true}});
  EXPECT_LT(known.error_at_half_time(), 0.05);
  PretendedJob unknown({{.rate = 10, .burst = 500, .rows = 1'500}});
  EXPECT_LT(unknown.error_at_half_time(), 0.10);
}

TEST(EtaAtHalfTime, OfRowsOfWhichHalfAreDeferredForAMinute) {
  for (const double rate : {5.0, 10.0, 20.0, 1'000.0}) {
    PretendedJob job({{.rate = rate, .rows = 600, .limited = true, .deferred = 0.5, .retry = 60s}});
    EXPECT_LT(job.error_at_half_time(), 0.10) << rate;
  }
}

TEST(EtaAtHalfTime, OfALongJobWithFewDeferralsThatLastLong) {
  PretendedJob job({{.rate = 10, .rows = 36'000, .deferred = 0.01, .retry = 20min}});
  EXPECT_LT(job.error_at_half_time(), 0.05);
  EXPECT_NEAR(to_seconds(job.took()), 4'800, 60);
}

// --- what single facts do ------------------------------------------------------------------------

LaneRest lane_with(uint64_t waiting, double rate) {
  LaneRest lane;
  lane.waiting = lane.ahead = waiting;
  lane.rate = rate;
  return lane;
}

JobRest job_with(uint64_t waiting, double begun) {
  JobRest rest;
  rest.waiting = waiting;
  rest.taken = 2 * waiting;
  rest.list_read = 1;
  rest.pace.begun = begun;
  return rest;
}

TEST(Estimate, UnknownWhileNothingTellsHowFastItGoes) {
  EXPECT_FALSE(estimate(job_with(100, 0)).in.has_value());
  EXPECT_EQ(estimate(job_with(100, 10)).in, Duration(10s));
  EXPECT_EQ(estimate(job_with(0, 0)).in, Duration(0));
}

TEST(Estimate, RowsOfSitesThatCannotBeReachedAreNamedAndLeftOut) {
  JobRest rest = job_with(150, 10);
  rest.lanes = {lane_with(100, 10), lane_with(50, 0)};
  rest.lanes[1].held = true;
  rest.lanes[1].last_due = 5h;
  const Eta eta = estimate(rest);
  EXPECT_EQ(eta.in, Duration(10s));
  EXPECT_EQ(eta.held, 50U);
  EXPECT_EQ(eta.last_lane, 0U);
  EXPECT_FALSE(eta.last_due.has_value());

  rest.waiting = 50;
  rest.lanes = {rest.lanes[1]};
  EXPECT_FALSE(estimate(rest).in.has_value());
  EXPECT_FALSE(estimate(rest).last_lane.has_value());
}

TEST(Estimate, TheSlowestLaneDecides) {
  JobRest rest = job_with(1'000, 100);
  rest.lanes = {lane_with(600, 60), lane_with(300, 2), lane_with(100, 38)};
  EXPECT_EQ(estimate(rest).in, Duration(150s));
  EXPECT_EQ(estimate(rest).last_lane, 1U);
  rest.lanes[1].limit_rate = 5;
  EXPECT_EQ(estimate(rest).in, Duration(60s));
  rest.lanes[2].ahead = 38'000;  // others' rows go first
  EXPECT_EQ(estimate(rest).in, Duration(1'000s));
  EXPECT_EQ(estimate(rest).last_lane, 2U);
}

TEST(Estimate, TheJobsOwnRateLimitsIt) {
  JobRest rest = job_with(1'000, 100);
  rest.job_rate = 10;
  EXPECT_EQ(estimate(rest).in, Duration(100s));
  rest.pace.begun = 4;
  EXPECT_EQ(estimate(rest).in, Duration(250s));
  rest.pace.begun = 0;
  EXPECT_EQ(estimate(rest).in, Duration(100s));
}

TEST(Estimate, WhileTheListIsReadItGoesByTheShareThatWas) {
  JobRest rest = job_with(100, 10);
  rest.taken = 1'000;
  rest.list_read.reset();
  EXPECT_FALSE(estimate(rest).in.has_value());
  rest.list_read = 0.25;
  EXPECT_EQ(estimate(rest).in, Duration(310s));
  rest.list_read = 0.0;
  EXPECT_FALSE(estimate(rest).in.has_value());
}

TEST(Estimate, DeferredRowsCountToTheLastDue) {
  JobRest rest = job_with(0, 0);
  rest.deferred = 40;
  rest.in_flight = 2;
  rest.lanes = {lane_with(0, 0)};
  rest.lanes[0].deferred = rest.lanes[0].ahead = 40;
  rest.lanes[0].first_due = 10s;
  rest.lanes[0].last_due = 70s;
  EXPECT_EQ(estimate(rest).in, Duration(70s));
  EXPECT_EQ(estimate(rest).last_due, Duration(70s));
  // All due at about the same time, and one a second.
  rest.lanes[0].first_due = 65s;
  rest.lanes[0].limit_rate = 1;
  EXPECT_EQ(estimate(rest).in, Duration(105s));
}

TEST(Estimate, RowsThatBecomeDueTakeTurnsWithThoseThatWait) {
  JobRest rest = job_with(50, 0);
  rest.pace.deferred = 5;
  rest.deferred = 80;
  rest.lanes = {lane_with(50, 0)};
  LaneRest& lane = rest.lanes[0];
  lane.limit_rate = 20;
  lane.deferred = 80;
  lane.ahead = 130;
  lane.first_due = 0s;
  lane.last_due = 6s;
  // 2.5 s for the 50 alone, 4.2 s for the 33 due by then, 5 s for as many that are due by then;
  // what is deferred at the end of these is due 6 s later.
  EXPECT_EQ(estimate(rest).in, Duration(11s));
  // Those that are due later do not come between.
  lane.first_due = 5s;
  EXPECT_EQ(estimate(rest).in, Duration(8500ms));
}

TEST(Estimate, RatesThatAreTooLowDoNotOverflow) {
  JobRest rest = job_with(4'000'000'000, 1e-9);
  ASSERT_TRUE(estimate(rest).in.has_value());
  EXPECT_GT(*estimate(rest).in, Duration(24h * 365));
}

}  // namespace
}  // namespace sluice
