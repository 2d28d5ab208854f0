// What `sluice tls-probe` says of a domain: what each session would be, for people and as JSON.
//
// PURPOSE. The verdict on a session, and the text around it. Pure.
// ERRORS. None. What a peer said is escaped here.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/model/route.h"
#include "engine/resolve/route_trace.h"
#include "engine/shard/tls_forecast.h"
#include "tools/cmd/tls_probe_session.h"

namespace sluice::tools {

struct ProbedAddress {
  SocketAddress to;
  std::string not_tried;  // why; empty: there was a session
  ProbedSession session;
};

struct ProbedExchanger {
  Exchanger exchanger;
  TlsPlan plan;
  std::string from;  // where the policy comes from: "[tls] policy", "DANE"
  std::vector<ProbedAddress> addresses;
};

struct ProbeReport {
  std::string asked;   // as it was given
  std::string domain;  // its A-labels
  RoutePtr route;      // never null
  std::vector<UnusableAddress> unusable;
  std::string sts;     // what is known of its MTA-STS policy, in words
  std::string source;  // whose mail it would be
  std::string hello;
  bool trusts_dns = false;  // [dns] trust_ad
  std::vector<ProbedExchanger> exchangers;
  size_t left_out = 0;  // addresses, for want of room
};

// What became of mail on a session like that.
struct ProbeVerdict {
  bool delivers = false;
  std::string words;
};
// REQUIRES: a plan that is not skipped.
ProbeVerdict verdict_of(const TlsPlan& plan, const ProbedSession& session);
// The domain has an exchanger to talk to, none is left out for its policy, and on each session that
// was made mail would go.
bool all_deliver(const ProbeReport& report);

std::string probe_words(const ProbeReport& report);
// One object, a line.
std::string probe_json(const ProbeReport& report);

}  // namespace sluice::tools
