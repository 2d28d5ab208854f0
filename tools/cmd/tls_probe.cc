// Asks DNS and the exchangers by itself, whether or not a sluice runs: the routes first, with
// DANE and MTA-STS, then one session to each address, a few side by side (tls_probe_session.h).
#include "tools/cmd/tls_probe.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/strings.h"
#include "engine/connect/tls_openssl.h"
#include "engine/model/shaping.h"
#include "engine/shard/targets.h"
#include "tools/cmd/command.h"
#include "tools/cmd/common.h"
#include "tools/cmd/route_finder.h"
#include "tools/cmd/tls_probe_report.h"

namespace sluice::tools {
namespace {

constexpr size_t kSessionsAtATime = 16;
// Of a domain.
constexpr size_t kSessionsMax = 128;

struct ProbeOptions {
  std::vector<std::string> domains;
  std::string config;
  std::string exchanger;
  std::string family;
  std::string source;
  bool json = false;
};

StatusOr<Source> source_of(const Configuration& config, const std::string& name) {
  if (name.empty()) return config.sources.front();
  std::vector<std::string> names;
  for (const Source& source : config.sources) {
    if (source.name == name) return source;
    names.push_back(source.name);
  }
  return invalid("the configuration has no source " + escaped(name) + "; it has " +
                 join(names, ", "));
}

std::string lower_name(std::string name) {
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (name.ends_with('.')) name.pop_back();
  return name;
}

struct Job {
  ProbeTarget target;
  ProbedSession* out;
};

class Planner {
 public:
  // `config`: with one source alone, whose mail it would be.
  Planner(const ProbeOptions& options, const Configuration& config, const Shaping& shaping)
      : options_(options), config_(config), shaping_(shaping) {}

  Status plan(const std::string& asked, const std::string& domain, const Found& found,
              ProbeReport& report) const {
    const Source& source = config_.sources.front();
    report.asked = asked;
    report.domain = domain;
    report.route = found.route;
    report.sts = found.trace.sts;
    report.unusable = found.trace.unusable;
    report.source = source.name;
    report.hello = source.hello;
    report.trusts_dns = config_.dns.trust_ad;
    if (!found.route->usable()) return {};
    if (shaping_.is_own_site(domain)) {
      auto own = std::make_shared<Route>(*found.route);
      own->site = domain;
      report.route = std::move(own);
    }
    const Route& route = *report.route;
    const std::vector<TlsForecast> forecast = forecast_tls(shaping_, domain, route, config_);
    std::vector<std::string> names;
    for (size_t i = 0; i < route.exchangers.size(); ++i) {
      names.push_back(route.exchangers[i].name);
      if (!options_.exchanger.empty() && names.back() != lower_name(options_.exchanger)) continue;
      ProbedExchanger probed;
      probed.exchanger = route.exchangers[i];
      probed.plan = plan_of(target_of(report, probed.exchanger));
      probed.from = forecast.at(i).from;
      report.exchangers.push_back(std::move(probed));
    }
    if (report.exchangers.empty()) {
      return invalid(escaped(options_.exchanger) + " is no exchanger of " + escaped(domain) +
                     "; --exchanger takes one of " + escaped(join(names, ", ")));
    }
    size_t sessions = 0;
    for (ProbedExchanger& probed : report.exchangers)
      add_addresses(source, probed, sessions, report);
    return {};
  }

  // Those that were planned; `report` stays where it is until they have ended.
  void add_jobs(ProbeReport& report, std::vector<Job>& jobs) const {
    for (ProbedExchanger& probed : report.exchangers) {
      for (ProbedAddress& address : probed.addresses) {
        if (!address.not_tried.empty()) continue;
        ProbeTarget target = target_of(report, probed.exchanger);
        target.to = address.to;
        target.from = local_address(config_.sources.front(), address.to.ip.family);
        jobs.push_back({std::move(target), &address.session});
      }
    }
  }

 private:
  SitePolicy site_policy(const ProbeReport& report) const {
    return shaping_
        .shape(report.route->site, report.domain, report.route->exchangers,
               config_.sources.front().name)
        .policy;
  }

  ProbeTarget target_of(const ProbeReport& report, const Exchanger& exchanger) const {
    const SitePolicy policy = site_policy(report);
    ProbeTarget target;
    target.exchanger = exchanger;
    target.hello = report.hello;
    target.timeouts = policy.timeouts;
    target.policy = policy_of(policy, config_.tls);
    target.terms = terms_in_force(terms_of(TlsPolicy::kNone, report.domain, *report.route, false),
                                  policy, config_.tls);
    return target;
  }

