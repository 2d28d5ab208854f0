// What the decisions of engine/schedule cost a message: not the network, not the memory traffic of
// a real shard. Budget (design, "Where the time goes"): row, pace, window, verdict, counters 1 us.
//
// ten_thousand_sites and nothing_permitted are the scheduling of a shard with a limit at each of
// 10,000 sites and a million rows waiting, on a pretended clock; `per_message` is CPU time. A
// wake-up that finds no permit is an error of the benchmark.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "engine/base/random.h"
#include "engine/ring/task.h"
#include "engine/ring/timer.h"
#include "engine/schedule/due_queue.h"
#include "engine/schedule/gcra.h"
#include "engine/schedule/permit_queue.h"
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

// One job with so many domains, or so many jobs.
void site_queue_domains(benchmark::State& state) {
  const TickClock clock(Instant(0s));
  SiteQueue queue;
  const auto domains = static_cast<uint64_t>(state.range(0));
  for (uint64_t domain = 0; domain < domains; ++domain) queue.add({0, 0, 1, 100}, 5, domain);
  uint64_t domain = 0;
  for (auto _ : state) {
    const auto pick = queue.next(clock, Instant(1s));
    queue.add(pick->cursor, 5, domain);
    if (++domain == domains) domain = 0;
  }
}
BENCHMARK(site_queue_domains)->Arg(1)->Arg(1'000)->Arg(100'000);

