#include "engine/shard/targets.h"

#include <algorithm>

namespace sluice {
namespace {

// A source with addresses never sends from another: without one of that family it cannot.
bool can_dial(const Source& source, Family family) {
  return source.addresses.empty() || local_address(source, family).has_value();
}

// The families alternate, that one first; within a family the order stays.
std::vector<IpAddress> alternating(const std::vector<IpAddress>& addresses, Family first) {
  std::vector<IpAddress> sorted = addresses;
  const auto others = std::stable_partition(
      sorted.begin(), sorted.end(), [first](const IpAddress& a) { return a.family == first; });
  std::vector<IpAddress> mixed;
  mixed.reserve(sorted.size());
  auto one = sorted.begin();
  auto other = others;
  while (mixed.size() < sorted.size()) {
    if (one != others) mixed.push_back(*one++);
    if (other != sorted.end()) mixed.push_back(*other++);
  }
  return mixed;
}

}  // namespace

std::optional<IpAddress> local_address(const Source& source, Family family) {
  for (const IpAddress& address : source.addresses) {
    if (address.family == family) return address;
  }
  return std::nullopt;
}

std::vector<Target> targets_of(const Route& route, const Site& site, const Source& source,
                               Instant now, Random& random) {
  std::vector<const Exchanger*> exchangers;
  for (const Exchanger& exchanger : route.exchangers) exchangers.push_back(&exchanger);
  random.shuffle(exchangers);
  std::stable_sort(exchangers.begin(), exchangers.end(),
                   [](const auto* a, const auto* b) { return a->preference < b->preference; });
  std::vector<Target> fresh;
  std::vector<Target> rested;
  for (const Exchanger* exchanger : exchangers) {
    const std::optional<Family> first = site.families.of(exchanger->name);
    for (const IpAddress& address :
         first ? alternating(exchanger->addresses, *first) : exchanger->addresses) {
      if (!can_dial(source, address.family)) continue;
      auto& list = site.is_rested(address, now) ? rested : fresh;
      list.push_back({exchanger, address});
    }
  }
  fresh.insert(fresh.end(), rested.begin(), rested.end());
  return fresh;
}

std::string unusable_source(const Source& source, Family family) {
  const std::optional<IpAddress> address = local_address(source, family);
  return "source " + source.name + (address ? " (" + to_string(*address) + ")" : std::string()) +
         ": no address of this host, or no port of it is left";
}

}  // namespace sluice
