// A TLS report (RFC 8460): its JSON, its names, and who wants one.
//
// PURPOSE. tls_report_json() makes the report of one policy domain and day (§4.4),
//   parse_tls_policies() reads its policies back, which is how results outlive the process too;
//   parse_tls_report_record() reads the TXT records of _smtp._tls.DOMAIN (§3).
// THREAD. Any; pure.
// ERRORS. Nothing where a text is not as it must be.
// LIMITS. kTlsReportTargetsMax addresses of a record; further ones get no report.
// BUGS. Failures have no receiving-mx-helo; sending-mta-ip is there only where the source has an
//   address of its own in the configuration.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/record/tls_results.h"

namespace sluice {

// Who reports.
struct TlsReporter {
  std::string organization;
  std::string contact;
  std::string submitter;  // a domain
};

// The same for the same domain and day: who gets a report twice can tell.
std::string tls_report_id(const TlsDomainResults& results, const TlsReporter& reporter);
std::string tls_report_json(const TlsDomainResults& results, const TlsReporter& reporter);
// §5.1: "sender.example!example.com!1479772800!1479859199!ID.json.gz".
std::string tls_report_file_name(const TlsDomainResults& results, const TlsReporter& reporter);

// The value of "policies" alone, and back.
std::string tls_policies_json(const TlsDomainResults& results);
std::optional<std::vector<TlsPolicyCounts>> parse_tls_policies(std::string_view json);

inline constexpr size_t kTlsReportTargetsMax = 8;
// Where reports of a domain go.
struct TlsReportTargets {
  std::vector<std::string> addresses;  // of mailto:
  std::vector<std::string> urls;       // https:
  friend bool operator==(const TlsReportTargets&, const TlsReportTargets&) = default;
};
// `texts`: of all its TXT records. Nothing when the domain wants no reports, or does not say so in
// exactly one well-formed record.
std::optional<TlsReportTargets> parse_tls_report_record(const std::vector<std::string>& texts);

}  // namespace sluice
