// Routes of many distinct domains through the resolver as a shard has it, asked of a real server.
//
// usage: cold_bench SERVER COUNT [IN_FLIGHT [OUTSTANDING]]
//
// Resolves d0.cold.example to d<COUNT-1>.cold.example, each once, with IN_FLIGHT at a time
// (default: Limits::resolutions_per_shard), once more out of the cache, and prints one JSON object.
// bench/cold starts the servers, pins the cores, and says what the figures mean.
#include <sys/resource.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/net.h"
#include "engine/model/limits.h"
#include "engine/resolve/cares_lookup.h"
#include "engine/resolve/resolver.h"
#include "engine/ring/gate.h"
#include "engine/ring/signal.h"
#include "engine/ring/uring_io.h"
#include "resolver_cache/cache.h"

namespace sluice {
namespace {

struct Plan {
  SocketAddress server;
  uint32_t count = 0;
  uint32_t in_flight = Limits{}.resolutions_per_shard;
  std::optional<uint32_t> outstanding;
};

// What a shard does around its waits.
class Quiescence final : public WaitObserver {
 public:
  explicit Quiescence(Resolver& resolver) : resolver_(resolver) {}
  void before_wait() override {
    resolver_.quiescent();
    resolver_.before_block();
  }
  void after_wait() override { resolver_.after_block(); }

