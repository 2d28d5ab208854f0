// Closing as a structure: who is inside, and the wait until all have left (after Seastar's gate).
#pragma once

#include <cstdint>

#include "engine/ring/signal.h"
#include "engine/ring/task.h"

namespace sluice {

// A service owns a gate; every task that uses the service runs inside it. close() asks all to
// leave (closing() turns true: loops look at it, waits are cut through their own signals) and
// waits until the last is out. The destructor CHECKs that nobody is inside. One shard's.
class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { CHECK(inside_ == 0); }

  // Runs a task inside the gate; its frame frees itself at the end. Starts at the next turn of the
  // ready queue. A closed gate refuses: the task is dropped without running.
  void spawn(Task<> task);
  bool closing() const { return closing_; }
  uint32_t inside_count() const { return inside_; }
  // At most one coroutine may wait.
  Task<> close();

 private:
  struct Detached;
  static Detached run_inside(Gate& gate, Task<> task);
  void leave();

  uint32_t inside_ = 0;
  bool closing_ = false;
  Signal empty_;
};

}  // namespace sluice
