#include "engine/config/tls_section.h"

#include "engine/config/enum_names.h"

namespace sluice::config {

void refuse_tls_policy(Section& section) {
  TlsPolicy policy = TlsPolicy::kNone;
  section.choice("policy", kTlsPolicies, policy);
  if (policy == TlsPolicy::kNone) return;
  section.problems().add_not_built(section.place_of_value("policy"),
                                   "TLS is not built yet: set [tls] policy = \"none\"");
}

}  // namespace sluice::config
