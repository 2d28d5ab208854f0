#include "engine/resolve/route_policy.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "engine/base/strings.h"
#include "engine/resolve/site_name.h"
#include "resolver_cache/mx.h"

namespace sluice {
namespace {

using resolver_cache::AnswerKind;

enum class Fault : uint8_t {
  kBadName,
  kNameError,
  kNameErrorOnce,
  kNullMx,
  kMxFailed,
  kAddressFailed,
  kNoAddress,
  kNoAddressStale,
  kNoAddressCut,
  kUnusable,
  kLiteralRefused,
  kLiteralUnusable,
  kOwnLiteral,
  kOwnAddress,
  kOwnAddressStale,
  kNotAsked,
};

struct Rule {
  Fault fault;
  State state;
  EnhancedCode enhanced;
  const char* text;  // said behind "<domain>: "
};

constexpr std::array<Rule, 16> kRules = {{
    {Fault::kBadName, State::kBounced, {5, 1, 2}, "this is no domain name"},
    {Fault::kNameError, State::kBounced, {5, 1, 2}, "the domain does not exist"},
    {Fault::kNameErrorOnce,
     State::kDeferred,
     {4, 4, 4},
     "the domain does not exist; asked again before it is believed"},
    {Fault::kNullMx, State::kBounced, {5, 1, 10}, "the domain takes no mail (null MX)"},
    {Fault::kMxFailed, State::kDeferred, {4, 4, 3}, "MX lookup failed"},
    {Fault::kAddressFailed, State::kDeferred, {4, 4, 3}, "address lookup failed"},
    {Fault::kNoAddress, State::kBounced, {5, 4, 4}, "no exchanger has an address"},
    {Fault::kNoAddressStale,
     State::kDeferred,
     {4, 4, 4},
     "no exchanger of the last known MX records has an address"},
    {Fault::kNoAddressCut,
     State::kDeferred,
     {4, 4, 4},
     "none of the exchangers that are looked at has an address, and it has more"},
    {Fault::kUnusable,
     State::kDeferred,
     {4, 4, 4},
     "no exchanger has an address that may be used (see [smtp] allowed_networks)"},
    {Fault::kLiteralRefused,
     State::kBounced,
     {5, 1, 2},
     "address literals are not allowed (see [smtp] allow_address_literals)"},
    {Fault::kLiteralUnusable,
     State::kDeferred,
     {4, 4, 4},
     "this address may not be used (see [smtp] allowed_networks)"},
    {Fault::kOwnLiteral,
     State::kBounced,
     {5, 4, 6},
     "this is an address of this host itself (of a [[source]])"},
    {Fault::kOwnAddress,
     State::kBounced,
     {5, 4, 6},
     "its best exchanger is this host itself (an address of a [[source]])"},
    {Fault::kOwnAddressStale,
     State::kDeferred,
     {4, 4, 6},
     "its last known best exchanger was this host itself (an address of a [[source]])"},
    {Fault::kNotAsked, State::kDeferred, {4, 4, 3}, "not looked up"},
}};

constexpr bool rules_are_in_order() {
  for (size_t i = 0; i < kRules.size(); ++i) {
    if (static_cast<size_t>(kRules[i].fault) != i) return false;
  }
  return true;
}
static_assert(rules_are_in_order());

Route fail(std::string_view domain, Fault fault, std::string_view detail) {
  const Rule& rule = kRules[static_cast<size_t>(fault)];
  Route route;
  route.failure.state = rule.state;
  route.failure.scope = Scope::kSite;
  route.failure.reply.enhanced = rule.enhanced;
  std::string& text = route.failure.reply.text;
  text = escaped(domain, 255);
  text += ": ";
  text += rule.text;
  if (!detail.empty()) {
    text += ": ";
    text += detail;
  }
  return route;
}

// Of one family of an exchanger.
constexpr size_t kAddressesMax = 64;

// Addresses of one family that may be used; counts those that may not.
std::vector<IpAddress> usable_addresses(const Finding& finding, bool use_family,
                                        const RoutePolicy& policy, size_t& refused) {
  std::vector<IpAddress> addresses;
  if (finding.kind != AnswerKind::kPositive) return addresses;
  for (const resolver_cache::Item& item : finding.items) {
    const std::optional<IpAddress> address = address_of(item);
    if (!address) continue;
    if (refusal_of(*address, use_family, policy) != nullptr) {
      ++refused;
    } else if (addresses.size() < kAddressesMax) {
      addresses.push_back(*address);
    }
  }
  return addresses;
}

bool is_own(const IpAddress& address, const RoutePolicy& policy) {
  return std::find(policy.own_addresses.begin(), policy.own_addresses.end(), address) !=
         policy.own_addresses.end();
}

bool has_own_address(const HostFinding& host, const RoutePolicy& policy) {
  for (const Finding* finding : {&host.ipv4, &host.ipv6}) {
    for (const resolver_cache::Item& item : finding->items) {
      const std::optional<IpAddress> address = address_of(item);
      if (address && is_own(*address, policy)) return true;
    }
  }
  return false;
}

bool is_cut(const Finding& mx) { return mx.items.size() > resolver_cache::kExchangersMax; }

std::vector<IpAddress> interleaved(const std::vector<IpAddress>& first,
                                   const std::vector<IpAddress>& second) {
  std::vector<IpAddress> all;
  all.reserve(first.size() + second.size());
  for (size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) all.push_back(first[i]);
    if (i < second.size()) all.push_back(second[i]);
  }
  return all;
}

std::vector<IpAddress> in_order(std::vector<IpAddress> v4, std::vector<IpAddress> v6,
                                const RoutePolicy& policy) {
  if (!policy.preferred) return interleaved(v6, v4);
  std::vector<IpAddress>& first = policy.preferred == Family::kIpv4 ? v4 : v6;
  const std::vector<IpAddress>& second = policy.preferred == Family::kIpv4 ? v6 : v4;
  first.insert(first.end(), second.begin(), second.end());
  return std::move(first);
}

// What the address lookups of all hosts come to.
struct Tally {
  Instant expires = kForever;
  bool stale = false;
  size_t refused = 0;
  const HostFinding* failed_host = nullptr;
  std::string_view failed_detail;

