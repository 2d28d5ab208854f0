#include "engine/shard/engine.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <future>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/digest.h"
#include "engine/base/log.h"
#include "engine/base/strings.h"
#include "engine/connect/tls_openssl.h"
#include "engine/resolve/cares_lookup.h"
#include "engine/resolve/curl_web.h"
#include "engine/resolve/sts_store.h"
#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/ring/uring_io.h"
#include "engine/shard/lane_survey.h"

namespace sluice {
namespace {

// Files of journal, segments, DNS and the program besides connections, and the least that the
// whole may have.
constexpr uint64_t kOtherDescriptors = 2'048;
constexpr uint64_t kDescriptorsMin = 4'096;

uint64_t random_seed() {
  const std::string bytes = secret_bytes(8);
  uint64_t seed = 0;
  for (const char c : bytes) seed = seed << 8 | static_cast<unsigned char>(c);
  return seed;
}

void pin_to_core(uint32_t index) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  uint32_t seen = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &allowed) || seen++ != index) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

LoopOptions loop_options(const Limits& limits) {
  return {.frame_bytes_max = limits.frame_bytes_per_shard,
          .mailbox_entries = limits.mailbox_entries,
          .turn_budget = limits.turn_budget};
}

}  // namespace

uint32_t usable_cores() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  return static_cast<uint32_t>(std::max(CPU_COUNT(&allowed), 1));
}

Status fit_connections(Configuration& config, std::string& warning) {
  const uint64_t wanted = config.engine.max_connections + kOtherDescriptors;
  const uint64_t allowed = raise_descriptor_limit(wanted);
  if (allowed >= wanted) return {};
  const std::string mend = "ulimit -n " + std::to_string(wanted) +
                           " (LimitNOFILE=" + std::to_string(wanted) + " in the systemd unit)";
  if (allowed < std::min(kDescriptorsMin, wanted)) {
    return misconfigured("only " + std::to_string(allowed) +
                         " files may be open, too few for [engine] max_connections = " +
                         std::to_string(config.engine.max_connections) + ": raise the limit with " +
                         mend + ", or lower max_connections");
  }
  config.engine.max_connections = static_cast<uint32_t>(allowed - kOtherDescriptors);
  warning = "only " + std::to_string(allowed) + " files may be open: at most " +
            std::to_string(config.engine.max_connections) +
            " connections are used; raise the limit with " + mend;
  return {};
}

struct Engine::Thread {
  uint32_t number = 0;
  std::thread thread;
  std::promise<Status> made;       // ring, resolver and journal stand
  std::promise<void> go;           // all shards are made, or starting has failed
  std::promise<Status> recovered;  // shard 0: what was active goes on
  bool start_failed = false;       // set before `go`
};

Engine::Engine(Configuration config, Limits limits, SenderKeys keys) {
  const uint32_t shards = config.engine.shards != 0 ? config.engine.shards : usable_cores();
  cache_ = std::make_unique<resolver_cache::Cache>(cache_options_of(config, random_seed()));
  peers_ = std::make_unique<Peers>(std::move(config), limits, shards, monotonic_now());
  peers_->keys = std::move(keys);
}

Engine::~Engine() {
  for (const auto& thread : threads_) CHECK(!thread->thread.joinable());
}

std::string Engine::describe_limits() const {
  const Limits& l = peers_->limits;
  const uint64_t mib = 1U << 20;
  return "limits of each of " + std::to_string(peers_->shard_count) + " shards: " +
         grouped(std::min(config().engine.max_connections / peers_->shard_count + 1,
                          l.connections_per_shard)) +
         " connections, " + grouped(l.resolutions_per_shard) + " domains being resolved, " +
         grouped(l.cursors_per_shard) + " blocks queued, " + grouped(l.due_rows_per_shard) +
         " deferred rows, " + std::to_string(l.frame_bytes_per_shard / mib) +
         " MiB of frames; sent twice after a crash at most: what is in flight (" +
         std::to_string(SitePolicy{}.max_in_flight) +
         " messages a connection where no rule says otherwise) and " +
         grouped(l.uncommitted_verdicts_max) +
         " answers not yet synced; `sluice status` counts both as in_flight";
}

