// Any shaping file is taken or refused with a place and a reason; rules that are taken, merged as
// they apply, set nothing that the engine cannot work with.
#include <string>
#include <string_view>

#include "engine/base/check.h"
#include "engine/base/strings.h"
#include "engine/config/shaping_file.h"
#include "engine/model/shaping.h"
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

void check_automation(const Automation& automation) {
  CHECK(!automation.actions.empty() && automation.duration > Duration::zero());
  if (automation.threshold) check_rate(*automation.threshold);
  SitePolicy policy;
  for (const AutomationAction& action : automation.actions) action.keys.apply(policy);
  check_policy(policy);
}

void check_shaped(const Shaping& shaping, const std::string& domain, const std::string& source) {
  const std::string& site = shaping.site_of(domain);
  const Shaped shaped = shaping.shape(site, domain, {{"mx.example", 10, {}}}, source);
  check_policy(shaped.policy);
  CHECK(!shaped.provider_connection_limit || *shaped.provider_connection_limit > 0);
  if (shaped.provider_max_message_rate) check_rate(*shaped.provider_max_message_rate);
  for (const Origin& origin : shaped.origins) {
    CHECK(origin.file == "shaping.toml" && origin.line > 0 && !origin.table.empty());
  }
}

void check_rules(const ShapingRules& rules) {
  for (const ShapingRule& rule : rules) {
    CHECK(rule.scope == ShapingRule::Scope::kProvider || rule.domain == to_lower(rule.domain));
    CHECK((rule.scope == ShapingRule::Scope::kDefault) ==
          (rule.domain == "default" && rule.scope != ShapingRule::Scope::kProvider));
    CHECK(rule.file == "shaping.toml" && rule.line > 0);
    SitePolicy policy;
    rule.apply(policy);
    check_policy(policy);
    for (const Automation& automation : rule.automation) check_automation(automation);
  }
  ShapingRules joined = rules;
  joined.insert(joined.end(), rules.begin(), rules.end());
  CHECK(rules_for_nothing(joined, {"s1"}).size() <= 2);
  Shaping shaping(joined);
  for (const std::string& domain : shaping.domains()) shaping.set_site(domain, "mx.example");
  for (const ShapingRule& rule : rules) check_shaped(shaping, rule.domain, rule.source);
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
