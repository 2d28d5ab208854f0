// Any shaping file is taken or refused with a place and a reason; rules that are taken are ordered
// and set nothing that the engine cannot work with.
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/config/shaping_file.h"
#include "tests/fuzz/config_errors.h"
#include "tests/fuzz/input.h"

namespace sluice::fuzz {
namespace {

void check_policy(const SitePolicy& policy) {
  CHECK(policy.connection_limit > 0 && policy.max_in_flight > 0);
  if (policy.max_connection_rate) check_rate(*policy.max_connection_rate);
  if (policy.max_message_rate) check_rate(*policy.max_message_rate);
  const SmtpTimeouts& timeouts = policy.timeouts;
  for (const Duration timeout :
       {timeouts.connect, timeouts.banner, timeouts.ehlo, timeouts.mail_from, timeouts.rcpt_to,
        timeouts.data, timeouts.data_dot, timeouts.rset}) {
    CHECK(timeout > Duration::zero());
  }
  CHECK(policy.idle_timeout >= Duration::zero());
  CHECK(!policy.smtp_port || *policy.smtp_port != 0);
}

void check_rules(const ShapingRules& rules) {
  bool default_may_come = true;
  for (const ShapingRule& rule : rules) {
    CHECK(!rule.domain.empty() && rule.domain == to_lower(rule.domain));
    if (rule.domain != "default") default_may_come = false;
    CHECK(rule.domain != "default" || default_may_come);
    CHECK(rule.file == "shaping.toml" && rule.line > 0);
    SitePolicy policy;
    rule.apply(policy);
    check_policy(policy);
  }
  ShapingRules joined = rules;
  joined.insert(joined.end(), rules.begin(), rules.end());
  order_rules(joined);
  CHECK(joined.size() == 2 * rules.size());
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  fuzz::Input input(data, size);
  std::vector<std::string> warnings;
  const StatusOr<ShapingRules> rules = parse_shaping(input.rest(), "shaping.toml", &warnings);
  CHECK(warnings.size() <= 1);
  if (!rules.ok()) {
    CHECK(absl::IsFailedPrecondition(rules.status()) || absl::IsUnimplemented(rules.status()));
    fuzz::check_error(message_of(rules.status()), {"shaping.toml"});
    return 0;
  }
  for (const std::string& warning : warnings) fuzz::check_error(warning, {"shaping.toml"});
  fuzz::check_rules(*rules);
  return 0;
}