Status Engine::prepare_web() {
  // That TLS reports are to tell and shard 0 has not fetched: those of a minute.
  constexpr size_t kStsFailuresMax = 4'096;
  // A rule may want it for some sites alone.
  const ShapingRules& rules = config().shaping;
  const auto wants = [](const ShapingRule& rule) { return rule.enable_mta_sts == true; };
  const bool sts = config().tls.mta_sts || std::any_of(rules.begin(), rules.end(), wants);
  if (!sts && config().tls.report_from.empty()) return {};
  CurlWebOptions options;
  options.ca_file = config().tls.ca_file;
  options.allowed_networks = config().smtp.allowed_networks;
  ASSIGN_OR_RETURN(web_, CurlWeb::create(options));
  peers_->web = web_.get();
  if (!sts) return {};
  StsLimits limits;
  if (!config().tls.report_from.empty()) limits.failures_max = kStsFailuresMax;
  sts_store_ = std::make_unique<StsStore>(limits);
  peers_->sts_store = sts_store_.get();
  return {};
}

Status Engine::start() {
  RETURN_IF_ERROR(prepare_web());
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    threads_.push_back(std::make_unique<Thread>());
    threads_.back()->number = number;
  }
  // Shard 0 first: it makes the spool's directories.
  Status status;
  std::vector<std::future<Status>> made;
  for (const auto& thread : threads_) {
    if (!status.ok()) break;
    made.push_back(thread->made.get_future());
    thread->thread = std::thread([this, &thread] { run_shard(*thread); });
    status = made.back().get();
  }
  const auto running = static_cast<std::ptrdiff_t>(made.size()) - (status.ok() ? 0 : 1);
  // And this thread, whose last post() may still be waking a shard: it arrives in wait().
  all_stopped_ = std::make_unique<std::latch>(running + 1);
  for (const auto& thread : threads_) {
    thread->start_failed = !status.ok();
    thread->go.set_value();
  }
  if (status.ok()) status = threads_[0]->recovered.get_future().get();
  if (!status.ok()) {
    if (!threads_[0]->start_failed) drain();
    wait();
  }
  return status;
}

namespace {

Task<> keep(Task<Status> task, std::optional<Status>& out) {
  Status status = co_await std::move(task);
  out = std::move(status);
}

// Runs the loop until the task has ended.
Status run_to_end(Loop& loop, Gate& gate, Task<Status> task) {
  std::optional<Status> ended;
  {
    const Executor::Scope scope(loop.executor());
    gate.spawn(keep(std::move(task), ended));
  }
  while (!ended.has_value()) loop.turn();
  loop.turn(loop.now());  // lets the frame go
  return *ended;
}

TlsOptions tls_options_of(const Configuration& configuration) {
  TlsOptions options;
  options.ca_file = configuration.tls.ca_file;
  return options;
}

Task<Status> close_lookup(Lookup& lookup) {
  co_await lookup.close();
  co_return Status();
}

}  // namespace

void Engine::run_shard(Thread& thread) {
  ::pthread_setname_np(::pthread_self(), ("shard-" + std::to_string(thread.number)).c_str());
  if (config().engine.shards == 0) pin_to_core(thread.number);
  StatusOr<std::unique_ptr<UringIo>> io =
      UringIo::create({.operations_max = peers_->limits.operations_per_ring});
  if (!io.ok()) {
    thread.made.set_value(io.status());
    return;
  }
  Loop loop(**io, loop_options(peers_->limits));
  const Executor::Scope scope(loop.executor());
  Gate gate;
  StatusOr<std::unique_ptr<CaresLookup>> lookup =
      CaresLookup::create(loop, cares_options_of(config()));
  if (!lookup.ok()) {
    thread.made.set_value(lookup.status());
    return;
  }
  StatusOr<std::unique_ptr<OpenSslFactory>> tls = OpenSslFactory::make(tls_options_of(config()));
  if (!tls.ok()) {
    (void)run_to_end(loop, gate, close_lookup(**lookup));
    thread.made.set_value(tls.status());
    return;
  }
  if (thread.number == 0) dns_servers_ = (*lookup)->servers();
  Shard shard(*peers_, loop, **lookup, **tls, *cache_, thread.number);
  std::unique_ptr<Intake> intake;
  Status status;
  if (thread.number == 0) {
    intake = std::make_unique<Intake>(shard);
    status = intake->prepare();
  }
  if (status.ok()) {
    status = run_to_end(loop, gate, shard.start());
  } else {
    (void)run_to_end(loop, gate, close_lookup(**lookup));
  }
  const bool made = status.ok();
  thread.made.set_value(status);
  if (!made) return;
  thread.go.get_future().wait();
  if (thread.start_failed) {
    shard.drain(loop.now());
  } else if (intake) {
    status = run_to_end(loop, gate, intake->recover());
    if (status.ok()) {
      shard.services().spawn(intake->watch());
      shard.services().spawn(intake->keep_house());
    }
    thread.recovered.set_value(status);
  }
  while (!shard.stopped()) {
    loop.turn();
    if (intake && shard.draining()) intake->stop();
  }
  loop.turn(loop.now());
  all_stopped_->arrive_and_wait();
  if (intake && status.ok()) {
    (void)run_to_end(loop, gate, intake->save_limits());
    (void)run_to_end(loop, gate, intake->save_policies());
  }
}