  void add(const HostFinding& host, const Finding& finding) {
    if (!finding.asked) return;
    expires = std::min(expires, finding.expires);
    stale = stale || finding.stale;
    if (finding.kind == AnswerKind::kFailed && failed_host == nullptr) {
      failed_host = &host;
      failed_detail = finding.detail;
    }
  }
};

Route judge_none_usable(std::string_view domain, const Finding& mx, bool implicit,
                        const Tally& tally) {
  if (tally.failed_host != nullptr) {
    return fail(domain, Fault::kAddressFailed,
                tally.failed_host->name + ": " + std::string(tally.failed_detail));
  }
  if (tally.refused > 0) return fail(domain, Fault::kUnusable, "");
  if (mx.stale) return fail(domain, Fault::kNoAddressStale, "");
  if (is_cut(mx)) return fail(domain, Fault::kNoAddressCut, "");
  return fail(domain, Fault::kNoAddress, implicit ? "neither MX nor address records exist" : "");
}

}  // namespace

std::optional<IpAddress> address_of(const resolver_cache::Item& item) {
  if (item.data.size() != 4 && item.data.size() != 16) return std::nullopt;
  IpAddress address;
  address.family = item.data.size() == 4 ? Family::kIpv4 : Family::kIpv6;
  std::copy(item.data.begin(), item.data.end(), address.octets.begin());
  return address;
}

const char* refusal_of(const IpAddress& address, bool use_family, const RoutePolicy& policy) {
  if (!use_family) return "no source sends from that address family";
  const auto allows = [&](const Network& network) { return network.contains(address); };
  if (is_special_purpose(address) &&
      !std::any_of(policy.allowed_networks.begin(), policy.allowed_networks.end(), allows)) {
    return "a private or other special address (see [smtp] allowed_networks)";
  }
  return nullptr;
}

MxStep judge_mx(std::string_view domain, const Finding& mx) {
  MxStep step;
  switch (mx.kind) {
    case AnswerKind::kPositive:
      if (resolver_cache::is_null_mx(mx.items)) {
        const Fault fault = mx.stale ? Fault::kNoAddressStale : Fault::kNullMx;
        step.decided = fail(domain, fault, "");
        break;
      }
      for (const resolver_cache::Item& item : mx.items) {
        if (step.hosts.size() == resolver_cache::kExchangersMax) break;
        step.hosts.push_back({item.data, item.preference, {}, {}});
      }
      break;
    case AnswerKind::kNoData:
      step.implicit = true;
      step.hosts.push_back({std::string(domain), 0, {}, {}});
      break;
    case AnswerKind::kNameError:
      step.decided = fail(domain, mx.confirmed ? Fault::kNameError : Fault::kNameErrorOnce, "");
      break;
    case AnswerKind::kFailed:
      step.decided = fail(domain, Fault::kMxFailed, mx.detail);
      break;
  }
  step.decided.expires = mx.expires;
  step.decided.stale = mx.stale;
  return step;
}

