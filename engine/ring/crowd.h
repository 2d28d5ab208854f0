// A place where several coroutines wait for the same thing.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/ring/loop.h"
#include "engine/ring/pause.h"
#include "engine/ring/task.h"

namespace sluice {

// After a wait look again whether the thing is there: all are woken at once, in the order in which
// they came, or the first alone, and a deadline wakes too. Must outlive its waiters. One shard's.
class Crowd {
 public:
  explicit Crowd(Loop& loop) : loop_(loop) {}
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  // Waits from the call on, not only from the first step of the task: a notification between the
  // two is not lost. REQUIRES: awaited at once.
  Task<> wait(Instant deadline = kForever) {
    auto pause = std::make_unique<Pause>(loop_);
    waiting_.push_back(pause.get());
    return wait_on(std::move(pause), deadline);
  }
  void notify_all() {
    for (Pause* pause : waiting_) pause->cut();
  }
  // For one thing that one waiter can use: whoever is woken uses it up or finds it gone.
  void notify_one() {
    for (Pause* pause : waiting_) {
      if (pause->was_cut()) continue;
      pause->cut();
      return;
    }
  }

 private:
  Task<> wait_on(std::unique_ptr<Pause> pause, Instant deadline) {
    co_await pause->until(deadline);
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), pause.get()));
  }

  Loop& loop_;
  std::vector<Pause*> waiting_;
};

}  // namespace sluice
