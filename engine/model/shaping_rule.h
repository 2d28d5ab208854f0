// The tables of shaping files as they were read.
//
// Plain values; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/automation.h"
#include "engine/model/policy.h"

namespace sluice {

// One condition of a provider. A suffix is compared as text: ".google.com" is not "google.com".
struct ProviderMatch {
  enum class Kind : uint8_t { kMxSuffix, kHostName, kDomainSuffix };
  Kind kind = Kind::kMxSuffix;
  std::string text;  // in lower case, no dot at the end
};

// A key that a table sets, for people.
struct SetKey {
  std::string key;
  std::string value;  // as it was written; a string without its quotes
  int line = 0;
  bool built = true;  // false: it has no effect yet
};

// One table: what it sets for all mail, for a domain (and its whole site, unless mx_rollup =
// false), for a provider; or, of these, for the mail of one source.
struct ShapingRule : ShapingKeys {
  enum class Scope : uint8_t { kDefault, kDomain, kProvider };
  Scope scope = Scope::kDefault;
  std::string domain;  // in lower case; of kDefault "default"; of kProvider the provider's name
  std::string source;  // empty: of all
  std::string table;   // its header: ["gmail.com".sources."s1"]
  std::string file;
  int line = 0;
  bool mx_rollup = true;
  bool replace_base = false;
  std::vector<ProviderMatch> matches;
  std::optional<uint32_t> provider_connection_limit;
  std::optional<Rate> provider_max_message_rate;
  std::vector<SetKey> set;
  std::vector<Automation> automation;
};

// In the order of the files, and in each as they stand there; a source's table follows that which
// it is part of.
using ShapingRules = std::vector<ShapingRule>;

}  // namespace sluice
