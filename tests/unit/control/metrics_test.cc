#include "engine/control/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/control/fake_view.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

size_t count_of(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(Metrics, ShowsActiveJobsByState) {
  MetricsInput input;
  input.version = "1.2.3";
  input.shards = 2;
  input.jobs = {job_with("a-1", "sending", 7, 3), job_with("b-2", "done", 9, 0)};
  const std::string text = metrics_text(input);
  EXPECT_THAT(text, HasSubstr("sluice_build_info{version=\"1.2.3\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_shards 2\n"));
  EXPECT_THAT(text, HasSubstr("sluice_halted 0\n"));
  EXPECT_THAT(text, HasSubstr("sluice_jobs{phase=\"done\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("sluice_recipients{job=\"a-1\",state=\"delivered\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("sluice_recipients{job=\"a-1\",state=\"waiting\"} 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("job=\"b-2\"")));
  EXPECT_EQ(count_of(text, "sluice_recipients{job=\"a-1\""), kStates);
  EXPECT_EQ(count_of(text, "sluice_recipients_total{"), 7U);
}

TEST(Metrics, EveryMetricHasItsType) {
  MetricsInput input;
  input.jobs = {job_with("a", "sending", 1, 1)};
  input.sites = {site_with("mx.example", "s1", 4, 2)};
  input.jobs[0].forecast.eta_in = std::chrono::seconds(9);
  const std::string text = metrics_text(input);
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text.find('\n', begin);
    ASSERT_NE(end, std::string::npos);
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line[0] == '#') continue;
    std::string name = line.substr(0, line.find_first_of("{ "));
    const bool is_summary =
        text.find("# TYPE sluice_taken_to_recorded_seconds summary\n") < text.size() &&
        name.starts_with("sluice_taken_to_recorded_seconds");
    if (is_summary) name = "sluice_taken_to_recorded_seconds";
    EXPECT_EQ(count_of(text, "# TYPE " + name + " "), 1U) << line;
    EXPECT_EQ(count_of(text, "# HELP " + name + " "), 1U) << line;
    const bool is_counter = name.size() > 6 && name.substr(name.size() - 6) == "_total";
    const char* const type = is_summary ? " summary\n" : is_counter ? " counter\n" : " gauge\n";
    EXPECT_THAT(text, HasSubstr("# TYPE " + name + type));
  }
}

TEST(Metrics, ShowsWhatSendingCosts) {
  MetricsInput input;
  input.work.ring_enters = 77;
  for (int i = 0; i < 100; ++i) input.work.recorded.add(std::chrono::microseconds(100));
  input.dns_waits = {std::chrono::seconds(2), Duration(0)};
  const std::string text = metrics_text(input);
  EXPECT_THAT(text, HasSubstr("\nsluice_ring_enters_total 77\n"));
  EXPECT_THAT(text, HasSubstr("\nsluice_taken_to_recorded_seconds{quantile=\"0.99\"} 0.000112\n"));
  EXPECT_THAT(text, HasSubstr("\nsluice_taken_to_recorded_seconds_count 100\n"));
  EXPECT_THAT(text, HasSubstr("\nsluice_dns_wait_seconds_total{shard=\"0\"} 2.000000\n"));
}

