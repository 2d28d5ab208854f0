// One thread's event loop: Io, timers, ready queue, mailbox, tied into turns.
//
// The rules of a turn, in order:
//   1. wait for completions: not at all when something is to run, else until the next timer;
//   2. complete operations, fire timers, run the mailbox: all three only make tasks ready;
//   3. resume ready tasks until none is left or the budget is used up;
//   4. then tasks that wait behind all others (yield_late), one at the least, more within the
//      budget.
// Nothing is done in direct reaction to an event; what a turn does not get to waits for the next.
//
// Thread: everything but mailbox().post() belongs to the thread that runs the turns.
#pragma once

#include <cstdint>

#include "engine/base/time.h"
#include "engine/ring/executor.h"
#include "engine/ring/io.h"
#include "engine/ring/mailbox.h"
#include "engine/ring/timer.h"

namespace sluice {

// Told around each wait: for what must not be held while the thread may block.
class WaitObserver {
 public:
  virtual ~WaitObserver() = default;
  virtual void before_wait() = 0;
  virtual void after_wait() = 0;
};

struct LoopOptions {
  size_t frame_bytes_max = 256UL << 20;
  uint32_t mailbox_entries = 1U << 16;
  Duration turn_budget = std::chrono::microseconds(500);
};

class Loop {
 public:
  // `io` outlives the loop.
  Loop(Io& io, const LoopOptions& options);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  Io& io() { return io_; }
  TimerWheel& timers() { return timers_; }
  Executor& executor() { return executor_; }
  Mailbox& mailbox() { return mailbox_; }
  Instant now() const { return io_.now(); }

  // At most one; null for none. It outlives the turns.
  void observe_waits(WaitObserver* observer) { observer_ = observer; }

  // One turn; waits at most until `until`. Opens the executor's scope itself.
  void turn(Instant until = kForever);
  // What the last turn did, for metrics: tasks resumed, and whether the budget cut it.
  struct TurnStats {
    uint64_t turns = 0;
    uint64_t resumed = 0;
    uint64_t cut_by_budget = 0;
    uint64_t messages = 0;
  };
  const TurnStats& stats() const { return stats_; }

 private:
  // Until none is ready or `end` has passed.
  void run_ready(Instant end);

  Io& io_;
  const Duration budget_;
  Executor executor_;
  TimerWheel timers_;
  Mailbox mailbox_;
  TurnStats stats_;
  WaitObserver* observer_ = nullptr;
};

}  // namespace sluice
