// What a hit in the DNS cache costs, alone and beside what could have been used instead.
//
//   hit/N                              our cache, N entries, Zipf: the figure to watch over time
//   CONTESTANT/NAMES/LAW/READS/...     cache_contestants.h; READS of 100 calls read, the others
//                                      land a refreshed answer of a name that is there
//   ours_batched                       Cache::find_many, 16 names a call
//
// Not a measure of resolving: no network. On a busy machine CPU time says what a call costs; only
// on a quiet one does real time with two threads say what they reach together. bench/cache_table
// runs all this and prints a table.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "bench/cache_contestants.h"
#include "bench/cache_names.h"
#ifdef SLUICE_BENCH_URCU
#include "bench/cache_lfht.h"
#endif

namespace cache_bench {
namespace {

constexpr size_t kProbes = 1U << 20;
constexpr size_t kTurn = 64;  // calls between two announcements of a quiescent state

// Made at first use and kept to the program's end: filling one takes longer than measuring it.
template <typename T, typename... Key>
T& kept(Key... key) {
  static std::mutex mutex;
  static auto& all = *new std::map<std::tuple<Key...>, std::unique_ptr<T>>;
  const std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<T>& place = all[std::tuple(key...)];
  if (!place) place = std::make_unique<T>(key...);
  return *place;
}

const Probes& probes_for(uint32_t names, bool zipf, int thread) {
  return kept<Probes>(uint64_t{names}, zipf, kProbes, static_cast<uint64_t>(42 + thread));
}

void hit(benchmark::State& state) {
  const auto names = static_cast<uint32_t>(state.range(0));
  Ours::Local local(kept<Ours>(names));
  const Probes& probes = probes_for(names, true, 0);
  size_t i = 0;
  uint64_t found = 0;
  for (auto _ : state) {
    const std::string_view name = probes[i++ % kProbes];
    found += local.cache().find(local.reader(), name, RecordType::kMx, kNow).entry != nullptr;
    if (i % kTurn == 0) local.rest();
  }
  state.counters["hits"] = static_cast<double>(found) / static_cast<double>(state.iterations());
}
BENCHMARK(hit)->Arg(1'000)->Arg(10'000)->Arg(1'000'000);

// Ranges: names, 1 for Zipf or 0 for evenly, reads of 100 calls.
template <typename Contestant>
void against(benchmark::State& state) {
  const auto names = static_cast<uint32_t>(state.range(0));
  const Probes& probes = probes_for(names, state.range(1) != 0, state.thread_index());
  const auto writes = static_cast<uint64_t>(100 - state.range(2));
  typename Contestant::Local local(kept<Contestant>(names));
  size_t i = 0;
  uint64_t owed = 0;  // hundredths of a write
  uint64_t sum = 0;
  for (auto _ : state) {
    const std::string_view name = probes[i++ % kProbes];
    owed += writes;
    if (owed >= 100) {
      owed -= 100;
      local.write(i, name);
    } else {
      sum += local.read(name);
    }
    if (i % kTurn == 0) local.rest();
  }
  benchmark::DoNotOptimize(sum);
}

void ours_batched(benchmark::State& state) {
  constexpr size_t kBatch = 16;
  const auto names = static_cast<uint32_t>(state.range(0));
  const Probes& probes = probes_for(names, state.range(1) != 0, state.thread_index());
  Ours::Local local(kept<Ours>(names));
  std::array<resolver_cache::Key, kBatch> keys;
  std::array<resolver_cache::Hit, kBatch> hits;
  size_t i = 0;
  uint64_t sum = 0;
  while (state.KeepRunningBatch(kBatch)) {
    for (resolver_cache::Key& key : keys) key = {probes[i++ % kProbes], RecordType::kMx};
    local.cache().find_many(local.reader(), keys, hits, kNow);
    for (const resolver_cache::Hit& found : hits) {
      if (found.entry != nullptr) sum += Ours::Local::use_entry(*found.entry);
    }
    if (i % kTurn == 0) local.rest();
  }
  benchmark::DoNotOptimize(sum);
}

void grid(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"names", "zipf", "reads"})
      ->ArgsProduct({{10'000, 1'000'000}, {1, 0}, {100, 95, 50}})
      ->Threads(1)
      ->Threads(2);
}
BENCHMARK(against<Ours>)->Name("ours")->Apply(grid);
BENCHMARK(against<ShardedMutex>)->Name("sharded_mutex")->Apply(grid);
#ifdef SLUICE_BENCH_URCU
BENCHMARK(against<Lfht>)->Name("cds_lfht")->Apply(grid);
#endif
BENCHMARK(against<PrivateMaps>)->Name("private_maps")->Apply(grid);
BENCHMARK(ours_batched)
    ->ArgNames({"names", "zipf", "reads"})
    ->ArgsProduct({{10'000, 1'000'000}, {1, 0}, {100}})
    ->Threads(1)
    ->Threads(2);

}  // namespace
}  // namespace cache_bench

int main(int argc, char** argv) {
#ifndef SLUICE_BENCH_URCU
  std::fprintf(stderr, "cds_lfht: not measured: liburcu-dev is not installed\n");
#endif
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
