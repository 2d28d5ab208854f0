// What `sluice resolve` says of a domain: its route and, by source, the limits that hold for it and
// where each is written. Pure.
#pragma once

#include <string>

#include "engine/base/time.h"
#include "engine/shard/engine.h"

namespace sluice::tools {

struct RouteReport {
  std::string asked;   // as it was given
  std::string domain;  // its A-labels
  ExplainedRoute explained;
  bool from_sender = false;  // it is what the running sender goes by
  WallTime now{};
};
// `with_trace`: every DNS fact as well.
std::string route_words(const RouteReport& report, bool with_trace);
// "limits": those of the first source; "sources": of each.
std::string route_json(const RouteReport& report);

}  // namespace sluice::tools
