// Where a connection may go, and from which address. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/random.h"
#include "engine/model/configuration.h"
#include "engine/model/route.h"
#include "engine/shard/lane.h"

namespace sluice {

// One address of one exchanger to try. The exchanger is the route's.
struct Target {
  const Exchanger* exchanger;
  IpAddress address;
};

// The source's address of that family; nothing: the system's choice.
std::optional<IpAddress> local_address(const Source& source, Family family);

// All addresses that the source can dial, in the order of RFC 5321 §5: exchangers by preference,
// those of equal preference shuffled anew, all addresses of one before the next: as the route has
// them, or, where it is known which family answered last, that first and the two in turn. Rested
// ones come last.
std::vector<Target> targets_of(const Route& route, const Site& site, const Source& source,
                               Instant now, Random& random);

// Why the source's address of that family could not be used, for people.
std::string unusable_source(const Source& source, Family family);

}  // namespace sluice
