#include "engine/resolve/resolver.h"

#include <algorithm>
#include <optional>

#include "engine/base/defect.h"
#include "engine/base/status.h"
#include "engine/base/strings.h"
#include "resolver_cache/mx.h"

namespace sluice {
namespace {

using resolver_cache::Answer;
using resolver_cache::AnswerKind;
using resolver_cache::Claim;
using resolver_cache::Entry;
using resolver_cache::Flight;
using resolver_cache::Hit;

// A message to this shard may be lost when its mailbox is full: look again after this.
constexpr Duration kWaitRound = std::chrono::seconds(5);

std::string_view words_of(LookupAnswer::Failure failure) {
  switch (failure) {
    case LookupAnswer::Failure::kNone:
      return "answered";
    case LookupAnswer::Failure::kTimeout:
      return "timed out";
    case LookupAnswer::Failure::kUnreachable:
      return "no server can be reached";
    case LookupAnswer::Failure::kBadName:
      return "the name cannot be asked for";
    case LookupAnswer::Failure::kOverloaded:
      return "too many lookups wait already";
    case LookupAnswer::Failure::kClosed:
      return "the resolver is closing";
  }
  return "failed";
}

// True when nothing was learnt about the name, so that nothing is kept.
bool was_not_asked(LookupAnswer::Failure failure) {
  return failure == LookupAnswer::Failure::kOverloaded || failure == LookupAnswer::Failure::kClosed;
}

std::string at_server(std::string words, const std::string& server) {
  if (!server.empty()) words += " at " + server;
  return words;
}

Answer answer_of(const LookupAnswer& raw, std::string_view name, resolver_cache::RecordType type) {
  if (raw.failure != LookupAnswer::Failure::kNone) {
    return resolver_cache::failed_answer(name,
                                         at_server(std::string(words_of(raw.failure)), raw.server));
  }
  const std::optional<resolver_cache::Message> message = resolver_cache::parse_message(raw.packet);
  if (!message) {
    return resolver_cache::failed_answer(name, at_server("malformed answer", raw.server));
  }
  Answer answer = resolver_cache::interpret(*message, name, type);
  answer.secure = answer.secure && !raw.foreign;
  if (answer.kind == AnswerKind::kFailed) answer.detail = at_server(answer.detail, raw.server);
  return answer;
}

Finding nothing_known(std::string_view why, Instant now) {
  Finding finding;
  finding.asked = true;
  finding.detail = why;
  finding.expires = now;
  return finding;
}

}  // namespace

struct Resolver::Addresses {
  std::vector<HostFinding> hosts;
  size_t pending = 0;
  Signal done;
};

ResolverOptions resolver_options_of(const Configuration& configuration) {
  bool any_ipv4 = configuration.sources.empty();
  bool any_ipv6 = false;
  for (const Source& source : configuration.sources) {
    if (source.addresses.empty()) any_ipv4 = true;
    for (const IpAddress& address : source.addresses) {
      (address.family == Family::kIpv4 ? any_ipv4 : any_ipv6) = true;
    }
  }
  const AddressFamily family = configuration.smtp.address_family;
  ResolverOptions options;
  options.policy.use_ipv4 = any_ipv4 && family != AddressFamily::kIpv6;
  options.policy.use_ipv6 = any_ipv6 && family != AddressFamily::kIpv4;
  if (family == AddressFamily::kPreferIpv4) options.policy.preferred = Family::kIpv4;
  if (family == AddressFamily::kPreferIpv6) options.policy.preferred = Family::kIpv6;
  options.policy.allow_address_literals = configuration.smtp.allow_address_literals;
  options.policy.allowed_networks = configuration.smtp.allowed_networks;
  for (const Source& source : configuration.sources) {
    options.policy.own_addresses.insert(options.policy.own_addresses.end(),
                                        source.addresses.begin(), source.addresses.end());
  }
  options.smtp_port = configuration.smtp.port;
  options.trust_ad = configuration.dns.trust_ad;
  // A rule may want it for some sites alone.
  const auto wants_dane = [](const ShapingRule& rule) { return rule.enable_dane == true; };
  options.dane = options.trust_ad &&
                 (configuration.tls.dane || std::any_of(configuration.shaping.begin(),
                                                        configuration.shaping.end(), wants_dane));
  return options;
}

resolver_cache::CacheOptions cache_options_of(const Configuration& configuration, uint64_t seed) {
  resolver_cache::CacheOptions options;
  options.entries_max = configuration.dns.cache_entries;
  options.serve_stale = configuration.dns.serve_stale;
  options.seed = seed;
  return options;
}

Resolver::Resolver(Loop& loop, Lookup& lookup, resolver_cache::Cache& cache,
                   ResolverOptions options)
    : loop_(loop), lookup_(lookup), cache_(cache), options_(std::move(options)), reader_(cache) {}

Resolver::~Resolver() { CHECK(routes_open_ == 0); }

Task<RoutePtr> Resolver::route(std::string domain, RouteTrace* trace) {
  ++routes_open_;
  RoutePtr route;
  const std::optional<std::string> name = resolver_cache::canonical_name(domain);
  if (is_address_literal(domain)) {
    route = finish(judge_literal(domain, options_.policy));
  } else if (!name || name->empty()) {
    route = finish(judge_bad_name(domain));
  } else {
    Task<RoutePtr> looking = route_name(*name, trace);
    route = co_await std::move(looking);
  }
  if (--routes_open_ == 0 && closing_) routes_ended_.notify();
  co_return route;
}

Task<StatusOr<std::vector<std::string>>> Resolver::texts(std::string name) {
  std::vector<std::string> texts;
  const std::optional<std::string> canonical = resolver_cache::canonical_name(name);
  if (!canonical || canonical->empty()) co_return texts;  // no such name can have one
  Task<Finding> asking = find(*canonical, RecordType::kTxt);
  Finding finding = co_await std::move(asking);
  if (finding.kind == AnswerKind::kFailed) co_return unavailable(finding.detail);
  for (resolver_cache::Item& item : finding.items) texts.push_back(std::move(item.data));
  co_return texts;
}

Task<StatusOr<std::vector<IpAddress>>> Resolver::addresses_of_web(std::string host) {
  std::vector<IpAddress> addresses;
  const std::optional<std::string> name = resolver_cache::canonical_name(host);
  if (!name || name->empty()) co_return unavailable(escaped(host) + " is no name of a host");
  std::string why = *name + " has no address that may be used";
  for (const RecordType type : {RecordType::kA, RecordType::kAaaa}) {
    const bool wanted = type == RecordType::kA || options_.policy.use_ipv6;
    if (!wanted && !addresses.empty()) continue;
    Task<Finding> asking = find(*name, type);
    const Finding finding = co_await std::move(asking);
    if (finding.kind == AnswerKind::kFailed) why = *name + ": " + finding.detail;
    for (const resolver_cache::Item& item : finding.items) {
      const std::optional<IpAddress> address = address_of(item);
      if (!address) continue;
      const char* const refusal = refusal_of(*address, true, options_.policy);
      if (refusal == nullptr) addresses.push_back(*address);
      if (refusal != nullptr) why = *name + ": " + to_string(*address) + " is " + refusal;
    }
  }
  if (addresses.empty()) co_return unavailable(why);
  co_return addresses;
}

// Of who is outside of any route: close() waits for it.
Task<Finding> Resolver::find(std::string name, RecordType type) {
  Finding finding;
  if (closing_) {
    finding.kind = AnswerKind::kFailed;
    finding.detail = "the resolver is closing";
    co_return finding;
  }
  ++routes_open_;
  if (!find_now(name, type, finding)) {
    Task<Finding> asking = fetch(std::move(name), type);
    finding = co_await std::move(asking);
  }
  if (--routes_open_ == 0 && closing_) routes_ended_.notify();
  co_return finding;
}

Task<RoutePtr> Resolver::route_name(std::string name, RouteTrace* trace) {
  if (closing_) co_return finish(judge_not_asked(name, "the resolver is closing"));
  const std::shared_ptr<StsAsking> sts = begin_sts(name);
  Task<Finding> asking = fetch(name, RecordType::kMx);
  const Finding mx = co_await std::move(asking);
  MxStep step = judge_mx(name, mx);
  if (step.hosts.empty()) {
    if (trace != nullptr) *trace = trace_of(name, mx, {}, options_.policy, loop_.now());
    co_return finish(std::move(step.decided));
  }

  auto addresses = std::make_shared<Addresses>();
  addresses->hosts = std::move(step.hosts);
  const RoutePolicy& policy = options_.policy;
  Task<> first = find_addresses(addresses, policy.use_ipv4, policy.use_ipv6);
  co_await std::move(first);
  if (needs_other_family(addresses->hosts)) {
    Task<> second = find_addresses(addresses, !policy.use_ipv4, !policy.use_ipv6);
    co_await std::move(second);
  }
  if (trace != nullptr) *trace = trace_of(name, mx, addresses->hosts, policy, loop_.now());
  Route route = judge_addresses(name, mx, step.implicit, addresses->hosts, policy);
  route.mx_secure = options_.trust_ad && mx.secure && !mx.stale;
  if (route.usable() && options_.dane && options_.trust_ad) {
    Task<> dane = find_dane(mx, addresses->hosts, name, route, trace);
    co_await std::move(dane);
  }
  if (route.usable() && sts != nullptr) {
    Task<> ending = end_sts(sts, name, route, trace);
    co_await std::move(ending);
  }
  co_return finish(std::move(route));
}

Task<> Resolver::find_addresses(std::shared_ptr<Addresses> addresses, bool ipv4, bool ipv6) {
  for (size_t i = 0; i < addresses->hosts.size(); ++i) {
    HostFinding& host = addresses->hosts[i];
    if (ipv4 && !find_now(host.name, RecordType::kA, host.ipv4)) {
      ++addresses->pending;
      gate_.spawn(find_address(addresses, i, Family::kIpv4));
    }
    if (ipv6 && !find_now(host.name, RecordType::kAaaa, host.ipv6)) {
      ++addresses->pending;
      gate_.spawn(find_address(addresses, i, Family::kIpv6));
    }
  }
  while (addresses->pending > 0) co_await addresses->done;
}

Task<> Resolver::find_address(std::shared_ptr<Addresses> addresses, size_t host, Family family) {
  const bool v4 = family == Family::kIpv4;
  Task<Finding> asking =
      fetch(addresses->hosts[host].name, v4 ? RecordType::kA : RecordType::kAaaa);
  Finding finding = co_await std::move(asking);
  (v4 ? addresses->hosts[host].ipv4 : addresses->hosts[host].ipv6) = std::move(finding);
  if (--addresses->pending == 0) addresses->done.notify();
}

bool Resolver::find_now(const std::string& name, RecordType type, Finding& finding) {
  if (closing_) {
    finding = nothing_known("the resolver is closing", loop_.now());
    return true;
  }
  const auto now = defect(Defect::kExpiredAnswer) ? resolver_cache::Time() : cache_now();
  const Hit hit = cache_.find(online_reader(), name, type, now);
  if (hit.entry == nullptr) return false;
  ++stats_.hits;
  if (hit.stale) ++stats_.stale;
  finding = finding_of(*hit.entry, hit.stale);
  finding.cached = true;
  if (!hit.stale) refresh_when_due(*hit.entry, name, type);
  return true;
}

Task<Finding> Resolver::fetch(std::string name, RecordType type) {
  const Instant give_up = loop_.now() + options_.wait_max;
  for (;;) {
    Finding found;
    if (find_now(name, type, found)) co_return found;
    const uint64_t number = ++waits_->last;
    Claim claim = cache_.claim(online_reader(), name, type, cache_now(), notify_for(number));
    if (claim.kind == Claim::Kind::kHit) continue;
    if (claim.kind == Claim::Kind::kFly) {
      Task<Finding> flying = fly(std::move(claim.flight), name, type);
      Finding finding = co_await std::move(flying);
      co_return finding;
    }
    const Instant now = loop_.now();
    if (now >= give_up) {
      cache_.forget(name, type, claim.ticket);
      co_return nothing_known("another lookup of it takes too long", now);
    }
    ++stats_.waits;
    const auto pause = std::make_unique<Pause>(loop_);
    waits_->waits.emplace(number, pause.get());
    co_await pause->until(std::min(give_up, now + kWaitRound));
    waits_->waits.erase(number);
    cache_.forget(name, type, claim.ticket);
  }
}

Task<Finding> Resolver::fly(Flight flight, std::string name, RecordType type) {
  ++stats_.queries;
  Task<LookupAnswer> asking = lookup_.lookup(name, type);
  const LookupAnswer raw = co_await std::move(asking);
  if (was_not_asked(raw.failure)) co_return nothing_known(words_of(raw.failure), loop_.now());
  const Answer answer = answer_of(raw, name, type);
  const resolver_cache::Landed landed =
      flight.land(online_reader(), answer, cache_now(), loop_.io().random().next());
  co_return finding_of(*landed.entry, landed.stale);
}

Task<> Resolver::refresh(Flight flight, std::string name, RecordType type) {
  Task<Finding> flying = fly(std::move(flight), std::move(name), type);
  const Finding ignored = co_await std::move(flying);
  --refreshes_open_;
}

void Resolver::refresh_when_due(const Entry& entry, const std::string& name, RecordType type) {
  if (!entry.is_refresh_due(cache_now()) || refreshes_open_ >= kRefreshesMax) return;
  Flight flight = cache_.claim_refresh(name, type);
  if (!flight) return;
  ++refreshes_open_;
  ++stats_.refreshes;
  gate_.spawn(refresh(std::move(flight), name, type));
}

resolver_cache::Cache::Notify Resolver::notify_for(uint64_t number) {
  return [mailbox = &loop_.mailbox(), table = waits_, number] {
    // When the mailbox is full the waiter looks again by itself.
    static_cast<void>(mailbox->post([table, number] {
      const auto wait = table->waits.find(number);
      if (wait != table->waits.end()) wait->second->cut();
    }));
  };
}

Finding Resolver::finding_of(const Entry& entry, bool stale) const {
  Finding finding;
  finding.kind = entry.kind();
  finding.asked = true;
  finding.stale = stale;
  finding.confirmed = entry.is_confirmed_name_error(cache_.options().name_error_apart);
  const Entry::Times& times = entry.times();
  finding.secure = entry.secure() && !stale;
  finding.landed = Instant(times.landed);
  finding.expires = Instant(stale ? times.retry_at : times.expires);
  finding.detail = entry.detail();
  if (entry.canonical() != entry.name()) finding.canonical = entry.canonical();
  finding.items.reserve(entry.item_count());
  entry.for_each_item([&finding](const resolver_cache::ItemView& item) {
    finding.items.push_back({item.preference, std::string(item.data)});
  });
  return finding;
}

RoutePtr Resolver::finish(Route route) {
  ++stats_.routes;
  Random& random = loop_.io().random();
  resolver_cache::shuffle_equal_preference(route.exchangers,
                                           [&random](size_t n) { return random.below(n); });
  return std::make_shared<const Route>(std::move(route));
}

Task<> Resolver::close() {
  closing_ = true;
  for (const auto& [number, pause] : waits_->waits) pause->cut();
  Task<> closing_lookup = lookup_.close();
  co_await std::move(closing_lookup);
  while (routes_open_ > 0) co_await routes_ended_;
  Task<> closing_gate = gate_.close();
  co_await std::move(closing_gate);
}

}  // namespace sluice
