#include "engine/resolve/route_trace.h"

#include <algorithm>
#include <utility>

#include "engine/base/strings.h"
#include "engine/resolve/dane.h"

namespace sluice {
namespace {

using resolver_cache::AnswerKind;
using resolver_cache::RecordType;

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

std::string text_of(RecordType type, const resolver_cache::Item& item) {
  constexpr size_t kShownMax = 256;
  switch (type) {
    case RecordType::kMx:
      return std::to_string(item.preference) + " " + item.data;
    case RecordType::kTlsa:
      return tlsa_text(item.data);
    default:
      break;
  }
  const std::optional<IpAddress> address = address_of(item);
  const bool has_address = type == RecordType::kA || type == RecordType::kAaaa;
  return address && has_address ? to_string(*address) : escaped(item.data, kShownMax);
}

DnsFact fact_of(std::string_view name, RecordType type, const Finding& finding, Instant now) {
  DnsFact fact;
  fact.name = name;
  fact.type = to_string(type);
  fact.kind = words_of(finding.kind);
  fact.source = source_of(finding);
  fact.ad = finding.secure;
  fact.age = std::max(now - finding.landed, Duration(0));
  fact.lives = std::max(finding.expires - now, Duration(0));
  fact.detail = finding.detail;
  for (const resolver_cache::Item& item : finding.items) {
    fact.records.push_back(text_of(type, item));
  }
  return fact;
}

void add_host(const HostFinding& host, const Finding& finding, RecordType type, bool use_family,
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
  trace.facts.push_back(fact_of(domain, RecordType::kMx, mx, now));
  for (const HostFinding& host : hosts) {
    add_host(host, host.ipv4, RecordType::kA, policy.use_ipv4, policy, now, trace);
    add_host(host, host.ipv6, RecordType::kAaaa, policy.use_ipv6, policy, now, trace);
    if (!has_records(host.ipv4) && !has_records(host.ipv6)) {
      trace.unusable.push_back({host.name, host.preference, "", "no address is known"});
    }
  }
  return trace;
}

void add_fact(std::string_view name, RecordType type, const Finding& finding, Instant now,
              RouteTrace& trace) {
  trace.facts.push_back(fact_of(name, type, finding, now));
}

}  // namespace sluice
