#include "engine/control/forecast.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "engine/control/documents.h"
#include "tests/unit/control/fake_view.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr WallTime kNow{std::chrono::seconds(1'700'000'100)};

LaneJob rows_of(const std::string& job, uint64_t waiting, uint8_t priority = 5) {
  LaneJob rows;
  rows.job = job;
  rows.priority = priority;
  rows.rows_waiting = waiting;
  return rows;
}

LaneStatus lane_at(const std::string& site, uint64_t waiting, Bottleneck why, double rate) {
  LaneStatus lane;
  lane.site = site;
  lane.source = "s1";
  lane.rows_waiting = waiting;
  lane.as_of = kNow;
  lane.wait.why = why;
  lane.wait.share = 0.9;
  lane.wait.rate = rate;
  lane.wait.jobs.push_back(rows_of("j", waiting));
  return lane;
}

LaneStatus limited_lane(const std::string& site, uint64_t waiting) {
  LaneStatus lane = lane_at(site, waiting, Bottleneck::kMessageRate, 11);
  lane.wait.limit.key = "max_message_rate";
  lane.wait.limit.value = "10/s";
  lane.wait.limit.file = "x.toml";
  lane.wait.limit.line = 14;
  lane.wait.limit_rate = 10;
  return lane;
}

// A job of which `waiting` rows wait and 200 are delivered, at 20 a second.
EngineSnapshot snapshot_with(int64_t waiting, std::vector<LaneStatus> lanes) {
  EngineSnapshot snapshot;
  snapshot.jobs = {job_with("j", "sending", 200, waiting)};
  JobPace pace;
  pace.lately = {.begun = 20, .finished = 19, .deferred = 0};
  pace.as_of = kNow;
  snapshot.paces = {pace};
  snapshot.lanes = std::move(lanes);
  return snapshot;
}

JobForecast only(EngineSnapshot snapshot) {
  const std::vector<JobReport> reports = forecast_jobs(std::move(snapshot));
  return reports.at(0).forecast;
}

TEST(Forecast, NamesTheLimitOfTheLaneThatEndsLast) {
  const JobForecast forecast = only(snapshot_with(
      400, {lane_at("fast", 100, Bottleneck::kReplies, 100), limited_lane("slow", 300)}));
  EXPECT_EQ(forecast.eta_in, Duration(30s));
  EXPECT_EQ(forecast.eta, kNow + 30s);
  EXPECT_EQ(forecast.rate, 19);
  EXPECT_EQ(forecast.bottleneck.why, Bottleneck::kMessageRate);
  EXPECT_EQ(forecast.bottleneck.limit, "max_message_rate = 10/s");
  EXPECT_EQ(forecast.bottleneck.origin, "x.toml:14");
  EXPECT_EQ(forecast.bottleneck.site, "slow");
  EXPECT_EQ(forecast.bottleneck.source, "s1");
  EXPECT_EQ(forecast.bottleneck.share, 0.9);
  EXPECT_EQ(words_of(forecast.bottleneck), "max_message_rate = 10/s (x.toml:14)");
}

TEST(Forecast, ALookAtTheLanesMayBeOlderThanTheCounts) {
  LaneStatus lane = limited_lane("mx", 300);
  lane.as_of = kNow - 1s;
  EngineSnapshot snapshot = snapshot_with(290, {lane});
  EXPECT_EQ(only(snapshot).eta_in, Duration(29s));
  EXPECT_EQ(only(snapshot).eta, kNow + 29s);
}

