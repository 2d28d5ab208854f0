// What shaping rules come to for mail from one source to one site: limits, habits, the provider's
// shared limits, and which line of which file says each.
//
// PURPOSE. Shaping holds the tables of all files and what is known of the sites of the domains
// that they name; shape() merges those that apply, as KumoMTA does (shaping.cc has the order).
// OWNERSHIP. Values; a Shaped stays good after its Shaping is gone.
// THREAD. One at a time, also for what is const: shape() remembers origins.
// ERRORS. None: what is not known does not match.
// LIMITS. None of its own; memory grows with the tables and with the sets of tables that applied.
// BUGS. Of several providers that match and have limits the last one's hold, and only they.
// A DomainSuffix is asked of the one domain that shape() is given.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "engine/model/policy.h"
#include "engine/model/route.h"
#include "engine/model/shaping_rule.h"

namespace sluice {

// Where a key's value in force was written. What no rule sets has none.
struct Origin {
  std::string key;    // as in a shaping file
  std::string value;  // as it was written
  std::string file;
  int line = 0;
  std::string table;  // its header: ["gmail.com".sources."s1"]
  bool built = true;  // false: it has no effect yet
};

// One a key that a rule sets. Shared by all that the same tables apply to: cheap to copy.
class Origins {
 public:
  Origins() = default;
  explicit Origins(std::vector<Origin> origins)
      : origins_(std::make_shared<const std::vector<Origin>>(std::move(origins))) {}

  const Origin* begin() const { return origins_ ? origins_->data() : nullptr; }
  const Origin* end() const { return origins_ ? origins_->data() + origins_->size() : nullptr; }
  bool empty() const { return begin() == end(); }
  // Null where no rule sets the key.
  const Origin* find(std::string_view key) const;

 private:
  std::shared_ptr<const std::vector<Origin>> origins_;
};

// For one source and one site.
struct Shaped {
  SitePolicy policy;
  std::string provider;  // whose limits below are shared by all its sites of that source; or empty
  std::optional<uint32_t> provider_connection_limit;
  std::optional<Rate> provider_max_message_rate;
  Origins origins;
};

class Shaping {
 public:
  explicit Shaping(ShapingRules rules);

  const ShapingRules& rules() const { return rules_; }
  // The domains that tables name, each once: set_site() tells theirs.
  const std::vector<std::string>& domains() const { return names_; }
  // The exchangers of `domain` make `site`. False when that was known, or no table names `domain`.
  bool set_site(std::string_view domain, std::string_view site);
  // Empty: not known.
  const std::string& site_of(std::string_view domain) const;
  // A rule with mx_rollup = false names `domain`: it is a site of its own, named as the domain.
  bool is_own_site(std::string_view domain) const;

  // `site` is the name that the exchangers of `domain` make (or, for a site of its own, the
  // domain).
  Shaped shape(std::string_view site, std::string_view domain,
               const std::vector<Exchanger>& exchangers, std::string_view source) const;

 private:
  using Tables = std::vector<uint32_t>;  // indices of rules_, ascending
  struct Domain {
    Tables rolled_up;
    Tables alone;
    std::string site;
  };
  struct Provider {
    Tables tables;
    std::vector<ProviderMatch> matches;
  };
  // Tables of one name, merged: those for all sources and those for the one asked for.
  struct Merged {
    Tables base;
    Tables of_source;
    bool replaces = false;
  };

  void add(uint32_t index);
  bool matches(const Provider& provider, std::string_view domain,
               const std::vector<Exchanger>& exchangers) const;
  Merged merge(const Tables& tables, std::string_view source) const;
  Tables tables_of_site(std::string_view site, const Domain* domain) const;
  Tables tables_for(std::string_view site, std::string_view domain,
                    const std::vector<Exchanger>& exchangers, std::string_view source) const;
  Origins origins_of(const Tables& applied) const;

  ShapingRules rules_;
  std::vector<std::string> names_;
  Tables defaults_;
  StringMap<Domain> domains_;
  StringMap<Tables> sites_;
  std::vector<std::pair<std::string, Provider>> providers_;  // by first appearance
  mutable std::map<Tables, Origins> origins_;
};

}  // namespace sluice
