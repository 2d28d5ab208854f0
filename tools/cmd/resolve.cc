// `sluice resolve`: how mail for a domain would go: exchangers, site, limits. Asks the running
// sender what it goes by, and DNS itself where none runs.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "engine/control/admin_client.h"
#include "engine/control/route_document.h"
#include "engine/resolve/cares_lookup.h"
#include "engine/resolve/resolver.h"
#include "engine/ring/uring_io.h"
#include "engine/spool/address.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/route_report.h"
#include "tools/cmd/run_task.h"

namespace sluice::tools {
namespace {

// Of a ring that polls the sockets of name servers.
constexpr uint32_t kOperations = 4'096;
constexpr uint32_t kCacheEntries = 1U << 16;
// Domains asked for at a time.
constexpr size_t kAtATime = 256;

struct ResolveOptions {
  std::vector<std::string> domains;
  std::string config;
  bool json = false;
  bool trace = false;
  bool dns = false;
};

// Says to the cache that nothing of it is held while the loop waits.
class Unhold final : public WaitObserver {
 public:
  explicit Unhold(Resolver& resolver) : resolver_(resolver) {}
  void before_wait() override { resolver_.before_block(); }
  void after_wait() override {}

 private:
  Resolver& resolver_;
};

using Routes = std::map<std::string, ExplainedRoute>;

Task<> find_route(Resolver& resolver, std::string domain, ExplainedRoute& out) {
  RoutePtr route = co_await resolver.route(std::move(domain), &out.trace);
  out.route = std::move(route);
}

// Fills in the routes of all names in `routes`, many at a time.
void find_routes(Loop& loop, Resolver& resolver, Routes& routes) {
  Gate gate;
  auto next = routes.begin();
  while (next != routes.end() || gate.inside_count() > 0) {
    {
      const Executor::Scope scope(loop.executor());
      for (; next != routes.end() && gate.inside_count() < kAtATime; ++next) {
        gate.spawn(find_route(resolver, next->first, next->second));
      }
    }
    loop.turn();
  }
}

Task<bool> close_resolver(Resolver& resolver) {
  co_await resolver.close();
  co_return true;
}

// "ann@Exämple.com" and "Exämple.com" alike become "xn--exmple-cua.com".
StatusOr<std::string> domain_of(const std::string& given) {
  const size_t at = given.rfind('@');
  std::string domain = at == std::string::npos ? given : given.substr(at + 1);
  if (!domain.empty() && domain.back() == '.') domain.pop_back();
  const std::string address = "postmaster@" + domain;
  std::string scratch;
  const AddressResult parsed = parse_address(address, scratch);
  if (!parsed.ok()) return invalid(escaped(given) + " is no domain: " + parsed.error);
  return std::string(parsed.address.domain);
}

Status ask_dns(const Configuration& config, Routes& routes) {
  ASSIGN_OR_RETURN(const std::unique_ptr<UringIo> io,
                   UringIo::create({.operations_max = kOperations}));
  Loop loop(*io, {.frame_bytes_max = 64UL << 20, .mailbox_entries = 1'024});
  resolver_cache::CacheOptions cache_options = cache_options_of(config, io->random().next());
  cache_options.entries_max = std::min(cache_options.entries_max, kCacheEntries);
  resolver_cache::Cache cache(cache_options);
  ASSIGN_OR_RETURN(const std::unique_ptr<CaresLookup> lookup,
                   CaresLookup::create(loop, cares_options_of(config)));
  Resolver resolver(loop, *lookup, cache, resolver_options_of(config));
  Unhold unhold(resolver);
  loop.observe_waits(&unhold);
  find_routes(loop, resolver, routes);
  for (auto& [domain, explained] : routes) {
    explained.servers = lookup->servers();
    explained.lives = std::max(explained.route->expires - loop.now(), Duration(0));
  }
  run_task(loop, [&resolver] { return close_resolver(resolver); });
  loop.observe_waits(nullptr);
  return {};
}

// Unavailable when no sluice runs.
Status ask_sender(const std::string& socket, Routes& routes) {
  for (auto& [domain, explained] : routes) {
    ASSIGN_OR_RETURN(const std::string document,
                     admin_get(socket, "/api/v1/resolve?domain=" + query_value(domain)));
    ASSIGN_OR_RETURN(explained, parse_route_document(document));
  }
  return {};
}

StatusOr<int> resolve(const ResolveOptions& options) {
  std::vector<std::string> domains;
  for (const std::string& given : options.domains) {
    ASSIGN_OR_RETURN(std::string domain, domain_of(given));
    domains.push_back(std::move(domain));
  }
  ASSIGN_OR_RETURN(
      const LoadedConfiguration loaded,
      load_configuration(options.config.empty() ? default_configuration_path() : options.config));
  const Configuration& config = loaded.configuration;
  Routes routes;
  for (const std::string& domain : domains) routes[domain];
  for (const ShapingRule& rule : config.shaping) {
    if (rule.domain != "default") routes[rule.domain];
  }
  const bool from_sender = !options.dns && ask_sender(config.admin.socket, routes).ok();
  if (!from_sender) RETURN_IF_ERROR(ask_dns(config, routes));

  std::vector<std::string> rule_sites;
  for (const ShapingRule& rule : config.shaping) {
    const auto found = routes.find(rule.domain);
    const bool known = found != routes.end() && found->second.route->usable();
    rule_sites.push_back(known ? found->second.route->site : std::string());
  }
  std::string out;
  int code = kDone;
  for (size_t i = 0; i < domains.size(); ++i) {
    const ExplainedRoute& explained = routes[domains[i]];
    RouteReport report;
    report.asked = options.domains[i];
    report.domain = domains[i];
    report.route = explained.route;
    report.limits = limits_in_force(config, rule_sites, domains[i], explained.route->site);
    report.servers = explained.servers;
    report.lives = explained.lives;
    report.trace = explained.trace;
    report.from_sender = from_sender;
    report.now = wall_now();
    if (!report.route->usable()) code = kNotAllDelivered;
    if (!options.json && i > 0) out += "\n";
    out += options.json ? route_json(report) : route_words(report, options.trace);
  }
  RETURN_IF_ERROR(print(out));
  return code;
}

}  // namespace

void add_resolve(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ResolveOptions>();
  CLI::App* command =
      app.add_subcommand("resolve", "Show how mail for a domain would go: exchangers and limits");
  command->add_option("domain", options->domains, "Domains, or addresses in them")->required();
  command->add_option("--config", options->config,
                      "The configuration (default: $SLUICE_CONFIG, else /etc/sluice/sluice.toml)");
  command->add_flag("--json", options->json, "A JSON object a line");
  command->add_flag("--trace", options->trace, "Each answer of DNS that it rests on, with its age");
  command->add_flag("--dns", options->dns, "Ask DNS anew, also where a sluice runs");
  command->footer(
      "Asks the running sluice, whose answers are those that mail goes by; DNS itself where none "
      "runs.\nEnds with 1 when mail for one of them cannot go.\n"
      "Example: sluice resolve example.com bücher.example --json");
  command->callback([options, &exit_code] {
    const StatusOr<int> code = resolve(*options);
    exit_code = code.ok() ? *code : report_error(code.status());
  });
}

}  // namespace sluice::tools
