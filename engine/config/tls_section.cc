#include "engine/config/tls_section.h"

#include <algorithm>

#include "engine/config/checks.h"
#include "engine/config/dkim_section.h"
#include "engine/config/enum_names.h"

namespace sluice::config {
namespace {

// Local part and domain, as they may stand in a header, a job and a file name alike.
bool is_bare_address(std::string_view text) {
  const size_t at = text.find('@');
  if (at == 0 || at == std::string_view::npos || !is_host_name(text.substr(at + 1))) return false;
  return std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), [](char c) {
    return c > ' ' && c <= '~' && std::string_view("\"(),:;<>[\\]{}").find(c) == std::string::npos;
  });
}

void read_reports(Section& section, Configuration::Tls& out) {
  if (section.text("report_from", out.report_from, Empty::kAllowed) && !out.report_from.empty() &&
      !is_bare_address(out.report_from)) {
    section.error("report_from", "= " + quote(out.report_from) +
                                     " is not a bare address; write \"tls-reports@example.com\", "
                                     "without a name");
  }
  section.text("report_contact", out.report_contact, Empty::kAllowed);
  section.text("organization", out.organization, Empty::kAllowed);
}

}  // namespace

void read_tls(Section section, const std::string& file, Configuration::Tls& out) {
  section.choice("policy", kTlsPolicies, out.policy);
  section.flag("dane", out.dane);
  section.flag("mta_sts", out.mta_sts);
  if (section.text("ca_file", out.ca_file, Empty::kAllowed) && !out.ca_file.empty()) {
    out.ca_file = beside(file, out.ca_file);
  }
  read_reports(section, out);
  section.finish();
}

void read_job_tls(Section section, TlsPolicy& out) {
  section.choice("policy", kTlsPolicies, out);
  section.finish();
}

}  // namespace sluice::config
