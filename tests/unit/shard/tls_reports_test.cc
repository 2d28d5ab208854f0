#include "engine/shard/tls_reports.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <set>
#include <string>

#include "engine/config/job_file.h"
#include "engine/shard/tls_reports_mail.h"

namespace sluice {
namespace {

using testing::HasSubstr;

std::string gunzipped(const std::string& packed) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string out(1 << 20, '\0');
  std::string in = packed;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

Configuration config() {
  Configuration out;
  out.tls.report_from = "tls-reports@sender.example";
  out.pools.push_back({"slow", {{"default", 1}}});
  return out;
}

TlsDomainResults results(const std::string& domain = "example.com") {
  TlsDomainResults out;
  out.day = 20'779;  // 2026-11-22
  out.domain = domain;
  out.policies.emplace_back().passed = 7;
  return out;
}

TEST(TlsReports, GzipIsUndone) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += std::to_string(i * 7919);
  EXPECT_EQ(gunzipped(gzipped(text)), text);
  EXPECT_EQ(gunzipped(gzipped("")), "");
}

TEST(TlsReports, TheReporterIsWhoSends) {
  Configuration::Tls tls = config().tls;
  EXPECT_EQ(tls_reporter_of(tls).submitter, "sender.example");
  EXPECT_EQ(tls_reporter_of(tls).organization, "sender.example");
  EXPECT_EQ(tls_reporter_of(tls).contact, "tls-reports@sender.example");
  tls.organization = "Sender Inc.";
  tls.report_contact = "https://sender.example/tls";
  EXPECT_EQ(tls_reporter_of(tls).organization, "Sender Inc.");
  EXPECT_EQ(tls_reporter_of(tls).contact, "https://sender.example/tls");
}

TEST(TlsReports, TheJobIsOneThatIsTaken) {
  const TlsReportFiles files =
      tls_report_files(results(), {"a@b.example", "c@d.example"}, config());
  const StatusOr<JobSpec> spec = parse_job(files.job_toml, "job.toml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, tls_report_job_name(results()));
  EXPECT_TRUE(is_tls_report_job(spec->name));
  EXPECT_EQ(spec->from, "tls-reports@sender.example");
  EXPECT_EQ(spec->send.pool, "slow");
  EXPECT_EQ(spec->tls, TlsPolicy::kNone);
  EXPECT_EQ(files.list, "email\na@b.example\nc@d.example\n");
  EXPECT_NE(tls_report_job_name(results("other.example")), spec->name);
  EXPECT_FALSE(is_tls_report_job("july-news"));
}

TEST(TlsReports, TheMessageHasTheHeadersOfTheStandard) {
  const std::string eml = tls_report_files(results(), {"a@b.example"}, config()).message;
  for (const char* part :
       {"From: tls-reports@sender.example\n", "TLS-Report-Domain: example.com\n",
        "TLS-Report-Submitter: sender.example\n",
        "Subject: Report Domain: example.com\n Submitter: sender.example\n Report-ID: <2026-11-22.",
        "Content-Type: multipart/report; report-type=\"tlsrpt\";\n",
        "Content-Type: application/tlsrpt+gzip;\n",
        " filename=\"sender.example!example.com!1795305600!1795391999!2026-11-22."}) {
    EXPECT_THAT(eml, HasSubstr(part));
  }
}

TEST(TlsReports, AreSpreadOverHours) {
  std::set<Duration> delays;
  for (int i = 0; i < 1'000; ++i) {
    const Duration delay = tls_report_delay("d" + std::to_string(i) + ".example");
    EXPECT_GE(delay, Duration::zero());
    EXPECT_LT(delay, TlsReports::kSpread);
    delays.insert(std::chrono::floor<std::chrono::minutes>(delay));
  }
  EXPECT_GT(delays.size(), 200U);
}

TEST(TlsReports, FailuresHaveTheNamesOfTheStandard) {
  EXPECT_STREQ(tls_result_type(TlsFailureKind::kHostMismatch), "certificate-host-mismatch");
  EXPECT_STREQ(tls_result_type(TlsFailureKind::kExpired), "certificate-expired");
  EXPECT_STREQ(tls_result_type(TlsFailureKind::kNotTrusted), "certificate-not-trusted");
  for (const TlsFailureKind kind : {TlsFailureKind::kHandshake, TlsFailureKind::kTlsaMismatch,
                                    TlsFailureKind::kTruncated, TlsFailureKind::kTimedOut}) {
    EXPECT_STREQ(tls_result_type(kind), "validation-failure");
  }
}

}  // namespace
}  // namespace sluice
