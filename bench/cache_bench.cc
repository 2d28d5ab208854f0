// What a hit in the DNS cache costs, alone and beside what could have been used instead.
//
//   hit/N                              our cache, N entries, Zipf: the figure to watch over time
//   names/N                            what reading the questions, in the order asked, costs alone
//   --slices ROUNDS                    all contestants (cache_contestants.h), by one thread and by
//                                      two at once (cache_slices.h): what bench/cache_table shows
//
// Not a measure of resolving: no network.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "bench/cache_contestants.h"
#include "bench/cache_names.h"
#include "bench/cache_slices.h"
#ifdef SLUICE_BENCH_URCU
#include "bench/cache_lfht.h"
#endif

namespace cache_bench {
namespace {

constexpr size_t kProbes = 1U << 20;

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

// The loop of hit() without a cache: what is left looks at the questions' octets.
void names(benchmark::State& state) {
  const Probes& probes = probes_for(static_cast<uint32_t>(state.range(0)), true, 0);
  size_t i = 0;
  uint64_t sum = 0;
  for (auto _ : state) {
    const std::string_view name = probes[i++ % kProbes];
    sum += static_cast<unsigned char>(name.front());
  }
  benchmark::DoNotOptimize(sum);
}
BENCHMARK(names)->Arg(10'000)->Arg(1'000'000);

// One line of JSON a contestant and row: the counted slices of all rounds.
struct Series {
  const char* contestant;
  Row row;
  std::vector<double> (*burst)(const Row& row, size_t start);
  std::vector<double> slices;
};

template <typename Contestant, typename Table = Contestant>
std::vector<double> burst_of(const Row& row, size_t start) {
  return burst<Contestant>(kept<Table>(row.names), row, probes_for, start);
}

std::vector<Series> all_series() {
  std::vector<Series> all;
  for (const int threads : {1, 2}) {
    for (const uint32_t names : {10'000U, 1'000'000U}) {
      for (const bool zipf : {true, false}) {
        for (const int reads : {100, 95, 50}) {
          const Row row{names, zipf, reads, threads};
          all.push_back({"ours", row, burst_of<Ours>, {}});
          all.push_back({"sharded_mutex", row, burst_of<ShardedMutex>, {}});
#ifdef SLUICE_BENCH_URCU
          all.push_back({"cds_lfht", row, burst_of<Lfht>, {}});
#endif
          all.push_back({"private_maps", row, burst_of<PrivateMaps>, {}});
          if (reads == 100) {
            all.push_back({"ours_batched", row, burst_of<OursBatched, Ours>, {}});
          }
        }
      }
    }
  }
  return all;
}

// Rounds over all of them, so that a busy minute falls on all alike.
void run_slices(int rounds) {
  constexpr size_t kStride = 150'000;  // of the names, from round to round
  std::vector<Series> all = all_series();
  for (int round = 0; round < rounds; ++round) {
    for (Series& series : all) {
      const std::vector<double> more =
          series.burst(series.row, static_cast<size_t>(round) * kStride);
      series.slices.insert(series.slices.end(), more.begin(), more.end());
    }
  }
  for (const Series& series : all) {
    const Row& row = series.row;
    std::printf(
        "{\"contestant\": \"%s\", \"names\": %u, \"zipf\": %d, \"reads\": %d, "
        "\"threads\": %d, \"slices\": [",
        series.contestant, row.names, row.zipf ? 1 : 0, row.reads, row.threads);
    const char* comma = "";
    for (const double slice : series.slices) {
      std::printf("%s%.1f", comma, slice);
      comma = ", ";
    }
    std::printf("]}\n");
  }
}

}  // namespace
}  // namespace cache_bench

int main(int argc, char** argv) {
  // Where abseil was built with its assertions, each absl::Mutex looks for deadlocks, which costs
  // more than the lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#ifndef SLUICE_BENCH_URCU
  std::fprintf(stderr, "cds_lfht: not measured: liburcu-dev is not installed\n");
#endif
  if (argc == 3 && std::string_view(argv[1]) == "--slices") {
    const int rounds = std::atoi(argv[2]);
    if (rounds < 1) return 1;
    cache_bench::run_slices(rounds);
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