void site_queue_jobs(benchmark::State& state) {
  const TickClock clock(Instant(0s));
  SiteQueue queue;
  const auto jobs = static_cast<JobIndex>(state.range(0));
  for (JobIndex job = 0; job < jobs; ++job) {
    for (uint32_t block = 0; block < 3; ++block) queue.add({0, block, job, 100}, 5, block);
  }
  for (auto _ : state) {
    const auto pick = queue.next(clock, Instant(1s));
    queue.add(pick->cursor, 5, pick->cursor.block);
  }
}
BENCHMARK(site_queue_jobs)->Arg(1)->Arg(100)->Arg(5'000);

// Lanes that stand in line for one rate, all of them always.
void permit_queue_turn(benchmark::State& state) {
  Gcra limit({1'000'000, std::chrono::seconds(1), 1});
  PermitQueue queue;
  std::vector<PermitQueue::Waiter> lanes(static_cast<size_t>(state.range(0)));
  Instant now(1h);
  for (auto& lane : lanes) queue.wait(lane, now);
  for (auto _ : state) {
    now = queue.next_wake();
    PermitQueue::Waiter* woken = queue.wake(now);
    if (woken == nullptr || !limit.take(now).granted) {
      state.SkipWithError("woken for nothing");
      break;
    }
    queue.wait(*woken, limit.peek(now));
  }
}
BENCHMARK(permit_queue_turn)->Arg(10)->Arg(10'000);

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

// Sites with a rate each, as many coroutines, one timer a site: what a lane does to hand out rows,
// without reading them.
class Sites {
 public:
  static constexpr uint32_t kSites = 10'000;
  static constexpr uint32_t kRowsASite = 100;  // two jobs at five domains, ten rows each

  // Their first permits are spread over `spread`.
  Sites(const Rate& rate, Duration spread) {
    Executor::Scope scope(executor_);
    Random random(1);
    for (uint32_t i = 0; i < kSites; ++i) {
      Site& site = *sites_.emplace_back(std::make_unique<Site>(rate));
      for (uint32_t block = 0; block < kRowsASite / 10; ++block) {
        site.queue.add({i, block, block % 2, 10}, 5, block / 2);
      }
      const uint64_t later = random.below(static_cast<uint64_t>(spread.count()));
      site.timer.arm(wheel_, now_ + Duration(static_cast<int64_t>(later)));
      frames_.push_back(run(site).release());
      executor_.schedule(frames_.back());
    }
    while (executor_.run_one()) {
    }
  }

  ~Sites() {
    Executor::Scope scope(executor_);
    ending_ = true;
    for (const auto& site : sites_) {
      site->timer.disarm();
      site->signal.notify();
    }
    while (executor_.run_one()) {
    }
    for (const auto& frame : frames_) frame.destroy();
  }
  Sites(const Sites&) = delete;
  Sites& operator=(const Sites&) = delete;

  // Sleeps until a timer may be due and does what there is to do.
  void turn() {
    Executor::Scope scope(executor_);
    now_ = wheel_.next_wake();
    wheel_.advance(now_);
    while (executor_.run_one()) {
    }
    ++turns_;
  }

  Instant now() const { return now_; }
  Instant next_wake() const { return wheel_.next_wake(); }
  uint64_t turns() const { return turns_; }
  uint64_t wakes() const { return wakes_; }
  uint64_t messages() const { return messages_; }
  uint64_t wakes_in_vain() const { return in_vain_; }

 private:
  struct Site {
    explicit Site(const Rate& rate) : limit(rate) {}
    SiteQueue queue;
    Gcra limit;
    Signal signal;
    Timer timer{signal};
    Pick block;
    uint32_t rows_left = 0;
  };

  Task<> run(Site& site) {
    co_await site.signal;
    while (!ending_) {
      ++wakes_;
      uint32_t sent = 0;
      Permit permit = site.limit.take(now_);
      for (; permit.granted; permit = site.limit.take(now_)) {
        if (site.rows_left == 0) read_block(site);
        --site.rows_left;
        ++sent;
      }
      messages_ += sent;
      if (sent == 0) ++in_vain_;
      site.timer.arm(wheel_, permit.at);
      co_await site.signal;
    }
  }

  // The next block, in place of which another comes, so that as many rows wait as before.
  void read_block(Site& site) {
    site.block = *site.queue.next(clock_, now_);
    site.rows_left = site.block.cursor.rows;
    site.queue.add(site.block.cursor, 5, site.block.cursor.block / 2);
  }

  Executor executor_{256 << 20};
  Instant now_{1h};
  const TickClock clock_{now_};
  TimerWheel wheel_{now_};
  std::vector<std::unique_ptr<Site>> sites_;
  std::vector<Task<>::Handle> frames_;
  uint64_t turns_ = 0;
  uint64_t wakes_ = 0;
  uint64_t messages_ = 0;
  uint64_t in_vain_ = 0;
  bool ending_ = false;
};

// The argument: messages a minute and site.
void ten_thousand_sites(benchmark::State& state) {
  const Rate rate{static_cast<uint64_t>(state.range(0)), std::chrono::minutes(1), 1};
  Sites sites(rate, rate.period / static_cast<int64_t>(rate.amount));
  const uint64_t before = sites.messages();
  const uint64_t turns_before = sites.turns();
  for (auto _ : state) sites.turn();
  if (sites.wakes_in_vain() > 0) state.SkipWithError("a wake-up without a permit");
  const auto messages = static_cast<double>(sites.messages() - before);
  using benchmark::Counter;
  state.counters["per_message"] = Counter(messages, Counter::kIsRate | Counter::kInvert);
  state.counters["messages_a_turn"] = messages / static_cast<double>(sites.turns() - turns_before);
  state.counters["wakes_in_vain"] = static_cast<double>(sites.wakes_in_vain());
}
BENCHMARK(ten_thousand_sites)->Arg(1)->Arg(60)->Arg(600)->Arg(6'000);

// All have used their one permit of the day; the twelve hours after, in which none comes. `turns`
// are those in which the wheel only deals out what it holds; `wakes` are sites that ran.
void nothing_permitted(benchmark::State& state) {
  uint64_t turns = 0;
  uint64_t wakes = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto sites = std::make_unique<Sites>(Rate{1, std::chrono::hours(24), 1}, 1s);
    while (sites->messages() < Sites::kSites) sites->turn();
    const uint64_t turns_before = sites->turns();
    const uint64_t wakes_before = sites->wakes();
    const Instant end = sites->now() + 12h;
    state.ResumeTiming();
    while (sites->next_wake() <= end) sites->turn();
    state.PauseTiming();
    turns += sites->turns() - turns_before;
    wakes += sites->wakes() - wakes_before;
    sites.reset();
    state.ResumeTiming();
  }
  if (wakes > 0) state.SkipWithError("a site ran while nothing was permitted");
  state.counters["turns"] =
      benchmark::Counter(static_cast<double>(turns), benchmark::Counter::kAvgIterations);
  state.counters["wakes"] = static_cast<double>(wakes);
}
BENCHMARK(nothing_permitted)->Iterations(3)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace sluice
