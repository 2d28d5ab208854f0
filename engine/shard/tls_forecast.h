// What TLS would be for a domain's mail, in words: for `sluice resolve` and `sluice tls-probe`.
//
// Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/model/configuration.h"
#include "engine/model/route.h"
#include "engine/model/shaping.h"
#include "engine/shard/tls_terms.h"

namespace sluice {

// Of mail to one exchanger from one source, of a job that asks for nothing more.
struct TlsForecast {
  std::string exchanger;
  std::string source;  // "": all of them
  std::string policy;  // as the record says it
  std::string words;   // what that means there
  std::string from;    // "[tls] policy", "shaping.toml:7", "DANE", "MTA-STS of example.com"
  friend bool operator==(const TlsForecast&, const TlsForecast&) = default;
};

// "always encrypted, with a certificate for mx.example.com" and so on.
std::string words_of(const TlsPlan& plan);
// For a site's mail the rule's, else that of [tls]; one of [tls] that is "required" or "verified"
// no rule makes laxer. DANE and MTA-STS are taken off where they are off.
TlsPolicy policy_of(const SitePolicy& site, const Configuration::Tls& tls);
LaneTerms terms_in_force(const LaneTerms& terms, const SitePolicy& site,
                         const Configuration::Tls& tls);

std::vector<TlsForecast> forecast_tls(const Shaping& shaping, std::string_view domain,
                                      const Route& route, const Configuration& config);
// "enforce for mx1.example.com, *.example.net, until 2026-12-01T00:00:00Z"; "" without a policy.
std::string words_of(const StsPolicyPtr& policy);

}  // namespace sluice
