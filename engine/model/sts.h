// A domain's MTA-STS policy (RFC 8461 §3.2). A plain value; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/time.h"

namespace sluice {

enum class StsMode : uint8_t {
  kNone,     // asks for nothing, as if there were no policy
  kTesting,  // what does not fit is reported and delivered all the same
  kEnforce,  // mail goes only to an exchanger that fits, with a certificate of its name
};

struct StsPolicy {
  StsMode mode = StsMode::kNone;
  std::vector<std::string> mx;  // lower-case A-labels; "*.example.com": one label for the star
  Duration max_age{};
  std::string id;      // of the TXT record that stood when it was fetched
  WallTime fetched{};  // when the fetch began
  WallTime expires{};  // fetched + max_age; from then on it holds no more
  friend bool operator==(const StsPolicy&, const StsPolicy&) = default;
};
using StsPolicyPtr = std::shared_ptr<const StsPolicy>;

}  // namespace sluice
