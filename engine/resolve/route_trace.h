// What a route rests on, for people: each DNS fact with its age and source, and what was left out.
//
// Values; made by Resolver::route() for whoever asks, never for mail. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/resolve/route_policy.h"
#include "resolver_cache/dns_message.h"

namespace sluice {

// One answer about a (name, type).
struct DnsFact {
  std::string name;
  std::string type;    // "MX", "A", "AAAA", "TLSA", "CNAME", "TXT"
  std::string kind;    // "records", "no data", "no such name", "failed"
  std::string source;  // "fresh": asked for this; "cached"; "stale": expired, its refresh failed
  bool ad = false;     // the resolver set AD: it says that it validated
  Duration age{};      // since the answer came
  Duration lives{};    // until it is asked for again
  std::vector<std::string> records;
  std::string detail;  // of a failed one
};

// An address that is not used.
struct UnusableAddress {
  std::string exchanger;
  uint16_t preference = 0;
  std::string address;  // empty: it has none
  std::string why;
};

struct RouteTrace {
  std::vector<DnsFact> facts;
  std::vector<UnusableAddress> unusable;
  std::string sts;  // what is known of the domain's MTA-STS policy; empty: nothing, or not asked
};

RouteTrace trace_of(std::string_view domain, const Finding& mx,
                    const std::vector<HostFinding>& hosts, const RoutePolicy& policy, Instant now);

void add_fact(std::string_view name, resolver_cache::RecordType type, const Finding& finding,
              Instant now, RouteTrace& trace);

}  // namespace sluice