void Engine::drain() {
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    Shard* shard = peers_->shards[number];
    const Duration timeout = config().engine.drain_timeout;
    while (!peers_->post(number, [shard, timeout] { shard->drain(shard->now() + timeout); })) {
      std::this_thread::yield();
    }
  }
}

void Engine::reload(const Configuration& changed) {
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    Shard* shard = peers_->shards[number];
    while (!peers_->post(number, [shard, shaping = changed.shaping, retry = changed.retry] {
      shard->reload(shaping, retry);
    })) {
      std::this_thread::yield();
    }
  }
}

void Engine::wait() {
  if (all_stopped_ && !waited_) {
    waited_ = true;
    all_stopped_->count_down();
  }
  for (const auto& thread : threads_) {
    if (thread->thread.joinable()) thread->thread.join();
  }
}

Status Engine::ask(uint32_t shard, std::function<void()> query, Duration patience) {
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> answered = done->get_future();
  if (!peers_->post(shard, [done, query] {
        query();
        done->set_value();
      })) {
    return unavailable("shard " + std::to_string(shard) + " is not running or too busy");
  }
  if (answered.wait_for(patience) != std::future_status::ready) {
    return unavailable("shard " + std::to_string(shard) + " does not answer");
  }
  return {};
}

bool Engine::responsive(Duration patience) {
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    if (!ask(
             number, [] {}, patience)
             .ok())
      return false;
  }
  return true;
}

Status Engine::ask_intake(std::function<void(Intake&, Intake::Reply)> start) {
  auto done = std::make_shared<std::promise<Status>>();
  std::future<Status> answered = done->get_future();
  if (!peers_->post(0, [this, done, start] {
        start(*peers_->intake, [done](Status status) { done->set_value(std::move(status)); });
      })) {
    return unavailable("shard 0 is too busy");
  }
  if (answered.wait_for(kQueryTimeout) != std::future_status::ready) {
    return unavailable("shard 0 does not answer");
  }
  return answered.get();
}

Status Engine::command(const std::string& job, JobEvent event) {
  return ask_intake([job, event](Intake& intake, Intake::Reply reply) {
    intake.command(job, event, std::move(reply));
  });
}

Status Engine::resume_unread(const std::string& job) {
  return ask_intake(
      [job](Intake& intake, Intake::Reply reply) { intake.resume_unread(job, std::move(reply)); });
}

Status Engine::pause_site(const std::string& site, bool paused) {
  return ask_intake([this, site, paused](Intake& intake, Intake::Reply reply) {
    peers_->shards[0]->services().spawn(intake.pause_site(site, paused, std::move(reply)));
  });
}

namespace {

// What a shard promised; Unavailable with `silent` when it takes too long.
template <typename T>
StatusOr<T> answer_of(std::future<T>& promised, Duration patience, const std::string& silent) {
  if (promised.wait_for(patience) != std::future_status::ready) return unavailable(silent);
  // A shard that drains drops the question, and the promise with it.
  try {
    return promised.get();
  } catch (const std::future_error&) {
    return unavailable("sluice is stopping");
  }
}

}  // namespace

StatusOr<std::vector<JobStatus>> Engine::jobs() {
  auto out = std::make_shared<std::vector<JobStatus>>();
  RETURN_IF_ERROR(ask(0, [this, out] {
    if (peers_->intake != nullptr) *out = peers_->intake->status();
  }));
  return std::move(*out);
}

StatusOr<std::vector<LaneStatus>> Engine::sites() {
  std::vector<LaneStatus> all;
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    auto done = std::make_shared<std::promise<std::vector<LaneStatus>>>();
    std::future<std::vector<LaneStatus>> answered = done->get_future();
    if (!peers_->post(number, [this, number, done] {
          Shard& shard = *peers_->shards[number];
          if (shard.draining()) return done->set_value({});
          shard.services().spawn(survey_lanes(
              shard, [done](std::vector<LaneStatus> lanes) { done->set_value(std::move(lanes)); }));
        })) {
      return unavailable("shard " + std::to_string(number) + " is not running or too busy");
    }
    ASSIGN_OR_RETURN(
        std::vector<LaneStatus> lanes,
        answer_of(answered, kQueryTimeout, "shard " + std::to_string(number) + " does not answer"));
    for (LaneStatus& lane : lanes) all.push_back(std::move(lane));
  }
  return all;
}

