#include "tools/cmd/route_finder.h"

#include <algorithm>
#include <cstdio>

#include "engine/base/strings.h"
#include "engine/resolve/sts_file.h"
#include "engine/ring/pause.h"
#include "engine/spool/address.h"
#include "tools/cmd/common.h"
#include "tools/cmd/run_task.h"

namespace sluice::tools {
namespace {

constexpr uint32_t kOperations = 4'096;
constexpr uint32_t kCacheEntries = 1U << 16;
constexpr size_t kRoutesAtATime = 256;
// More than a fetch of an MTA-STS policy takes.
constexpr Duration kPolicyWait = std::chrono::seconds(100);

Task<bool> close_resolver(Resolver& resolver) {
  Task<> closing = resolver.close();
  co_await std::move(closing);
  co_return true;
}

bool wants_sts(const Configuration& config) {
  return config.tls.mta_sts ||
         std::any_of(config.shaping.begin(), config.shaping.end(),
                     [](const ShapingRule& rule) { return rule.enable_mta_sts == true; });
}

Status recall_policies(const Configuration& config, StsStore& store) {
  const std::string path = config.spool.path + "/" + std::string(kStsFileName);
  const StatusOr<std::string> text = read_file(path, kStsFileBytesMax);
  if (absl::IsNotFound(text.status())) return {};
  RETURN_IF_ERROR(text.status());
  const StatusOr<StsFile> file = parse_sts_file(*text);
  if (!file.ok()) return annotate(file.status(), path + ": ");
  store.restore(file->policies, wall_now());
  return {};
}

Task<> find_route(Loop& loop, Resolver& resolver, std::string domain, Found& out) {
  const Instant give_up = loop.now() + kPolicyWait;
  const auto pause = std::make_unique<Pause>(loop);
  while (true) {
    out.trace = {};
    Task<RoutePtr> asking = resolver.route(domain, &out.trace);
    RoutePtr route = co_await std::move(asking);
    out.route = std::move(route);
    if (!out.route->sts_pending || loop.now() >= give_up) co_return;
    co_await pause->until(out.route->expires);
  }
}

}  // namespace

// Says to the cache that nothing of it is held while the loop waits.
class Names::Unhold final : public WaitObserver {
 public:
  explicit Unhold(Resolver& resolver) : resolver_(resolver) {}
  void before_wait() override { resolver_.before_block(); }
  void after_wait() override {}

 private:
  Resolver& resolver_;
};

StatusOr<std::unique_ptr<Names>> Names::make(const Configuration& config, Ask ask) {
  auto names = std::make_unique<Names>();
  ResolverOptions options = resolver_options_of(config);
  if (ask == Ask::kRoutes) {
    options.dane = false;
  } else if (wants_sts(config)) {
    RETURN_IF_ERROR(names->use_policies(config, options));
  }
  ASSIGN_OR_RETURN(names->io_, UringIo::create({.operations_max = kOperations}));
  names->loop_ = std::make_unique<Loop>(
      *names->io_, LoopOptions{.frame_bytes_max = 64UL << 20, .mailbox_entries = 1'024});
  resolver_cache::CacheOptions cache = cache_options_of(config, names->io_->random().next());
  cache.entries_max = std::min(cache.entries_max, kCacheEntries);
  names->cache_ = std::make_unique<resolver_cache::Cache>(cache);
  ASSIGN_OR_RETURN(names->lookup_, CaresLookup::create(*names->loop_, cares_options_of(config)));
  names->resolver_ =
      std::make_unique<Resolver>(*names->loop_, *names->lookup_, *names->cache_, options);
  names->unhold_ = std::make_unique<Unhold>(*names->resolver_);
  names->loop_->observe_waits(names->unhold_.get());
  return names;
}

Status Names::use_policies(const Configuration& config, ResolverOptions& options) {
  const Status recalled = recall_policies(config, policies_);
  if (!recalled.ok()) {
    std::fprintf(stderr,
                 "sluice: %s; the MTA-STS policies that the sender keeps do not count here: run "
                 "as its user for that\n",
                 message_of(recalled).c_str());
  }
  CurlWebOptions fetching;
  fetching.ca_file = config.tls.ca_file;
  fetching.allowed_networks = config.smtp.allowed_networks;
  ASSIGN_OR_RETURN(web_, CurlWeb::create(fetching));
  options.sts_store = &policies_;
  options.web = web_.get();
  return {};
}

Names::~Names() {
  if (resolver_ == nullptr) return;
  run_task(*loop_, [this] { return close_resolver(*resolver_); });
  loop_->observe_waits(nullptr);
}

void find_routes(Names& names, Routes& routes) {
  auto next = routes.begin();
  run_all(names.loop(), kRoutesAtATime, [&]() -> std::optional<Task<>> {
    if (next == routes.end()) return std::nullopt;
    auto& [domain, found] = *next++;
    return find_route(names.loop(), names.resolver(), domain, found);
  });
}

// By where the domains lead that rules name, the rules are applied.
Status learn_sites(const Configuration& config, Shaping& shaping) {
  if (shaping.domains().empty()) return {};
  ASSIGN_OR_RETURN(const std::unique_ptr<Names> names, Names::make(config, Ask::kRoutes));
  Routes routes;
  for (const std::string& domain : shaping.domains()) routes[domain];
  find_routes(*names, routes);
  for (const auto& [domain, found] : routes) {
    if (found.route->usable()) shaping.set_site(domain, found.route->site);
  }
  return {};
}

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

}  // namespace sluice::tools