  void add_addresses(const Source& source, ProbedExchanger& probed, size_t& sessions,
                     ProbeReport& report) const {
    if (probed.plan.skip) return;
    const uint16_t port = site_policy(report).smtp_port.value_or(config_.smtp.port);
    for (const IpAddress& address : probed.exchanger.addresses) {
      const bool ipv4 = address.family == Family::kIpv4;
      const std::string family = ipv4 ? "ipv4" : "ipv6";
      if (!options_.family.empty() && options_.family != family) continue;
      ProbedAddress planned;
      planned.to = {address, port};
      if (!source.addresses.empty() && !local_address(source, address.family)) {
        planned.not_tried = "source " + source.name + " has no " + (ipv4 ? "IPv4" : "IPv6") +
                            " address to send from";
      } else if (sessions++ >= kSessionsMax) {
        ++report.left_out;
        continue;
      }
      probed.addresses.push_back(std::move(planned));
    }
  }

  const ProbeOptions& options_;
  const Configuration& config_;
  const Shaping& shaping_;
};

StatusOr<std::vector<ProbeReport>> probe_all(const ProbeOptions& options,
                                             const Configuration& config,
                                             const std::vector<std::string>& domains) {
  ASSIGN_OR_RETURN(const Source source, source_of(config, options.source));
  Configuration of_source = config;
  of_source.sources = {source};
  Shaping shaping(config.shaping);
  RETURN_IF_ERROR(learn_sites(config, shaping));
  TlsOptions tls;
  tls.ca_file = config.tls.ca_file;
  ASSIGN_OR_RETURN(const std::unique_ptr<OpenSslFactory> factory, OpenSslFactory::make(tls));
  ASSIGN_OR_RETURN(const std::unique_ptr<Names> names, Names::make(config, Ask::kRoutesAndTls));
  Routes routes;
  for (const std::string& domain : domains) routes[domain];
  find_routes(*names, routes);

  const Planner planner(options, of_source, shaping);
  std::vector<ProbeReport> reports(domains.size());
  std::vector<Job> jobs;
  for (size_t i = 0; i < domains.size(); ++i) {
    RETURN_IF_ERROR(planner.plan(options.domains[i], domains[i], routes[domains[i]], reports[i]));
    planner.add_jobs(reports[i], jobs);
  }
  auto next = jobs.begin();
  run_all(names->loop(), kSessionsAtATime, [&]() -> std::optional<Task<>> {
    if (next == jobs.end()) return std::nullopt;
    Job& job = *next++;
    return probe_session(names->loop(), *factory, std::move(job.target), *job.out);
  });
  return reports;
}

StatusOr<int> tls_probe(const ProbeOptions& options) {
  std::vector<std::string> domains;
  for (const std::string& given : options.domains) {
    ASSIGN_OR_RETURN(std::string domain, domain_of(given));
    domains.push_back(std::move(domain));
  }
  ASSIGN_OR_RETURN(
      const LoadedConfiguration loaded,
      load_configuration(options.config.empty() ? default_configuration_path() : options.config));
  ASSIGN_OR_RETURN(const std::vector<ProbeReport> reports,
                   probe_all(options, loaded.configuration, domains));
  std::string out;
  int code = kDone;
  for (const ProbeReport& report : reports) {
    if (!all_deliver(report)) code = kNotAllDelivered;
    if (!options.json && !out.empty()) out += "\n";
    out += options.json ? probe_json(report) : probe_words(report);
  }
  RETURN_IF_ERROR(print(out));
  return code;
}

}  // namespace

void add_tls_probe(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ProbeOptions>();
  CLI::App* command = app.add_subcommand(
      "tls-probe",
      "Show what TLS with a domain's exchangers would be: policy, certificate, verdict");
  command->add_option("domain", options->domains, "Domains, or addresses in them")->required();
  command->add_option("--config", options->config,
                      "The configuration (default: $SLUICE_CONFIG, else /etc/sluice/sluice.toml)");
  command->add_flag("--json", options->json, "A JSON object a line");
  command->add_option("--exchanger", options->exchanger, "This exchanger of theirs alone");
  command->add_option("--family", options->family, "Addresses of this family alone")
      ->check(CLI::IsMember({"ipv4", "ipv6"}));
  command->add_option("--source", options->source,
                      "The source whose mail it would be (default: the first)");
  command->footer(
      "Connects to each address of each exchanger as mail would, with the handshake that mail "
      "would\nmake, and ends with QUIT: no mail is sent. Needs no running sluice; what a running "
      "one has\nlearnt of broken TLS does not count.\n"
      "Ends with 1 when mail would not go on one of these sessions, or no exchanger can be used.\n"
      "Example: sluice tls-probe example.com --exchanger mx1.example.com");
  command->callback([options, &exit_code] {
    const StatusOr<int> code = tls_probe(*options);
    exit_code = code.ok() ? *code : report_error(code.status());
  });
}

}  // namespace sluice::tools
