// The order in which tables apply, later ones overriding key by key (as KumoMTA resolves them):
//
//   1. ["default"], and ours: ["default".sources."s"]
//   2. every [provider."x"] that matches, in the order in which the files name them first
//   3. their [provider."x".sources."s"]
//   4. the tables of all domains whose exchangers make the site
//   5. those of the domain with mx_rollup = false
//   6. the sources' tables of 4, then of 5
//
// Tables of one name (of one site in 4) are merged in the order of the files first. There a later
// table with replace_base drops the earlier ones with their sources' tables; where the first one
// has it, all that came before 4, or before 5, is dropped.
//
// A provider matches a domain by a DomainSuffix of it, or when every exchanger is one that some
// MXSuffix or HostName of the provider names.
#include "engine/model/shaping.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

void append(std::vector<uint32_t>& to, const std::vector<uint32_t>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

bool names(const ProviderMatch& match, std::string_view exchanger) {
  switch (match.kind) {
    case ProviderMatch::Kind::kMxSuffix:
      return exchanger.ends_with(match.text);
    case ProviderMatch::Kind::kHostName:
      return exchanger == match.text;
    case ProviderMatch::Kind::kDomainSuffix:
      break;
  }
  return false;
}

// The limits that one provider's tables come to.
struct ProviderLimits {
  explicit ProviderLimits(std::string_view name = {}) : provider(name) {}
  std::string_view provider;
  std::optional<uint32_t> connection_limit;
  std::optional<Rate> max_message_rate;

  bool any() const { return connection_limit || max_message_rate; }
  void take(const ShapingRule& rule) {
    if (rule.provider_connection_limit) connection_limit = rule.provider_connection_limit;
    if (rule.provider_max_message_rate) max_message_rate = rule.provider_max_message_rate;
  }
};

// Of the last provider with limits, else of the last one.
ProviderLimits provider_limits(const ShapingRules& rules, const std::vector<uint32_t>& applied) {
  std::vector<ProviderLimits> all;
  for (const uint32_t index : applied) {
    const ShapingRule& rule = rules[index];
    if (rule.scope != ShapingRule::Scope::kProvider) continue;
    auto found = std::find_if(all.begin(), all.end(), [&](const ProviderLimits& limits) {
      return limits.provider == rule.domain;
    });
    if (found == all.end()) found = all.insert(all.end(), ProviderLimits(rule.domain));
    found->take(rule);
  }
  if (all.empty()) return ProviderLimits();
  const auto limited = std::find_if(all.rbegin(), all.rend(),
                                    [](const ProviderLimits& limits) { return limits.any(); });
  return limited == all.rend() ? all.back() : *limited;
}

}  // namespace

const Origin* Origins::find(std::string_view key) const {
  const Origin* found =
      std::find_if(begin(), end(), [&](const Origin& origin) { return origin.key == key; });
  return found == end() ? nullptr : found;
}

Shaping::Shaping(ShapingRules rules) : rules_(std::move(rules)) {
  for (uint32_t index = 0; index < rules_.size(); ++index) add(index);
}

void Shaping::add(uint32_t index) {
  const ShapingRule& rule = rules_[index];
  switch (rule.scope) {
    case ShapingRule::Scope::kDefault:
      defaults_.push_back(index);
      return;
    case ShapingRule::Scope::kDomain: {
      const auto [domain, is_new] = domains_.try_emplace(rule.domain);
      if (is_new) names_.push_back(rule.domain);
      (rule.mx_rollup ? domain->second.rolled_up : domain->second.alone).push_back(index);
      return;
    }
    case ShapingRule::Scope::kProvider:
      break;
  }
  auto provider = std::find_if(providers_.begin(), providers_.end(),
                               [&](const auto& entry) { return entry.first == rule.domain; });
  if (provider == providers_.end()) {
    provider = providers_.insert(provider, {rule.domain, Provider()});
  }
  std::vector<ProviderMatch>& matches = provider->second.matches;
  if (rule.replace_base) matches.clear();
  matches.insert(matches.end(), rule.matches.begin(), rule.matches.end());
  provider->second.tables.push_back(index);
}

bool Shaping::set_site(std::string_view domain, std::string_view site) {
  const auto found = domains_.find(domain);
  if (found == domains_.end() || found->second.site == site) return false;
  Domain& known = found->second;
  if (const auto old = sites_.find(std::string_view(known.site)); old != sites_.end()) {
    std::erase_if(old->second, [&](uint32_t index) { return rules_[index].domain == domain; });
    if (old->second.empty()) sites_.erase(old);
  }
  known.site = site;
  if (site.empty() || known.rolled_up.empty()) return true;
  Tables& tables = sites_[known.site];
  append(tables, known.rolled_up);
  std::sort(tables.begin(), tables.end());
  return true;
}

