// A place where several coroutines wait for the same thing.
#pragma once

#include <algorithm>
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

  Task<> wait(Instant deadline = kForever) {
    Pause pause(loop_);
    waiting_.push_back(&pause);
    co_await pause.until(deadline);
    waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &pause));
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
  Loop& loop_;
  std::vector<Pause*> waiting_;
};

}  // namespace sluice
