// What the decisions of engine/schedule cost a message: not the network, not the memory traffic of
// a real shard. Budget (design, "Where the time goes"): row, pace, window, verdict, counters 1 us.
#include <benchmark/benchmark.h>

#include "engine/base/random.h"
#include "engine/schedule/due_queue.h"
#include "engine/schedule/gcra.h"
#include "engine/schedule/site_queue.h"

namespace sluice {
namespace {

void gcra_take(benchmark::State& state) {
  Gcra limit({500'000, std::chrono::hours(1), 1});
  Instant now(1h);
  for (auto _ : state) {
    now += std::chrono::milliseconds(4);
    benchmark::DoNotOptimize(limit.take(now));
  }
}
BENCHMARK(gcra_take);

void gcra_take_shared(benchmark::State& state) {
  static Gcra limit({1'000'000'000, std::chrono::seconds(1), 1'000});
  Instant now(1h);
  for (auto _ : state) {
    now += Duration(100);
    benchmark::DoNotOptimize(limit.take(now));
  }
}
BENCHMARK(gcra_take_shared)->Threads(2)->UseRealTime();

void site_queue_cursor(benchmark::State& state) {
  const TickClock clock(Instant(0s));
  SiteQueue queue;
  const auto jobs = static_cast<uint32_t>(state.range(0));
  for (uint32_t job = 0; job < jobs; ++job) {
    for (uint32_t block = 0; block < 10; ++block) queue.add({job, block, job, 100}, 5);
  }
  for (auto _ : state) {
    const auto pick = queue.next(clock, Instant(1s));
    queue.add(pick->cursor, 5);
  }
}
BENCHMARK(site_queue_cursor)->Arg(1)->Arg(20);

void due_push_pop(benchmark::State& state) {
  Random random(1);
  DueQueue queue;
  for (int64_t i = 0; i < state.range(0); ++i) {
    queue.push(DueRow::make(1, 1, 1, static_cast<uint32_t>(random.below(1'000'000)), 0));
  }
  for (auto _ : state) {
    const auto row = queue.pop_due(UINT32_MAX);
    queue.push(
        DueRow::make(1, 1, 1, row->due_tick + static_cast<uint32_t>(random.below(100'000)), 0));
  }
}
BENCHMARK(due_push_pop)->Arg(1'000)->Arg(1'000'000);

}  // namespace
}  // namespace sluice
