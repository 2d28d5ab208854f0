// Measuring two threads on a machine that has other work to do.
//
// A mean over a second says little there: most of the time only one of the two threads runs, and
// nobody contends with anybody. So both are pinned, begin slices of a thousand calls together,
// and a slice counts only when the scheduler took neither thread off its core in it and they did
// begin together. Real time is taken: what a thread waits for a lock, it pays. The same for one
// thread. Each burst of slices begins with calls that are not measured, so that it finds the caches
// as a steady user would.
#pragma once

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "bench/cache_contestants.h"

namespace cache_bench {

inline constexpr size_t kTurn = 64;  // calls between two announcements of a quiescent state
inline constexpr int kThreadsMax = 2;

struct Row {
  uint32_t names;
  bool zipf;
  int reads;  // of 100 calls; the others land a refreshed answer of a name that is there
  int threads;
};

// Where a thread is in its names.
struct Position {
  const Probes& probes;
  size_t at = 0;
  uint64_t owed = 0;  // hundredths of a write
  std::string_view next() { return probes[at++ % probes.size()]; }
};

// REQUIRES: calls is a multiple of kTurn.
template <typename Local>
uint64_t make_calls(Local& local, Position& position, size_t calls, int reads) {
  uint64_t sum = 0;
  for (size_t i = 0; i < calls; ++i) {
    const std::string_view name = position.next();
    position.owed += static_cast<uint64_t>(100 - reads);
    if (position.owed >= 100) {
      position.owed -= 100;
      local.write(position.at, name);
    } else {
      sum += local.read(name);
    }
    if (i % kTurn == kTurn - 1) local.rest();
  }
  return sum;
}

// Our cache through Cache::find_many, sixteen names a call.
class OursBatched {
 public:
  class Local : public Ours::Local {
   public:
    using Ours::Local::Local;
  };
};

inline uint64_t make_calls(OursBatched::Local& local, Position& position, size_t calls, int) {
  constexpr size_t kBatch = 16;
  std::array<resolver_cache::Key, kBatch> keys;
  std::array<resolver_cache::Hit, kBatch> hits;
  uint64_t sum = 0;
  for (size_t i = 0; i < calls; i += kBatch) {
    for (resolver_cache::Key& key : keys) key = {position.next(), RecordType::kMx};
    local.cache().find_many(local.reader(), keys, hits, kNow);
    for (const resolver_cache::Hit& found : hits) {
      if (found.entry != nullptr) sum += Ours::Local::use_entry(*found.entry);
    }
    if (i % kTurn == kTurn - kBatch) local.rest();
  }
  return sum;
}

class SliceTimer {
 public:
  void begin() {
    preemptions_ = preemptions();
    real_ = std::chrono::steady_clock::now();
  }
  void end() {
    took_ = std::chrono::steady_clock::now() - real_;
    preemptions_ = preemptions() - preemptions_;
  }
  std::chrono::steady_clock::time_point began() const { return real_; }
  std::chrono::nanoseconds took() const { return took_; }
  bool was_interrupted() const { return preemptions_ != 0; }

 private:
  static long preemptions() {
    rusage usage{};
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
  }
  std::chrono::steady_clock::time_point real_;
  std::chrono::nanoseconds took_{};
  long preemptions_ = 0;
};

inline void pin_to(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<size_t>(core), &cores);
  static_cast<void>(sched_setaffinity(0, sizeof cores, &cores));  // unpinned: fewer slices count
}

// Nanoseconds a call of each slice that counts, the mean of the threads'.
template <typename Contestant, typename Table, typename ProbesOf>
std::vector<double> burst(Table& table, const Row& row, const ProbesOf& probes_of, size_t start) {
  constexpr size_t kCalls = 1'024;
  constexpr size_t kWarmUpCalls = 32 * kCalls;
  constexpr int kSlices = 64;
  std::array<std::array<SliceTimer, kSlices>, kThreadsMax> timers;
  std::atomic<int> arrived{0};
  std::atomic<uint64_t> sink{0};
  const auto run = [&](int thread) {
    pin_to(thread);
    typename Contestant::Local local(table);
    Position position{probes_of(row.names, row.zipf, thread), start};
    uint64_t sum = make_calls(local, position, kWarmUpCalls, row.reads);
    for (int slice = 0; slice < kSlices; ++slice) {
      arrived.fetch_add(1);
      while (arrived.load() < (slice + 1) * row.threads) {
      }
      SliceTimer& timer = timers[static_cast<size_t>(thread)][static_cast<size_t>(slice)];
      timer.begin();
      sum += make_calls(local, position, kCalls, row.reads);
      timer.end();
    }
    sink += sum;
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < row.threads; ++thread) threads.emplace_back(run, thread);
  for (std::thread& thread : threads) thread.join();

  std::vector<double> counted;
  for (size_t slice = 0; slice < kSlices; ++slice) {
    std::chrono::nanoseconds took{};
    bool counts = true;
    for (size_t thread = 0; thread < static_cast<size_t>(row.threads); ++thread) {
      const SliceTimer& timer = timers[thread][slice];
      const auto apart = std::chrono::abs(timer.began() - timers[0][slice].began());
      counts = counts && !timer.was_interrupted() && apart < timer.took() / 10;
      took += timer.took();
    }
    if (counts) counted.push_back(static_cast<double>(took.count()) / row.threads / kCalls);
  }
  return counted;
}

}  // namespace cache_bench