TEST(Forecast, OthersOfTheSameLaneGoFirstOrInTurn) {
  LaneStatus lane = limited_lane("mx", 100);
  lane.wait.jobs.push_back(rows_of("other", 5'000));
  lane.wait.jobs.push_back(rows_of("urgent", 1'000, 0));
  EXPECT_EQ(only(snapshot_with(100, {lane})).eta_in, Duration(120s));
}

TEST(Forecast, AJobsOwnRateIsItsOwn) {
  LaneStatus lane = lane_at("mx", 500, Bottleneck::kJobRate, 20);
  lane.wait.jobs[0].own_rate = 4;
  lane.wait.limit.key = "rate";
  lane.wait.limit.value = "4/s";
  lane.wait.limit.file = "job.toml";
  lane.wait.limit.table = "[send]";
  EngineSnapshot snapshot = snapshot_with(400, {lane});
  EXPECT_EQ(only(snapshot).eta_in, Duration(100s));
  EXPECT_EQ(words_of(only(snapshot).bottleneck), "rate = 4/s (job.toml [send])");
  snapshot.lanes[0].wait.jobs[0].own_rate = 0;
  snapshot.jobs[0].counts.states[static_cast<size_t>(State::kInFlight)] = 1;
  EXPECT_EQ(only(snapshot).bottleneck.why, Bottleneck::kReplies);
}

TEST(Forecast, ABusyCoreIsTheReasonWhereNoRateHolds) {
  EngineSnapshot snapshot = snapshot_with(400, {lane_at("mx", 400, Bottleneck::kReplies, 20)});
  snapshot.loads = {{.busy = 0.97}};
  JobForecast forecast = only(snapshot);
  EXPECT_EQ(forecast.bottleneck.why, Bottleneck::kCpu);
  EXPECT_EQ(forecast.bottleneck.share, 0.97);
  snapshot.loads = {{.busy = 0.5}};
  EXPECT_EQ(only(snapshot).bottleneck.why, Bottleneck::kReplies);
  snapshot.lanes = {limited_lane("mx", 400)};
  snapshot.loads = {{.busy = 0.97}};
  EXPECT_EQ(only(snapshot).bottleneck.why, Bottleneck::kMessageRate);
}

TEST(Forecast, RowsThatAreNotAtALaneYetWaitForDns) {
  EngineSnapshot snapshot = snapshot_with(400, {});
  EXPECT_EQ(only(snapshot).bottleneck.why, Bottleneck::kNone);
  snapshot.loads = {{.busy = 0.2, .dns_wait = 0.1}, {.busy = 0.3, .dns_wait = 0.7}};
  EXPECT_EQ(only(snapshot).bottleneck.why, Bottleneck::kDns);
  EXPECT_EQ(only(snapshot).bottleneck.share, 0.7);
  // Where most of them are, something else is slower.
  snapshot.lanes = {limited_lane("mx", 390)};
  EXPECT_EQ(only(snapshot).bottleneck.why, Bottleneck::kMessageRate);
}

TEST(Forecast, WhileTheListIsReadItsShareIsWhatIsKnown) {
  EngineSnapshot snapshot = snapshot_with(15, {lane_at("mx", 15, Bottleneck::kReplies, 20)});
  snapshot.jobs[0].phase = "taking";
  JobForecast forecast = only(snapshot);
  EXPECT_EQ(forecast.bottleneck.why, Bottleneck::kList);
  EXPECT_FALSE(forecast.eta_in.has_value());
  snapshot.paces[0].list_read = 0.5;
  forecast = only(snapshot);
  ASSERT_TRUE(forecast.eta_in.has_value());
  EXPECT_NEAR(to_seconds(*forecast.eta_in), (215.0 + 15.0) / 20, 0.01);
  // More waits than goes in a second: the list is not what holds it up.
  snapshot.jobs[0] = job_with("j", "taking", 200, 300);
  snapshot.lanes = {lane_at("mx", 300, Bottleneck::kReplies, 20)};
  EXPECT_EQ(only(snapshot).bottleneck.why, Bottleneck::kReplies);
}

TEST(Forecast, SitesThatCannotBeReachedAreNamedAndNotInTheEta) {
  EngineSnapshot snapshot = snapshot_with(150, {lane_at("up", 100, Bottleneck::kReplies, 20),
                                                lane_at("down", 50, Bottleneck::kBackOff, 0)});
  JobForecast forecast = only(snapshot);
  EXPECT_EQ(forecast.eta_in, Duration(5s));
  EXPECT_EQ(forecast.held, 50U);
  EXPECT_EQ(forecast.bottleneck.site, "up");
  snapshot = snapshot_with(50, {lane_at("down", 50, Bottleneck::kBackOff, 0)});
  forecast = only(snapshot);
  EXPECT_FALSE(forecast.eta_in.has_value());
  EXPECT_EQ(forecast.bottleneck.why, Bottleneck::kBackOff);
  EXPECT_EQ(forecast.bottleneck.site, "down");
}

TEST(Forecast, DeferredRowsAreWaitedForToTheLastDue) {
  LaneStatus lane = lane_at("mx", 0, Bottleneck::kReplies, 1);
  lane.rows_waiting = 12;
  lane.wait.jobs[0].rows_deferred = 12;
  lane.wait.jobs[0].last_due = 90s;
  EngineSnapshot snapshot = snapshot_with(0, {lane});
  snapshot.jobs[0].counts.states[static_cast<size_t>(State::kDeferred)] = 12;
  const JobForecast forecast = only(snapshot);
  EXPECT_EQ(forecast.eta_in, Duration(90s));
  EXPECT_EQ(forecast.last_due, kNow + 90s);
  EXPECT_EQ(forecast.bottleneck.why, Bottleneck::kRetry);
  EXPECT_EQ(forecast.bottleneck.site, "mx");
}

TEST(Forecast, PhasesSpeakForThemselves) {
  EngineSnapshot snapshot = snapshot_with(100, {limited_lane("mx", 100)});
  const auto reason = [&](const char* phase) {
    snapshot.jobs[0].phase = phase;
    return only(snapshot).bottleneck.why;
  };
  EXPECT_EQ(reason("scheduled"), Bottleneck::kScheduled);
  EXPECT_EQ(reason("paused"), Bottleneck::kPaused);
  EXPECT_FALSE(only(snapshot).eta_in.has_value());
  EXPECT_EQ(reason("done"), Bottleneck::kNone);
  EXPECT_EQ(reason("sending"), Bottleneck::kMessageRate);
  snapshot.halted = true;
  EXPECT_EQ(reason("sending"), Bottleneck::kDisk);
}

TEST(Forecast, AnEndedJobHasItsAverageRate) {
  EngineSnapshot snapshot = snapshot_with(0, {});
  snapshot.jobs[0].phase = "done";
  snapshot.jobs[0].finished = snapshot.jobs[0].created + 50s;
  EXPECT_EQ(only(snapshot).rate, 4);
  EXPECT_FALSE(only(snapshot).eta_in.has_value());
}

TEST(Forecast, ASiteEndsWithAllItsJobs) {
  LaneStatus lane = limited_lane("mx", 100);
  lane.wait.jobs.push_back(rows_of("other", 500));
  const auto sites = forecast_sites({lane, lane_at("down", 5, Bottleneck::kPaused, 0)}, {});
  ASSERT_EQ(sites.size(), 2U);
  EXPECT_EQ(sites[0].eta_in, Duration(60s));
  EXPECT_EQ(sites[0].eta, kNow + 60s);
  EXPECT_EQ(words_of(sites[0].bottleneck), "max_message_rate = 10/s (x.toml:14)");
  EXPECT_FALSE(sites[1].eta_in.has_value());
  EXPECT_EQ(sites[1].bottleneck.why, Bottleneck::kPaused);
  const auto idle = forecast_sites({limited_lane("mx", 0)}, {});
  EXPECT_EQ(idle.at(0).bottleneck.why, Bottleneck::kNone);
  EXPECT_FALSE(idle.at(0).eta_in.has_value());
}

TEST(MergeLanes, TheShardsOfASiteBecomeOneEntry) {
  LaneStatus small = limited_lane("mx", 10);
  small.connections = 2;
  small.shard = 0;
  small.wait.why = Bottleneck::kReplies;
  small.wait.jobs[0].first_due = 5s;
  LaneStatus large = limited_lane("mx", 90);
  large.connections = 3;
  large.shard = 1;
  large.last_failure = "451 later";
  large.wait.jobs[0].last_due = 50s;
  large.wait.jobs[0].first_due = 2s;
  large.wait.jobs.push_back(rows_of("other", 1));
  LaneStatus other_source = small;
  other_source.source = "s2";
  const auto merged =
      merge_lanes({small, lane_at("mx2", 1, Bottleneck::kNone, 0), large, other_source});
  ASSERT_EQ(merged.size(), 3U);
  EXPECT_EQ(merged[0].site, "mx");
  EXPECT_EQ(merged[0].rows_waiting, 100U);
  EXPECT_EQ(merged[0].connections, 5U);
  EXPECT_EQ(merged[0].last_failure, "451 later");
  EXPECT_EQ(merged[0].shard, 1U);
  EXPECT_EQ(merged[0].wait.why, Bottleneck::kMessageRate);
  EXPECT_EQ(merged[0].wait.rate, 22);
  EXPECT_EQ(merged[0].wait.limit_rate, 10);  // the same limit, of both shards together
  ASSERT_EQ(merged[0].wait.jobs.size(), 2U);
  EXPECT_EQ(merged[0].wait.jobs[0].rows_waiting, 100U);
  EXPECT_EQ(merged[0].wait.jobs[0].first_due, Duration(2s));
  EXPECT_EQ(merged[0].wait.jobs[0].last_due, Duration(50s));
  EXPECT_EQ(merged[1].site, "mx2");
  EXPECT_EQ(merged[2].source, "s2");
  EXPECT_EQ(merged[2].rows_waiting, 10U);
}

TEST(MergeLanes, OtherSitesAreCountedTogether) {
  LaneStatus here = limited_lane(std::string(kOtherSites), 10);
  here.source.clear();
  here.lanes = 4;
  LaneStatus there = here;
  there.lanes = 7;
  const auto merged = merge_lanes({here, limited_lane("mx", 1), there});
  ASSERT_EQ(merged.size(), 2U);
  EXPECT_EQ(merged[0].lanes, 11U);
  EXPECT_EQ(merged[0].rows_waiting, 20U);
  EXPECT_EQ(merged[1].lanes, 1U);
  const auto back = parse_sites_document(sites_document(forecast_sites(merged, {})));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->at(0).site, kOtherSites);
  EXPECT_EQ(back->at(0).lanes, 11U);
  EXPECT_EQ(back->at(1).lanes, 1U);
}

TEST(ForecastDocuments, GoThereAndBack) {
  const auto reports = forecast_jobs(snapshot_with(300, {limited_lane("mx", 300)}));
  const std::string text = jobs_document(reports);
  EXPECT_THAT(text, HasSubstr("\"eta\":\"2023-11-14T22:15:30"));
  EXPECT_THAT(text, HasSubstr("\"eta_seconds\":30.0"));
  EXPECT_THAT(text, HasSubstr("\"bottleneck\":{\"reason\":\"message_rate\",\"limit\":"
                              "\"max_message_rate = 10/s\",\"origin\":\"x.toml:14\","
                              "\"site\":\"mx\",\"source\":\"s1\",\"share\":0.9}"));
  const auto back = parse_jobs_document(text);
  ASSERT_TRUE(back.ok()) << back.status();
  const JobForecast& forecast = back->at(0).forecast;
  EXPECT_EQ(forecast.eta_in, Duration(30s));
  EXPECT_EQ(forecast.eta, kNow + 30s);
  EXPECT_EQ(forecast.rate, 19);
  EXPECT_EQ(words_of(forecast.bottleneck), "max_message_rate = 10/s (x.toml:14)");

  const auto sites =
      parse_sites_document(sites_document(forecast_sites({limited_lane("mx", 30)}, {})));
  ASSERT_TRUE(sites.ok()) << sites.status();
  EXPECT_EQ(sites->at(0).eta_in, Duration(3s));
  EXPECT_EQ(sites->at(0).wait.rate, 11);
  EXPECT_EQ(words_of(sites->at(0).bottleneck), "max_message_rate = 10/s (x.toml:14)");
}

TEST(ForecastDocuments, WhatIsNotKnownIsNull) {
  const std::string text = job_document(job_with("j", "sending", 0, 10));
  EXPECT_THAT(text, HasSubstr("\"eta\":null,\"eta_seconds\":null,\"last_due\":null,\"held\":0,"
                              "\"bottleneck\":{\"reason\":\"none\",\"limit\":null,"));
  const auto back = parse_job_document(text);
  ASSERT_TRUE(back.ok());
  EXPECT_FALSE(back->forecast.eta_in.has_value());
  EXPECT_EQ(back->forecast.bottleneck.why, Bottleneck::kNone);
  for (const char* odd : {"{\"job\":\"j\",\"bottleneck\":7,\"eta_seconds\":-4}",
                          "{\"job\":\"j\",\"bottleneck\":{\"reason\":3},\"eta_seconds\":1e300}"}) {
    const auto parsed = parse_job_document(odd);
    ASSERT_TRUE(parsed.ok()) << odd;
    EXPECT_FALSE(parsed->forecast.eta_in.has_value()) << odd;
    EXPECT_EQ(parsed->forecast.bottleneck.why, Bottleneck::kNone) << odd;
  }
}

}  // namespace
}  // namespace sluice
