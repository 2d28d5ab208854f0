// What shaping rules come to, in words, with where each says so: for `sluice resolve`.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/model/configuration.h"
#include "engine/model/shaping.h"

namespace sluice {

struct LimitInForce {
  std::string key;    // as in a shaping file
  std::string value;  // what holds; of a key that is not built what is written
  // Where the last rule that sets it stands; empty where none does.
  std::string file;
  int line = 0;
  std::string table;
  bool built = true;  // false: it has no effect yet

  // "shaping.toml:7", or "default".
  std::string from() const;
  friend bool operator==(const LimitInForce&, const LimitInForce&) = default;
};

struct SourceLimits {
  std::string source;
  std::string provider;  // whose provider_... limits are shared by its sites; or empty
  std::vector<LimitInForce> limits;
};

// Every key that is built, in a fixed order, then what rules set and is not built.
// `config`: what holds where no rule says otherwise.
std::vector<LimitInForce> limits_in_force(const Shaped& shaped, const Configuration& config);

// For each source of the configuration.
std::vector<SourceLimits> limits_of_sources(const Shaping& shaping, std::string_view domain,
                                            const Route& route, const Configuration& config);

}  // namespace sluice