TEST(Metrics, ShowsHowSessionsAreEncrypted) {
  MetricsInput input;
  input.work.tls.full = 3;
  input.work.tls.resumed = 40;
  input.work.tls.clear = 5;
  input.work.tls.failed[static_cast<size_t>(TlsFailureKind::kExpired)] = 2;
  input.work.tls.failed[static_cast<size_t>(TlsFailureKind::kHandshake)] = 1;
  input.work.tls.failed[static_cast<size_t>(TlsFailureKind::kTimedOut)] = 6;
  const std::string text = metrics_text(input);
  EXPECT_THAT(text, HasSubstr("\nsluice_sessions_total{tls=\"full\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("\nsluice_sessions_total{tls=\"resumed\"} 40\n"));
  EXPECT_THAT(text, HasSubstr("\nsluice_sessions_total{tls=\"none\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("\nsluice_tls_failures_total{result=\"certificate-expired\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("\nsluice_tls_failures_total{result=\"validation-failure\"} 7\n"));
}

TEST(Metrics, ShowsHowJobsGoAndWhenTheyEnd) {
  MetricsInput input;
  input.jobs = {job_with("a", "sending", 7, 3), job_with("b", "sending", 1, 2),
                job_with("c", "done", 9, 0)};
  input.jobs[0].forecast.rate = 12.5;
  input.jobs[0].forecast.eta_in = std::chrono::milliseconds(240'500);
  const std::string text = metrics_text(input);
  EXPECT_THAT(text, HasSubstr("\nsluice_job_rate{job=\"a\"} 12.500000\n"));
  EXPECT_THAT(text, HasSubstr("\nsluice_job_rate{job=\"b\"} 0.000000\n"));
  EXPECT_THAT(text, HasSubstr("\nsluice_job_eta_seconds{job=\"a\"} 240.500000\n"));
  EXPECT_EQ(count_of(text, "sluice_job_eta_seconds{"), 1U);
  EXPECT_EQ(count_of(text, "job=\"c\""), 0U);
}

TEST(Metrics, JobsBeyondTheLimitAreSummedUnderOther) {
  MetricsInput input;
  for (size_t i = 0; i < kJobsMax + 3; ++i) {
    input.jobs.push_back(job_with("j" + std::to_string(i), "sending", 1, 2));
  }
  const std::string text = metrics_text(input);
  EXPECT_EQ(count_of(text, "sluice_recipients{"), (kJobsMax + 1) * kStates);
  EXPECT_THAT(text, HasSubstr("sluice_recipients{job=\"other\",state=\"delivered\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("sluice_recipients{job=\"other\",state=\"waiting\"} 6\n"));
}

TEST(Metrics, SitesBeyondTheLimitAreSummedUnderOther) {
  MetricsInput input;
  for (uint32_t i = 0; i < kSitesMax + 2; ++i) {
    input.sites.push_back(site_with("mx" + std::to_string(i), "s1", 1, i + 1));
  }
  // A second source of the largest site.
  input.sites.push_back(site_with("mx" + std::to_string(kSitesMax + 1), "s2", 1, 1'000));
  const std::string text = metrics_text(input);
  EXPECT_EQ(count_of(text, "sluice_site_connections{"), kSitesMax + 1);
  EXPECT_THAT(text, HasSubstr("sluice_site_connections{site=\"mx101\"} 1102\n"));
  EXPECT_THAT(text, HasSubstr("sluice_site_connections{site=\"other\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("sluice_site_rows_waiting 103\n"));
}

TEST(Metrics, LabelsAreEscaped) {
  MetricsInput input;
  input.sites = {site_with("a\"b\\c\nd", "s1", 0, 1)};
  EXPECT_THAT(metrics_text(input),
              HasSubstr("sluice_site_connections{site=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(Totals, GrowByWhatJobsGainAndKeepForgottenJobs) {
  Totals totals;
  EXPECT_EQ(totals.add({job_with("a", "sending", 5, 5)})[State::kDelivered], 5);
  EXPECT_EQ(totals.add({job_with("a", "sending", 8, 2)})[State::kDelivered], 8);
  EXPECT_EQ(totals.add({job_with("a", "done", 10, 0), job_with("b", "sending", 1, 0)}).attempts,
            11);
  const Counts later = totals.add({job_with("b", "sending", 4, 0)});
  EXPECT_EQ(later[State::kDelivered], 14);
  EXPECT_EQ(later[State::kWaiting], 0);
  EXPECT_EQ(later.bytes, 14'000);
}

}  // namespace
}  // namespace sluice