std::vector<ShardLoad> Engine::loads() const {
  std::vector<ShardLoad> loads;
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    const int32_t dns = peers_->loads[number].dns_wait.load(std::memory_order_relaxed);
    loads.push_back({.busy = peers_->busy(number, monotonic_now()), .dns_wait = dns / 1'000.0});
  }
  return loads;
}

namespace {

Task<> explain(Shard& shard, std::string domain,
               std::shared_ptr<std::promise<ExplainedRoute>> done) {
  ExplainedRoute explained;
  RoutePtr route = co_await shard.resolver().route(domain, &explained.trace);
  explained.route = shard.placed(domain, std::move(route));
  explained.lives = std::max(explained.route->expires - shard.now(), Duration(0));
  if (explained.route->usable()) {
    explained.sources =
        limits_of_sources(shard.rules().shaping(), domain, *explained.route, shard.config());
    explained.tls = forecast_tls(shard.rules().shaping(), domain, *explained.route, shard.config());
    const bool known = explained.route->sts != nullptr;
    explained.sts = known ? words_of(explained.route->sts) : explained.trace.sts;
  }
  done->set_value(std::move(explained));
}

}  // namespace

StatusOr<ExplainedRoute> Engine::resolve(const std::string& domain) {
  const uint32_t home = peers_->home_of(domain);
  auto done = std::make_shared<std::promise<ExplainedRoute>>();
  std::future<ExplainedRoute> answered = done->get_future();
  if (!peers_->post(home, [this, home, domain, done] {
        Shard& shard = *peers_->shards[home];
        if (!shard.draining()) shard.services().spawn(explain(shard, domain, done));
      })) {
    return unavailable("shard " + std::to_string(home) + " is too busy");
  }
  ASSIGN_OR_RETURN(ExplainedRoute explained,
                   answer_of(answered, kResolveTimeout, "DNS does not answer for " + domain));
  explained.servers = dns_servers_;
  if (!explained.route->usable()) return explained;
  const uint32_t owner = peers_->owner_of(explained.route->site);
  struct Learnt {
    std::vector<DepthNote> depths;
    std::vector<std::string> broken_tls;
  };
  auto learnt = std::make_shared<Learnt>();
  RETURN_IF_ERROR(ask(owner, [this, owner, site = explained.route->site, learnt] {
    learnt->depths = peers_->shards[owner]->depth_notes(site);
    learnt->broken_tls = peers_->shards[owner]->broken_tls(site);
  }));
  explained.depths = std::move(learnt->depths);
  explained.broken_tls = std::move(learnt->broken_tls);
  return explained;
}

StatusOr<std::vector<RowPlace>> Engine::in_flight(const std::string& job) {
  std::vector<RowPlace> all;
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    auto out = std::make_shared<std::vector<RowPlace>>();
    RETURN_IF_ERROR(ask(
        number, [this, number, job, out] { *out = peers_->shards[number]->in_flight_rows(job); }));
    all.insert(all.end(), out->begin(), out->end());
  }
  return all;
}

std::vector<Duration> Engine::dns_waits() const {
  std::vector<Duration> waits;
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    waits.emplace_back(peers_->dns_waits[number].value.load(std::memory_order_relaxed));
  }
  return waits;
}

StatusOr<WorkStats> Engine::work_stats() {
  WorkStats sum;
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    auto out = std::make_shared<WorkStats>();
    RETURN_IF_ERROR(ask(number, [this, number, out] {
      out->ring_enters = peers_->shards[number]->io().enters();
      out->recorded = peers_->shards[number]->recorder().latency();
      out->tls = peers_->shards[number]->tls_counts();
    }));
    sum.ring_enters += out->ring_enters;
    sum.recorded.merge(out->recorded);
    sum.tls.merge(out->tls);
  }
  return sum;
}

StatusOr<Journal::Stats> Engine::journal_stats() {
  Journal::Stats sum;
  for (uint32_t number = 0; number < peers_->shard_count; ++number) {
    auto out = std::make_shared<Journal::Stats>();
    RETURN_IF_ERROR(
        ask(number, [this, number, out] { *out = peers_->shards[number]->journal().stats(); }));
    sum.commits += out->commits;
    sum.records += out->records;
    sum.bytes += out->bytes;
    sum.files += out->files;
    sum.dropped += out->dropped;
    sum.uncommitted += out->uncommitted;
    sum.longest_commit = std::max(sum.longest_commit, out->longest_commit);
  }
  return sum;
}

}  // namespace sluice
