// What a hit in the DNS cache costs, by number of entries and skew of the names.
//
// Not a measure of resolving: no network, one thread reads unless the name says otherwise.
#include <benchmark/benchmark.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "resolver_cache/cache.h"

namespace {

using resolver_cache::RecordType;

constexpr resolver_cache::Time kNow = std::chrono::hours(1);
constexpr size_t kProbes = 1U << 16;

std::string name_of(uint64_t i) { return "domain-" + std::to_string(i) + ".example.com"; }

struct Filled {
  explicit Filled(uint32_t entries) : cache(options(entries)) {
    resolver_cache::Reader writer(cache);
    resolver_cache::Answer answer;
    answer.kind = resolver_cache::AnswerKind::kPositive;
    answer.ttl = 3'600;
    answer.items = {{10, "mx1.example.com"}, {20, "mx2.example.com"}};
    for (uint32_t i = 0; i < entries; ++i) {
      resolver_cache::Flight flight = cache.claim_refresh(name_of(i), RecordType::kMx);
      flight.land(writer, answer, kNow, i);
      writer.quiescent();
    }
    // Zipf with exponent 1 by inversion of the continuous law.
    sluice::Random random(42);
    for (size_t i = 0; i < kProbes; ++i) {
      const double rank = std::pow(static_cast<double>(entries), random.fraction());
      probes.push_back(name_of(static_cast<uint64_t>(rank) - 1));
    }
  }
  static resolver_cache::CacheOptions options(uint32_t entries) {
    resolver_cache::CacheOptions options;
    options.entries_max = entries + entries / 8;
    return options;
  }
  resolver_cache::Cache cache;
  std::vector<std::string> probes;
};

void hit(benchmark::State& state) {
  Filled filled(static_cast<uint32_t>(state.range(0)));
  resolver_cache::Cache& cache = filled.cache;
  resolver_cache::Reader reader(cache);
  size_t i = 0;
  uint64_t found = 0;
  for (auto _ : state) {
    const std::string& name = filled.probes[i++ % kProbes];
    found += cache.find(reader, name, RecordType::kMx, kNow).entry != nullptr;
    if (i % 64 == 0) reader.quiescent();
  }
  state.counters["hits"] = static_cast<double>(found) / static_cast<double>(state.iterations());
}
BENCHMARK(hit)->Arg(1'000)->Arg(10'000)->Arg(1'000'000);

}  // namespace
