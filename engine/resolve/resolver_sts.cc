// The resolver's stage that finds a domain's MTA-STS policy.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "engine/resolve/resolver.h"
#include "engine/resolve/sts_policy.h"
#include "engine/resolve/sts_store.h"
#include "engine/resolve/sts_web.h"

namespace sluice {
namespace {

using resolver_cache::AnswerKind;

// How soon a route is asked for again whose policy is on its way.
constexpr Duration kPendingRound = std::chrono::seconds(1);
// How soon a TXT record is looked for again that could not be learnt.
constexpr Duration kUnknownRound = std::chrono::minutes(5);
// What is said of MTA-STS makes nobody look a domain up anew more often than this.
constexpr Duration kRecordRound = std::chrono::minutes(10);

StsRecord record_of(const Finding& txt) {
  StsRecord record;
  if (!txt.asked || txt.kind == AnswerKind::kFailed) return record;
  record.kind = StsRecord::Kind::kNone;
  std::vector<std::string> texts;
  for (const resolver_cache::Item& item : txt.items) texts.push_back(item.data);
  if (std::optional<std::string> id = sts_id_of(texts)) {
    record.kind = StsRecord::Kind::kId;
    record.id = std::move(*id);
  }
  return record;
}

}  // namespace

// The TXT lookup of one route; lives until it has landed, whoever still waits.
struct Resolver::StsAsking {
  explicit StsAsking(Loop& loop) : pause(loop) {}
  std::string name;
  Finding txt;
  bool landed = false;
  Pause pause;  // cut when it lands
};

// Null where MTA-STS is off, and for a domain too long to have a policy.
std::shared_ptr<Resolver::StsAsking> Resolver::begin_sts(const std::string& domain) {
  if (options_.sts_store == nullptr || options_.web == nullptr) return nullptr;
  const std::optional<std::string> name = resolver_cache::canonical_name("_mta-sts." + domain);
  if (!name) return nullptr;
  auto asking = std::make_shared<StsAsking>(loop_);
  asking->name = *name;
  asking->landed = find_now(*name, RecordType::kTxt, asking->txt);
  if (!asking->landed) gate_.spawn(ask_sts(asking, *name));
  return asking;
}

Task<> Resolver::ask_sts(std::shared_ptr<StsAsking> asking, std::string name) {
  Task<Finding> looking = fetch(std::move(name), RecordType::kTxt);
  asking->txt = co_await std::move(looking);
  asking->landed = true;
  asking->pause.cut();
}

Task<> Resolver::end_sts(std::shared_ptr<StsAsking> asking, std::string domain, Route& route,
                         RouteTrace* trace) {
  const Instant give_up = loop_.now() + options_.sts_wait;
  while (!asking->landed && loop_.now() < give_up) co_await asking->pause.until(give_up);
  const Instant now = loop_.now();
  const WallTime wall_now = loop_.io().wall_now();
  const StsRecord record = record_of(asking->txt);
  const StsAdvice advice = options_.sts_store->consult(domain, record, wall_now);
  if (advice.fetch) gate_.spawn(fetch_sts(domain, record.id, wall_now));

  route.sts = advice.policy;
  route.sts_pending = advice.pending;
  const bool unknown = record.kind == StsRecord::Kind::kUnknown;
  const Instant again = std::max(asking->txt.expires, now + kRecordRound);
  route.expires = std::min(route.expires, unknown ? now + kUnknownRound : again);
  if (advice.policy != nullptr) {
    route.expires = std::min(route.expires, now + (advice.policy->expires - wall_now));
  }
  if (advice.pending) route.expires = std::min(route.expires, now + kPendingRound);
  if (trace == nullptr) co_return;
  if (asking->landed) add_fact(asking->name, RecordType::kTxt, asking->txt, now, *trace);
  trace->sts = options_.sts_store->describe(domain, wall_now);
}

Task<> Resolver::fetch_sts(std::string domain, std::string id, WallTime begun) {
  StsFetched trouble;
  if (sts_fetches_open_ >= kStsFetchesMax) {
    trouble.kind = StsFetched::Kind::kNotAsked;
    options_.sts_store->take(domain, id, begun, trouble);
    co_return;
  }
  ++sts_fetches_open_;
  Task<StatusOr<std::vector<IpAddress>>> looking = addresses_of_web(sts_host_of(domain));
  StatusOr<std::vector<IpAddress>> addresses = co_await std::move(looking);
  --sts_fetches_open_;
  if (closing_) trouble.kind = StsFetched::Kind::kNotAsked;
  if (closing_ || !addresses.ok()) {
    trouble.detail = message_of(addresses.status());
    options_.sts_store->take(domain, id, begun, trouble);
    co_return;
  }
  WebClient::Done done = [store = options_.sts_store, domain, id, begun](WebAnswer answer) {
    store->take(domain, id, begun, sts_fetched_of(domain, std::move(answer)));
  };
  options_.web->ask(sts_request(domain, *std::move(addresses)), std::move(done));
}

}  // namespace sluice
