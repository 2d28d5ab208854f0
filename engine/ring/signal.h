// A flag that one coroutine waits for.
#pragma once

#include <coroutine>

#include "engine/base/check.h"
#include "engine/ring/executor.h"

namespace sluice {

// notify() sets the flag and makes the waiter ready; co_await takes the flag (clears it) or waits
// for it. Several notifies before the waiter runs count as one: after waking, look at the state
// that the signal stands for, in a loop. At most one waiter. Must outlive its waiter. One shard's.
class Signal {
 public:
  Signal() = default;
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  ~Signal() { CHECK(!waiter_); }

  void notify() {
    set_ = true;
    if (waiter_) {
      Executor::current().schedule(waiter_);
      waiter_ = nullptr;
    }
  }
  bool is_set() const { return set_; }

  struct Awaiter {
    Signal* signal;
    bool await_ready() const noexcept { return signal->set_; }
    void await_suspend(std::coroutine_handle<> waiter) {
      CHECK(!signal->waiter_);
      signal->waiter_ = waiter;
    }
    void await_resume() noexcept { signal->set_ = false; }
  };
  Awaiter operator co_await() { return Awaiter{this}; }

 private:
  std::coroutine_handle<> waiter_;
  bool set_ = false;
};

}  // namespace sluice
