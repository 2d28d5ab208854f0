// Two figures of the DNS cache that are no times:
//   hit_ratio  of look-ups by Zipf's law, with room for a tenth of the names, beside room for all
//              (then only TTLs and first look-ups miss); "ideal" is the share of look-ups that ask
//              for the most popular tenth
//   domain     octets of memory for a domain with one exchanger of its own, MX and A: what the
//              process holds more of, by the kernel's account; "entries" and "table" are the parts
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "bench/cache_names.h"
#include "resolver_cache/cache.h"

namespace cache_bench {
namespace {

using resolver_cache::RecordType;
using resolver_cache::Time;

resolver_cache::Answer answer_of(std::string name, std::string data, uint32_t ttl) {
  resolver_cache::Answer answer;
  answer.kind = resolver_cache::AnswerKind::kPositive;
  answer.ttl = ttl;
  answer.canonical = std::move(name);
  answer.items = {{10, std::move(data)}};
  return answer;
}

// 1,000 look-ups a second; TTLs of 5 to 60 minutes; what is due for refresh is refreshed, as the
// resolver does. The first tenth of the look-ups is not counted: the cache is empty then.
void hit_ratio(benchmark::State& state) {
  const auto names = static_cast<uint64_t>(state.range(0));
  const uint64_t lookups = names * 20;
  resolver_cache::CacheOptions options;
  options.entries_max = static_cast<uint32_t>(names * static_cast<uint64_t>(state.range(1)) / 100);
  for (auto _ : state) {
    resolver_cache::Cache cache(options);
    resolver_cache::Reader reader(cache);
    sluice::Random random(7);
    uint64_t hits = 0;
    uint64_t counted = 0;
    for (uint64_t i = 0; i < lookups; ++i) {
      const Time now = std::chrono::hours(1) + std::chrono::milliseconds(i);
      const uint64_t rank = zipf_rank(random, names);
      const std::string name = domain_name(rank);
      const resolver_cache::Hit hit = cache.find(reader, name, RecordType::kMx, now);
      if (i >= lookups / 10) {
        ++counted;
        hits += hit.entry != nullptr;
      }
      if (hit.entry == nullptr || hit.entry->is_refresh_due(now)) {
        const uint32_t ttl = 300 + static_cast<uint32_t>(rank * 2'654'435'761U % 3'301);
        static_cast<void>(cache.claim_refresh(name, RecordType::kMx)
                              .land(reader, answer_of(name, "mx1." + name, ttl), now, i));
      }
      if (i % 64 == 0) reader.quiescent();
    }
    // The continuous law that zipf_rank() draws from: P(rank < r) = ln(r + 1) / ln(names).
    const auto all = static_cast<double>(names);
    state.counters["hit_ratio"] = static_cast<double>(hits) / static_cast<double>(counted);
    state.counters["ideal"] = std::log(all / 10 + 1) / std::log(all);
  }
}
BENCHMARK(hit_ratio)
    ->ArgNames({"names", "room_percent"})
    ->Args({200'000, 10})
    ->Args({200'000, 200})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t all = 0;
  uint64_t resident = 0;
  statm >> all >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void domain(benchmark::State& state) {
  const auto names = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) {
    const double before = resident_bytes();
    resolver_cache::CacheOptions options;
    options.entries_max = 2 * names;
    resolver_cache::Cache cache(options);
    resolver_cache::Reader reader(cache);
    for (uint32_t i = 0; i < names; ++i) {
      const std::string name = domain_name(i);
      const std::string host = "mx1." + name;
      const Time now = std::chrono::hours(1);
      static_cast<void>(cache.claim_refresh(name, RecordType::kMx)
                            .land(reader, answer_of(name, host, 3'600), now, i));
      static_cast<void>(cache.claim_refresh(host, RecordType::kA)
                            .land(reader, answer_of(host, std::string(4, '\1'), 3'600), now, i));
      reader.quiescent();
    }
    const resolver_cache::CacheStats stats = cache.stats();
    state.counters["octets"] = (resident_bytes() - before) / names;
    state.counters["entries"] = static_cast<double>(stats.entry_bytes) / names;
    state.counters["table"] = static_cast<double>(stats.table_bytes) / names;
    state.counters["kept"] = static_cast<double>(stats.entries) / (2.0 * names);
  }
}
BENCHMARK(domain)->Arg(100'000)->Arg(131'072)->Arg(500'000)->Iterations(1)->Unit(
    benchmark::kSecond);

}  // namespace
}  // namespace cache_bench
