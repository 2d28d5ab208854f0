#include "engine/resolve/route_trace.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

using resolver_cache::AnswerKind;

const char* words_of(AnswerKind kind) {
  switch (kind) {
    case AnswerKind::kPositive:
      return "records";
    case AnswerKind::kNoData:
      return "no data";
    case AnswerKind::kNameError:
      return "no such name";
    case AnswerKind::kFailed:
      return "failed";
  }
  return "failed";
}

const char* source_of(const Finding& finding) {
  if (finding.stale) return "stale";
  return finding.cached ? "cached" : "fresh";
}

DnsFact fact_of(std::string_view name, const char* type, const Finding& finding, Instant now) {
  DnsFact fact;
  fact.name = name;
  fact.type = type;
  fact.kind = words_of(finding.kind);
  fact.source = source_of(finding);
  fact.secure = finding.secure;
  fact.age = std::max(now - finding.landed, Duration(0));
  fact.lives = std::max(finding.expires - now, Duration(0));
  fact.detail = finding.detail;
  for (const resolver_cache::Item& item : finding.items) {
    const std::optional<IpAddress> address = address_of(item);
    fact.records.push_back(address && type[0] == 'A'
                               ? to_string(*address)
                               : std::to_string(item.preference) + " " + item.data);
  }
  return fact;
}

void add_host(const HostFinding& host, const Finding& finding, const char* type, bool use_family,
              const RoutePolicy& policy, Instant now, RouteTrace& trace) {
  if (!finding.asked) return;
  trace.facts.push_back(fact_of(host.name, type, finding, now));
  for (const resolver_cache::Item& item : finding.items) {
    const std::optional<IpAddress> address = address_of(item);
    if (!address) continue;
    const char* why = refusal_of(*address, use_family, policy);
    if (why == nullptr) continue;
    trace.unusable.push_back({host.name, host.preference, to_string(*address), why});
  }
}

bool has_records(const Finding& finding) {
  return finding.asked && finding.kind == AnswerKind::kPositive;
}

}  // namespace

RouteTrace trace_of(std::string_view domain, const Finding& mx,
                    const std::vector<HostFinding>& hosts, const RoutePolicy& policy, Instant now) {
  RouteTrace trace;
  trace.facts.push_back(fact_of(domain, "MX", mx, now));
  for (const HostFinding& host : hosts) {
    add_host(host, host.ipv4, "A", policy.use_ipv4, policy, now, trace);
    add_host(host, host.ipv6, "AAAA", policy.use_ipv6, policy, now, trace);
    if (!has_records(host.ipv4) && !has_records(host.ipv6)) {
      trace.unusable.push_back({host.name, host.preference, "", "no address is known"});
    }
  }
  return trace;
}

}  // namespace sluice
