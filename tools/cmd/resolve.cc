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
#include "engine/model/shaping.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/route_finder.h"
#include "tools/cmd/route_report.h"

namespace sluice::tools {
namespace {

struct ResolveOptions {
  std::vector<std::string> domains;
  std::string config;
  bool json = false;
  bool trace = false;
  bool dns = false;
};

using Explained = std::map<std::string, ExplainedRoute>;

Status ask_dns(const Configuration& config, Explained& routes) {
  Shaping shaping(config.shaping);
  RETURN_IF_ERROR(learn_sites(config, shaping));
  ASSIGN_OR_RETURN(const std::unique_ptr<Names> names, Names::make(config, Ask::kRoutesAndTls));
  Routes found;
  for (const auto& [domain, explained] : routes) found[domain];
  find_routes(*names, found);
  for (auto& [domain, explained] : routes) {
    explained.route = found[domain].route;
    explained.trace = found[domain].trace;
    explained.servers = names->lookup().servers();
    explained.lives = std::max(explained.route->expires - names->loop().now(), Duration(0));
    if (!explained.route->usable()) continue;
    if (shaping.is_own_site(domain)) {
      auto own = std::make_shared<Route>(*explained.route);
      own->site = domain;
      explained.route = std::move(own);
    }
    explained.sources = limits_of_sources(shaping, domain, *explained.route, config);
    explained.tls = forecast_tls(shaping, domain, *explained.route, config);
    const bool known = explained.route->sts != nullptr;
    explained.sts = known ? words_of(explained.route->sts) : explained.trace.sts;
  }
  return {};
}

// Unavailable when no sluice runs.
Status ask_sender(const std::string& socket, Explained& routes) {
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
  Explained routes;
  for (const std::string& domain : domains) routes[domain];
  const bool from_sender = !options.dns && ask_sender(config.admin.socket, routes).ok();
  if (!from_sender) RETURN_IF_ERROR(ask_dns(config, routes));

  std::string out;
  int code = kDone;
  for (size_t i = 0; i < domains.size(); ++i) {
    const ExplainedRoute& explained = routes[domains[i]];
    RouteReport report;
    report.asked = options.domains[i];
    report.domain = domains[i];
    report.explained = explained;
    report.from_sender = from_sender;
    report.now = wall_now();
    if (!explained.route->usable()) code = kNotAllDelivered;
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
