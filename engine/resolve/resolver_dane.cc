// The resolver's stage that looks for the exchangers' TLSA records.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/resolve/resolver.h"

namespace sluice {

// Of one route; lives until its last lookup has ended.
struct Resolver::DaneAsking {
  struct Fact {
    std::string name;
    RecordType type;
    Finding finding;
  };
  std::string domain;
  Finding mx;
  std::vector<Exchanger> exchangers;
  std::vector<Fact> facts;
  size_t pending = 0;
  Signal done;
};

Task<> Resolver::find_dane(const Finding& mx, const std::vector<HostFinding>& hosts,
                           std::string domain, Route& route, RouteTrace* trace) {
  auto asking = std::make_shared<DaneAsking>();
  asking->domain = std::move(domain);
  asking->mx = mx;
  asking->exchangers = std::move(route.exchangers);
  for (size_t i = 0; i < asking->exchangers.size(); ++i) {
    Exchanger& exchanger = asking->exchangers[i];
    const auto host = std::find_if(hosts.begin(), hosts.end(), [&](const HostFinding& finding) {
      return finding.name == exchanger.name;
    });
    CHECK(host != hosts.end());
    TlsaPlan plan = plan_tlsa(*host, nullptr);
    if (plan.bases.empty() && !plan.ask_alias) {
      exchanger.dane = plan.state;
      exchanger.dane_detail = std::move(plan.detail);
      continue;
    }
    ++asking->pending;
    gate_.spawn(ask_dane(asking, i, *host, std::move(plan)));
  }
  while (asking->pending > 0) co_await asking->done;
  for (const DaneAsking::Fact& fact : asking->facts) {
    route.expires = std::min(route.expires, fact.finding.expires);
    if (trace != nullptr) add_fact(fact.name, fact.type, fact.finding, loop_.now(), *trace);
  }
  route.exchangers = std::move(asking->exchangers);
}

Task<> Resolver::ask_dane(std::shared_ptr<DaneAsking> asking, size_t exchanger, HostFinding host,
                          TlsaPlan plan) {
  if (plan.ask_alias) {
    Task<Finding> looking = ask_dane_fact(asking, host.name, RecordType::kCname);
    const Finding alias = co_await std::move(looking);
    plan = plan_tlsa(host, &alias);
  }
  Exchanger& to = asking->exchangers[exchanger];
  to.dane = plan.state;
  to.dane_detail = plan.detail;
  for (const std::string& base : plan.bases) {
    std::optional<std::string> name = tlsa_name(options_.smtp_port, base);
    if (!name) continue;  // no such name can exist
    Task<Finding> looking = ask_dane_fact(asking, *name, RecordType::kTlsa);
    const Finding finding = co_await std::move(looking);
    TlsaVerdict verdict = judge_tlsa(finding);
    to.dane = verdict.state;
    to.dane_detail = std::move(verdict.detail);
    if (verdict.state == DaneState::kAbsent) continue;
    to.tlsa_base = base;
    to.tlsa = std::move(verdict.tlsa);
    to.tlsa_names = tlsa_names(base, asking->domain, asking->mx);
    break;
  }
  if (--asking->pending == 0) asking->done.notify();
}

Task<Finding> Resolver::ask_dane_fact(std::shared_ptr<DaneAsking> asking, std::string name,
                                      RecordType type) {
  Task<Finding> looking = fetch(name, type);
  Finding finding = co_await std::move(looking);
  asking->facts.push_back({std::move(name), type, finding});
  co_return finding;
}

}  // namespace sluice
