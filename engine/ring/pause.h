// A pause that can be cut short.
#pragma once

#include "engine/ring/loop.h"
#include "engine/ring/signal.h"
#include "engine/ring/timer.h"

namespace sluice {

// A member of whatever waits (not a local of a coroutine that may be destroyed while waiting).
//   Pause pause(loop);
//   co_await pause.until(deadline);        // resumes at the deadline or when cut() was called
//   if (pause.was_cut()) ...
// One waiter at a time. One shard's.
class Pause {
 public:
  explicit Pause(Loop& loop) : loop_(loop), timer_(signal_) {}

  Signal& until(Instant deadline) {
    timer_.arm(loop_.timers(), deadline);
    return signal_;
  }
  Signal& lasting(Duration duration) { return until(loop_.now() + duration); }
  // Also cuts the next pause when nobody waits now.
  void cut() {
    cut_ = true;
    signal_.notify();
  }
  bool was_cut() const { return cut_; }

 private:
  Loop& loop_;
  Signal signal_;
  Timer timer_;
  bool cut_ = false;
};

}  // namespace sluice