bool needs_other_family(const std::vector<HostFinding>& hosts) {
  bool unasked = false;
  for (const HostFinding& host : hosts) {
    for (const Finding* finding : {&host.ipv4, &host.ipv6}) {
      if (!finding->asked) {
        unasked = true;
      } else if (finding->kind == AnswerKind::kPositive || finding->kind == AnswerKind::kFailed) {
        return false;
      }
    }
  }
  return unasked;
}

Route judge_addresses(std::string_view domain, const Finding& mx, bool implicit,
                      const std::vector<HostFinding>& hosts, const RoutePolicy& policy) {
  Route route;
  Tally tally;
  std::vector<std::string> names;
  std::optional<uint16_t> own;  // the preference at which this host comes
  for (const HostFinding& host : hosts) {
    names.push_back(host.name);
    tally.add(host, host.ipv4);
    tally.add(host, host.ipv6);
    if (!own && has_own_address(host, policy)) own = host.preference;
    if (own) continue;
    std::vector<IpAddress> v4 = usable_addresses(host.ipv4, policy.use_ipv4, policy, tally.refused);
    std::vector<IpAddress> v6 = usable_addresses(host.ipv6, policy.use_ipv6, policy, tally.refused);
    Exchanger exchanger;
    exchanger.name = host.name;
    exchanger.preference = host.preference;
    exchanger.addresses = in_order(std::move(v4), std::move(v6), policy);
    if (!exchanger.addresses.empty()) route.exchangers.push_back(std::move(exchanger));
  }
  // Among equals this host may have come later: those before it go as well.
  if (own) {
    std::erase_if(route.exchangers,
                  [&](const Exchanger& exchanger) { return exchanger.preference >= *own; });
  }
  if (route.exchangers.empty() && own) {
    const bool stale = mx.stale || tally.stale;
    route = fail(domain, stale ? Fault::kOwnAddressStale : Fault::kOwnAddress, "");
  } else if (route.exchangers.empty()) {
    route = judge_none_usable(domain, mx, implicit, tally);
  }
  route.site = site_name(std::move(names));
  route.stale = mx.stale || tally.stale;
  route.implicit_mx = implicit;
  route.expires = std::min(mx.expires, tally.expires);
  return route;
}

bool is_address_literal(std::string_view domain) { return !domain.empty() && domain[0] == '['; }

Route judge_literal(std::string_view domain, const RoutePolicy& policy) {
  constexpr std::string_view kIpv6Tag = "IPv6:";
  if (domain.size() < 2 || domain.back() != ']') return fail(domain, Fault::kBadName, "");
  std::string_view inside = domain.substr(1, domain.size() - 2);
  const bool tagged = starts_with_ignore_case(inside, kIpv6Tag);
  if (tagged) inside.remove_prefix(kIpv6Tag.size());
  const std::optional<IpAddress> address = parse_ip(inside);
  if (!address || (address->family == Family::kIpv6) != tagged) {
    return fail(domain, Fault::kBadName, "");
  }
  if (!policy.allow_address_literals) return fail(domain, Fault::kLiteralRefused, "");
  if (is_own(*address, policy)) return fail(domain, Fault::kOwnLiteral, "");

  const bool v4 = address->family == Family::kIpv4;
  Finding finding;
  finding.kind = AnswerKind::kPositive;
  finding.items.push_back(
      {0, std::string(address->octets.begin(), address->octets.begin() + (v4 ? 4 : 16))});
  size_t refused = 0;
  const std::vector<IpAddress> usable =
      usable_addresses(finding, v4 ? policy.use_ipv4 : policy.use_ipv6, policy, refused);
  Route route;
  if (refused > 0) route = fail(domain, Fault::kLiteralUnusable, "");
  const std::string name = "[" + to_string(*address) + "]";
  route.site = name;
  route.expires = kForever;
  if (!usable.empty()) route.exchangers.push_back({name, 0, usable});
  return route;
}

Route judge_bad_name(std::string_view domain) {
  Route route = fail(domain, Fault::kBadName, "");
  route.expires = kForever;
  return route;
}

Route judge_not_asked(std::string_view domain, std::string_view why) {
  return fail(domain, Fault::kNotAsked, why);
}

}  // namespace sluice
