// What `sluice resolve` says of a domain: its route and the limits that hold for it. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/configuration.h"
#include "engine/model/policy.h"
#include "engine/model/route.h"
#include "engine/resolve/route_trace.h"

namespace sluice::tools {

// A limit, and the last rule that set it.
struct LimitInForce {
  std::string_view name;  // as in a shaping file
  std::string value;
  const ShapingRule* rule = nullptr;  // null: the default
};

// The limits for `domain`, whose mail goes to `site`. `rule_sites` has the site of each rule's
// domain, empty where it is not known. As the engine applies them.
std::vector<LimitInForce> limits_in_force(const Configuration& config,
                                          const std::vector<std::string>& rule_sites,
                                          std::string_view domain, std::string_view site);

struct RouteReport {
  std::string asked;   // as it was given
  std::string domain;  // its A-labels
  RoutePtr route;
  std::vector<LimitInForce> limits;
  std::string servers;  // that were asked
  Duration lives{};     // until the route is asked for again
  RouteTrace trace;
  bool from_sender = false;  // it is what the running sender goes by
  WallTime now{};
};
// `with_trace`: every DNS fact as well.
std::string route_words(const RouteReport& report, bool with_trace);
std::string route_json(const RouteReport& report);

}  // namespace sluice::tools
