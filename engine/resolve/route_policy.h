// From DNS answers to a route: every outcome of RFC 5321 §5, 7505, 2308 and 8767 is decided here,
// by one table (route_policy.cc). Pure: no cache, no clock, no network.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/time.h"
#include "engine/model/configuration.h"
#include "engine/model/route.h"
#include "resolver_cache/answer.h"

namespace sluice {

// What the cache or the network says about one (name, type), as a value of its own.
struct Finding {
  resolver_cache::AnswerKind kind = resolver_cache::AnswerKind::kFailed;
  bool asked = false;      // false: this type was not looked up
  bool stale = false;      // an expired answer, served because the refresh failed
  bool confirmed = false;  // NXDOMAIN was said twice, far enough apart
  bool secure = false;     // the resolver set AD
  bool cached = false;     // known already when it was looked for
  Instant landed{};        // when the answer came
  Instant expires{};
  std::vector<resolver_cache::Item> items;
  std::string detail;     // failed: why
  std::string canonical;  // the end of the CNAME chain; empty: the name itself
};

struct HostFinding {
  std::string name;
  uint16_t preference = 0;
  Finding ipv4;
  Finding ipv6;
};

struct RoutePolicy {
  bool use_ipv4 = true;
  bool use_ipv6 = false;
  // An exchanger's addresses of that family all come first; without it the two families alternate,
  // IPv6 first.
  std::optional<Family> preferred;
  bool allow_address_literals = false;
  std::vector<Network> allowed_networks;  // special-purpose addresses that may be used all the same
  // Of the sources: an exchanger that has one is this host. It and those of its preference and
  // above are no exchangers for us (RFC 5321 §5.1).
  std::vector<IpAddress> own_addresses;
};

// An A or AAAA record's address.
std::optional<IpAddress> address_of(const resolver_cache::Item& item);
// Why an address is not used, in words; null when it is. `use_family`: of the policy.
const char* refusal_of(const IpAddress& address, bool use_family, const RoutePolicy& policy);

// The first half: what the MX answer means. `hosts` have names and preferences only; with none, the
// route is already decided. `implicit`: the domain stands for its own exchanger.
struct MxStep {
  std::vector<HostFinding> hosts;
  bool implicit = false;
  Route decided;
};
MxStep judge_mx(std::string_view domain, const Finding& mx);

// The second half. Exchangers keep the order of `hosts` (sorted by preference); one without a
// usable address is left out. The site is named after all of them. Where `mx` names more than are
// looked at (resolver_cache/mx.h), it is not known that no exchanger has an address.
Route judge_addresses(std::string_view domain, const Finding& mx, bool implicit,
                      const std::vector<HostFinding>& hosts, const RoutePolicy& policy);

// True when no host has an address in a family that was asked, no lookup failed, and a family was
// not asked: then it is asked before the domain is judged to have no address at all.
bool needs_other_family(const std::vector<HostFinding>& hosts);

// Whether `domain` is written as an address literal (RFC 5321 §4.1.3), well-formed or not.
bool is_address_literal(std::string_view domain);
// The route to "[192.0.2.1]" or "[IPv6:2001:db8::1]".
Route judge_literal(std::string_view domain, const RoutePolicy& policy);

// The domain cannot be looked up at all.
Route judge_bad_name(std::string_view domain);
// The resolver is closing or out of room: nothing is known, try later.
Route judge_not_asked(std::string_view domain, std::string_view why);

}  // namespace sluice