 private:
  Resolver& resolver_;
};

struct Run {
  explicit Run(Resolver& the_resolver) : resolver(the_resolver) {}
  Resolver& resolver;
  Signal slot_free;
  Gate gate;
  uint32_t under_way = 0;
  uint32_t usable = 0;
  bool closed = false;
};

std::string domain_name(uint32_t number) { return "d" + std::to_string(number) + ".cold.example"; }

Task<> place(Run& run, uint32_t number) {
  Task<RoutePtr> asking = run.resolver.route(domain_name(number));
  const RoutePtr route = co_await std::move(asking);
  if (route->usable()) ++run.usable;
  --run.under_way;
  run.slot_free.notify();
}

Task<> walk(Run& run, const Plan& plan) {
  for (uint32_t number = 0; number < plan.count; ++number) {
    while (run.under_way >= plan.in_flight) co_await run.slot_free;
    ++run.under_way;
    run.gate.spawn(place(run, number));
    if (number % 256 == 255) co_await yield();
  }
  while (run.under_way > 0) co_await run.slot_free;
  run.closed = true;
}

Task<> close(Run& run) {
  Task<> closing = run.resolver.close();
  co_await std::move(closing);
  run.closed = true;
}

// Nanoseconds to find a domain's MX in the cache, one at a time and by find_many().
struct FindTimes {
  double single = 0;
  double many = 0;
};

FindTimes find_times(resolver_cache::Cache& cache, uint32_t count, Instant now) {
  constexpr size_t kBatch = 64;
  const resolver_cache::Time time = now.time_since_epoch();
  const resolver_cache::Reader reader(cache);
  std::vector<std::string> names;
  std::vector<resolver_cache::Key> keys;
  for (uint32_t i = 0; i < count; ++i) names.push_back(domain_name(i));
  for (const std::string& name : names) keys.push_back({name, resolver_cache::RecordType::kMx});
  std::vector<resolver_cache::Hit> hits(kBatch);
  uint64_t found = 0;
  const Instant began = monotonic_now();
  for (const resolver_cache::Key& key : keys) {
    found += cache.find(reader, key.name, key.type, time).entry != nullptr ? 1U : 0U;
  }
  const Instant middle = monotonic_now();
  for (size_t at = 0; at + kBatch <= keys.size(); at += kBatch) {
    cache.find_many(reader, std::span(keys).subspan(at, kBatch), hits, time);
    for (const resolver_cache::Hit& hit : hits) found += hit.entry != nullptr ? 1U : 0U;
  }
  const Instant end = monotonic_now();
  CHECK(found == count + count / kBatch * kBatch);
  const auto each = [count](Duration taken) {
    return std::chrono::duration<double, std::nano>(taken).count() / count;
  };
  return {.single = each(middle - began), .many = each(end - middle)};
}

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

int measure(const Plan& plan) {
  StatusOr<std::unique_ptr<UringIo>> io = UringIo::create({});
  if (!io.ok()) {
    std::fprintf(stderr, "%s\n", message_of(io.status()).c_str());
    return 74;
  }
  Loop loop(**io, {});
  const Executor::Scope scope(loop.executor());
  CaresOptions cares;
  cares.servers = {plan.server};
  if (plan.outstanding) cares.outstanding_max = *plan.outstanding;
  StatusOr<std::unique_ptr<CaresLookup>> lookup = CaresLookup::create(loop, cares);
  if (!lookup.ok()) {
    std::fprintf(stderr, "%s\n", message_of(lookup.status()).c_str());
    return 69;
  }
  resolver_cache::Cache cache({});
  ResolverOptions options;
  options.policy.allowed_networks = {*parse_network("127.0.0.0/8")};
  Resolver resolver(loop, **lookup, cache, options);
  Quiescence quiescence(resolver);
  loop.observe_waits(&quiescence);
  Run run(resolver);

  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const Instant began = monotonic_now();
  const UringIo::Stats io_before = (*io)->stats();
  run.gate.spawn(walk(run, plan));
  while (!run.closed) loop.turn();
  const double seconds = std::chrono::duration<double>(monotonic_now() - began).count();
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  const uint64_t enters = (*io)->stats().enters - io_before.enters;
  const resolver_cache::CacheStats stats = cache.stats();
  const uint32_t usable = run.usable;
  const uint64_t turns = loop.stats().turns;
  const uint64_t queries = resolver.stats().queries;
  run.closed = false;
  const Instant again = monotonic_now();
  run.gate.spawn(walk(run, plan));
  while (!run.closed) loop.turn();
  const double cached_seconds = std::chrono::duration<double>(monotonic_now() - again).count();
  const FindTimes finds = find_times(cache, plan.count, loop.now());
  std::printf(
      "{\"domains\": %u, \"usable\": %u, \"queries\": %llu, \"seconds\": %.4f, "
      "\"user_seconds\": %.4f, \"system_seconds\": %.4f, \"turns\": %llu, \"ring_enters\": %llu, "
      "\"entries\": %llu, \"entry_bytes\": %llu, \"table_bytes\": %llu, \"entries_max\": %u, "
      "\"cached_route_ns\": %.0f, \"find_ns\": %.0f, \"find_many_ns\": %.0f}\n",
      plan.count, usable, static_cast<unsigned long long>(queries), seconds,
      seconds_of(after.ru_utime) - seconds_of(before.ru_utime),
      seconds_of(after.ru_stime) - seconds_of(before.ru_stime),
      static_cast<unsigned long long>(turns), static_cast<unsigned long long>(enters),
      static_cast<unsigned long long>(stats.entries),
      static_cast<unsigned long long>(stats.entry_bytes),
      static_cast<unsigned long long>(stats.table_bytes), cache.options().entries_max,
      1e9 * cached_seconds / plan.count, finds.single, finds.many);

  run.closed = false;
  run.gate.spawn(close(run));
  while (!run.closed) loop.turn();
  while (run.gate.inside_count() > 0) loop.turn(loop.now());
  loop.turn(loop.now());
  return usable == plan.count ? 0 : 1;
}

bool read_number(std::string_view text, uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number > 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  sluice::Plan plan;
  uint32_t outstanding = 0;
  const auto server = argc > 1 ? sluice::parse_socket_address(argv[1]) : std::nullopt;
  bool good = (argc >= 3 && argc <= 5) && server && sluice::read_number(argv[2], plan.count);
  if (good && argc > 3) good = sluice::read_number(argv[3], plan.in_flight);
  if (good && argc > 4) good = sluice::read_number(argv[4], outstanding);
  if (!good) {
    std::fprintf(stderr, "usage: cold_bench SERVER COUNT [IN_FLIGHT [OUTSTANDING]]\n");
    return 64;
  }
  plan.server = *server;
  if (argc > 4) plan.outstanding = outstanding;
  return sluice::measure(plan);
}