const std::string& Shaping::site_of(std::string_view domain) const {
  static const std::string unknown;
  const auto found = domains_.find(domain);
  return found == domains_.end() ? unknown : found->second.site;
}

bool Shaping::is_own_site(std::string_view domain) const {
  const auto found = domains_.find(domain);
  return found != domains_.end() && !found->second.alone.empty();
}

bool Shaping::matches(const Provider& provider, std::string_view domain,
                      const std::vector<Exchanger>& exchangers) const {
  const std::vector<ProviderMatch>& matches = provider.matches;
  const bool by_domain =
      std::any_of(matches.begin(), matches.end(), [&](const ProviderMatch& match) {
        return match.kind == ProviderMatch::Kind::kDomainSuffix && domain.ends_with(match.text);
      });
  if (by_domain) return true;
  if (exchangers.empty()) return false;
  return std::all_of(exchangers.begin(), exchangers.end(), [&](const Exchanger& exchanger) {
    return std::any_of(matches.begin(), matches.end(),
                       [&](const ProviderMatch& match) { return names(match, exchanger.name); });
  });
}

Shaping::Merged Shaping::merge(const Tables& tables, std::string_view source) const {
  Merged out;
  for (const uint32_t index : tables) {
    const ShapingRule& rule = rules_[index];
    if (rule.source.empty()) {
      if (index == tables.front()) {
        out.replaces = rule.replace_base;
      } else if (rule.replace_base) {
        out.base.clear();
        out.of_source.clear();
      }
      out.base.push_back(index);
    } else if (rule.source == source) {
      out.of_source.push_back(index);
    }
  }
  return out;
}

// A domain's own tables hold for its mail wherever that goes at the moment.
Shaping::Tables Shaping::tables_of_site(std::string_view site, const Domain* domain) const {
  const auto found = sites_.find(site);
  Tables of_site = found == sites_.end() ? Tables() : found->second;
  if (domain == nullptr) return of_site;
  Tables out;
  std::set_union(of_site.begin(), of_site.end(), domain->rolled_up.begin(), domain->rolled_up.end(),
                 std::back_inserter(out));
  return out;
}

Shaping::Tables Shaping::tables_for(std::string_view site, std::string_view domain,
                                    const std::vector<Exchanger>& exchangers,
                                    std::string_view source) const {
  const Merged defaults = merge(defaults_, source);
  Tables out = defaults.base;
  append(out, defaults.of_source);

  Tables of_source;
  for (const auto& [name, provider] : providers_) {
    if (!matches(provider, domain, exchangers)) continue;
    const Merged merged = merge(provider.tables, source);
    append(out, merged.base);
    append(of_source, merged.of_source);
  }
  append(out, of_source);

  const auto found = domains_.find(domain);
  const Domain* named = found == domains_.end() ? nullptr : &found->second;
  const bool own = named != nullptr && !named->alone.empty() && !named->site.empty();
  const Merged of_site = merge(
      tables_of_site(own && site == domain ? std::string_view(named->site) : site, named), source);
  const Merged of_domain = merge(named == nullptr ? Tables() : named->alone, source);
  for (const Merged* merged : {&of_site, &of_domain}) {
    if (merged->replaces) out.clear();
    append(out, merged->base);
  }
  append(out, of_site.of_source);
  append(out, of_domain.of_source);
  return out;
}

Origins Shaping::origins_of(const Tables& applied) const {
  const auto known = origins_.find(applied);
  if (known != origins_.end()) return known->second;
  const std::string_view provider = provider_limits(rules_, applied).provider;
  std::vector<Origin> all;
  for (const uint32_t index : applied) {
    const ShapingRule& rule = rules_[index];
    const bool held = rule.scope != ShapingRule::Scope::kProvider || rule.domain == provider;
    for (const SetKey& set : rule.set) {
      if (!held && set.key.starts_with("provider_")) continue;
      Origin origin{set.key, set.value, rule.file, set.line, rule.table, set.built};
      const auto earlier = std::find_if(all.begin(), all.end(),
                                        [&](const Origin& one) { return one.key == set.key; });
      if (earlier == all.end()) {
        all.push_back(std::move(origin));
      } else {
        *earlier = std::move(origin);
      }
    }
  }
  return origins_.emplace(applied, Origins(std::move(all))).first->second;
}

Shaped Shaping::shape(std::string_view site, std::string_view domain,
                      const std::vector<Exchanger>& exchangers, std::string_view source) const {
  const Tables applied = tables_for(site, domain, exchangers, source);
  Shaped out;
  for (const uint32_t index : applied) rules_[index].apply(out.policy);
  const ProviderLimits limits = provider_limits(rules_, applied);
  out.provider = limits.provider;
  out.provider_connection_limit = limits.connection_limit;
  out.provider_max_message_rate = limits.max_message_rate;
  out.origins = origins_of(applied);
  return out;
}

}  // namespace sluice
