#include "engine/shard/tls_reports_mail.h"

#define ZLIB_CONST  // next_in takes const octets
#include <zlib.h>

#include <cstdio>

#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/compose/base64.h"

namespace sluice {
namespace {

constexpr std::string_view kNamePrefix = "tls-report-";
constexpr int kGzipWindow = 15 + 16;  // zlib: the largest window, with gzip's header
constexpr int kMemoryLevel = 8;       // zlib's default

// Of the parts: base64 has no "_", and the text part is ours.
constexpr std::string_view kBoundary = "=_tls_report_=";

std::string domain_of(std::string_view address) {
  return std::string(address.substr(address.rfind('@') + 1));
}

std::string header_of(const TlsDomainResults& results, const TlsReporter& reporter,
                      const std::string& from) {
  return "From: " + from +
         "\n"
         "To: {{email}}\n"
         "Subject: Report Domain: " +
         results.domain + "\n Submitter: " + reporter.submitter + "\n Report-ID: <" +
         tls_report_id(results, reporter) +
         ">\n"
         "TLS-Report-Domain: " +
         results.domain + "\nTLS-Report-Submitter: " + reporter.submitter +
         "\n"
         "Auto-Submitted: auto-generated\n"
         "MIME-Version: 1.0\n"
         "Content-Type: multipart/report; report-type=\"tlsrpt\";\n"
         " boundary=\"" +
         std::string(kBoundary) + "\"\n\n";
}

std::string part_of(const std::string& fields, const std::string& body) {
  return "--" + std::string(kBoundary) + "\n" + fields + "\n" + body;
}

std::string message_of(const TlsDomainResults& results, const TlsReporter& reporter,
                       const std::string& from) {
  const std::string name = tls_report_file_name(results, reporter);
  std::string packed;
  append_base64_lines(packed, gzipped(tls_report_json(results, reporter)));
  return header_of(results, reporter, from) +
         part_of("Content-Type: text/plain; charset=us-ascii\n",
                 "This is a TLS report (RFC 8460) of mail to " + results.domain + "\nfrom " +
                     reporter.submitter + " on " + to_string_of_day(results.day) + " (UTC).\n\n") +
         part_of("Content-Type: application/tlsrpt+gzip;\n name=\"" + name +
                     "\"\n"
                     "Content-Transfer-Encoding: base64\n"
                     "Content-Disposition: attachment;\n filename=\"" +
                     name + "\"\n",
                 packed) +
         "--" + std::string(kBoundary) + "--\n";
}

}  // namespace

TlsReporter tls_reporter_of(const Configuration::Tls& tls) {
  TlsReporter reporter;
  reporter.submitter = domain_of(tls.report_from);
  reporter.contact = tls.report_contact.empty() ? tls.report_from : tls.report_contact;
  reporter.organization = tls.organization.empty() ? reporter.submitter : tls.organization;
  return reporter;
}

std::string tls_report_job_name(const TlsDomainResults& results) {
  char hash[16];
  std::snprintf(hash, sizeof hash, "%08x", crc32c(results.domain));
  return std::string(kNamePrefix) + to_string_of_day(results.day) + "-" + hash;
}

bool is_tls_report_job(std::string_view job_name) { return job_name.starts_with(kNamePrefix); }

TlsReportFiles tls_report_files(const TlsDomainResults& results,
                                const std::vector<std::string>& recipients,
                                const Configuration& config) {
  TlsReportFiles files;
  files.message = message_of(results, tls_reporter_of(config.tls), config.tls.report_from);
  files.list = "email\n";
  for (const std::string& recipient : recipients) files.list += recipient + "\n";
  files.job_toml = "name = \"" + tls_report_job_name(results) + "\"\nfrom = \"" +
                   config.tls.report_from +
                   "\"\n[message]\neml = \"message.eml\"\n[list]\nfile = \"list.csv\"\n"
                   "[send]\npool = \"" +
                   config.pools.front().name + "\"\n[tls]\npolicy = \"none\"\n";
  return files;
}

std::string gzipped(std::string_view octets) {
  z_stream stream{};
  CHECK(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, kMemoryLevel,
                     Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, octets.size()), '\0');
  stream.next_in = reinterpret_cast<const Bytef*>(octets.data());
  stream.avail_in = static_cast<uInt>(octets.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  CHECK(deflateEnd(&stream) == Z_OK);
  return out;
}

}  // namespace sluice
