// A TLS report as a job that the engine sends like any other (RFC 8460 §5.3).
//
// PURPOSE. Makes the files of the job's directory; the caller writes them. The message is a
//   multipart/report with the report's JSON, gzipped; it is signed as any mail of that sender.
// THREAD. Any; pure.
// ERRORS. None: gzip in memory fails for want of memory alone, which is a CHECK.
// LIMITS. Results are bounded where they are gathered (TlsResultLimits): about 100 KiB of JSON.
// BUGS. The job asks for no TLS, as RFC 8460 §3 wants it for reports; what [tls] policy, a rule,
//   DANE or MTA-STS ask for holds for it all the same.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/model/configuration.h"
#include "engine/record/tls_report.h"

namespace sluice {

// Who reports, as [tls] says. REQUIRES: report_from is an address.
TlsReporter tls_reporter_of(const Configuration::Tls& tls);

// The job's name, also that of its directory: "tls-report-2026-11-22-1a2b3c4d".
std::string tls_report_job_name(const TlsDomainResults& results);
// Sessions of such a job are in no report.
bool is_tls_report_job(std::string_view job_name);

struct TlsReportFiles {
  std::string job_toml;  // job.toml, to be written last
  std::string message;   // message.eml
  std::string list;      // list.csv
};
TlsReportFiles tls_report_files(const TlsDomainResults& results,
                                const std::vector<std::string>& recipients,
                                const Configuration& config);

std::string gzipped(std::string_view octets);

}  // namespace sluice
