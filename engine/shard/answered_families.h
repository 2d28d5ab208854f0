// Which address family of an exchanger answered last.
//
// PURPOSE. Where both families may be used, a connection goes first to the one that worked: a host
// whose IPv6 leads nowhere costs one time-out, not one a connection.
// OWNERSHIP. Part of a Site; copies the names. THREAD. The shard's. ERRORS. None.
// LIMITS. kExchangersMax exchangers, those with addresses of both families alone; the one
// remembered longest ago makes room.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/net.h"
#include "engine/model/route.h"

namespace sluice {

class AnsweredFamilies {
 public:
  static constexpr size_t kExchangersMax = 64;

  // That exchanger greeted at an address of `family`.
  void remember(const Route& route, std::string_view exchanger, Family family);
  // Nothing: it is not known, or it does not matter.
  std::optional<Family> of(std::string_view exchanger) const;

 private:
  std::vector<std::pair<std::string, Family>> known_;
  size_t oldest_ = 0;  // once there is no more room
};

inline std::optional<Family> AnsweredFamilies::of(std::string_view exchanger) const {
  for (const auto& [name, family] : known_) {
    if (name == exchanger) return family;
  }
  return std::nullopt;
}

inline void AnsweredFamilies::remember(const Route& route, std::string_view exchanger,
                                       Family family) {
  for (auto& [name, last] : known_) {
    if (name != exchanger) continue;
    last = family;
    return;
  }
  const auto found = std::find_if(route.exchangers.begin(), route.exchangers.end(),
                                  [&](const Exchanger& e) { return e.name == exchanger; });
  if (found == route.exchangers.end()) return;
  const auto of_other = [family](const IpAddress& address) { return address.family != family; };
  if (std::none_of(found->addresses.begin(), found->addresses.end(), of_other)) return;
  if (known_.size() < kExchangersMax) {
    known_.emplace_back(exchanger, family);
  } else {
    known_[oldest_] = {std::string(exchanger), family};
    oldest_ = (oldest_ + 1) % kExchangersMax;
  }
}

}  // namespace sluice
