#include "engine/shard/tls_forecast.h"

#include <algorithm>

#include "engine/base/strings.h"
#include "engine/resolve/sts_policy.h"
#include "engine/spool/job_directory.h"

namespace sluice {
namespace {

std::string certificate_words(const TlsPlan& plan) {
  switch (plan.demand.check) {
    case TlsCheck::kNone:
      return "any certificate";
    case TlsCheck::kNames:
      return "a certificate for " + join(plan.demand.names, " or ");
    case TlsCheck::kDane:
      return "a certificate that one of " + std::to_string(plan.demand.tlsa.size()) +
             " TLSA records of " + plan.demand.server_name + " vouches for";
  }
  return "";
}

std::string origin_of(const TlsPlan& plan, const Shaped& shaped, std::string_view domain) {
  const std::string_view policy = plan.policy;
  if (policy == "dane") return "DANE";
  if (policy == "mta-sts") return "MTA-STS of " + std::string(domain);
  const Origin* origin = shaped.origins.find("enable_tls");
  if (shaped.policy.tls && policy != name_of(*shaped.policy.tls)) origin = nullptr;
  return origin == nullptr ? "[tls] policy" : origin->file + ":" + std::to_string(origin->line);
}

// Where the operator says that nothing leaves in clear, no rule does away with it.
bool is_floor(TlsPolicy policy) {
  return policy == TlsPolicy::kRequired || policy == TlsPolicy::kVerified;
}

}  // namespace

std::string words_of(const TlsPlan& plan) {
  if (plan.skip) return "not used: " + plan.why;
  switch (plan.starttls) {
    case StartTls::kNever:
      return plan.why.empty() ? "in clear" : "in clear: " + plan.why;
    case StartTls::kIfOffered:
    case StartTls::kWhereOffered:
      return "encrypted where STARTTLS is offered" +
             std::string(plan.falls_back ? " and works" : "") + ", " + certificate_words(plan);
    case StartTls::kRequired:
      return "always encrypted, " + certificate_words(plan);
  }
  return "";
}

TlsPolicy policy_of(const SitePolicy& site, const Configuration::Tls& tls) {
  if (!site.tls) return tls.policy;
  return is_floor(tls.policy) ? strictest(*site.tls, tls.policy) : *site.tls;
}

LaneTerms terms_in_force(const LaneTerms& terms, const SitePolicy& site,
                         const Configuration::Tls& tls) {
  LaneTerms out = terms;
  out.dane = terms.dane && site.enable_dane.value_or(tls.dane);
  if (!site.enable_mta_sts.value_or(tls.mta_sts)) out.sts = nullptr;
  return out;
}

std::vector<TlsForecast> forecast_tls(const Shaping& shaping, std::string_view domain,
                                      const Route& route, const Configuration& config) {
  std::vector<TlsForecast> all;
  const LaneTerms terms = terms_of(TlsPolicy::kNone, domain, route, false);
  for (const Exchanger& exchanger : route.exchangers) {
    std::vector<TlsForecast> of_sources;
    for (const Source& source : config.sources) {
      const Shaped shaped = shaping.shape(route.site, domain, route.exchangers, source.name);
      const TlsPlan plan =
          plan_tls(policy_of(shaped.policy, config.tls),
                   terms_in_force(terms, shaped.policy, config.tls), exchanger, nullptr, Instant{});
      of_sources.push_back({exchanger.name, source.name, plan.policy, words_of(plan),
                            origin_of(plan, shaped, domain)});
    }
    const bool same = std::all_of(of_sources.begin(), of_sources.end(), [&](TlsForecast other) {
      other.source = of_sources.front().source;
      return other == of_sources.front();
    });
    if (same && !of_sources.empty()) {
      of_sources.resize(1);
      of_sources.front().source.clear();
    }
    all.insert(all.end(), of_sources.begin(), of_sources.end());
  }
  return all;
}

std::string words_of(const StsPolicyPtr& policy) {
  if (policy == nullptr) return "";
  return std::string(name_of(policy->mode)) +
         (policy->mx.empty() ? "" : " for " + join(policy->mx, ", ")) + ", until " +
         format_utc(policy->expires);
}

}  // namespace sluice
