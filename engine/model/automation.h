// What a shaping file says should happen when a receiver's replies match: [["x".automation]].
//
// Plain values; any thread. Read and checked; nothing acts on them yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/policy.h"

namespace sluice {

struct AutomationAction {
  enum class Kind : uint8_t {
    kSuspend,
    kSuspendTenant,
    kSuspendCampaign,
    kSetConfig,
    kSetDomainConfig,
    kBounce,
    kBounceTenant,
    kBounceCampaign,
  };
  Kind kind = Kind::kSuspend;
  // Of kSetConfig and kSetDomainConfig: the key, its value as it was written, and, when the key is
  // built, the value itself.
  std::string name;
  std::string value;
  ShapingKeys keys;
};

struct Automation {
  std::vector<std::string> regexes;  // PCRE syntax; one that matches is enough
  std::vector<AutomationAction> actions;
  std::optional<Rate> threshold;  // so many matches in the preceding period; none: the first one
  Duration duration{};            // how long the actions hold
  bool match_internal = false;    // replies that we made up ourselves match as well
  int line = 0;
};

}  // namespace sluice
