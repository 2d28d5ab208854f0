#include "engine/ring/gate.h"

#include <exception>
#include <utility>

namespace sluice {

// A coroutine that nobody awaits: it frees its own frame when it ends.
struct Gate::Detached {
  struct promise_type {
    static void* operator new(size_t bytes) { return Executor::current().frames().allocate(bytes); }
    static void operator delete(void* block) { FramePool::release(block); }
    Detached get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

Gate::Detached Gate::run_inside(Gate& gate, Task<> task) {
  co_await std::move(task);
  gate.leave();
}

void Gate::spawn(Task<> task) {
  if (closing_) return;
  ++inside_;
  const Detached detached = run_inside(*this, std::move(task));
  Executor::current().schedule(detached.handle);
}

void Gate::leave() {
  CHECK(inside_ > 0);
  if (--inside_ == 0 && closing_) empty_.notify();
}

Task<> Gate::close() {
  closing_ = true;
  while (inside_ > 0) co_await empty_;
}

}  // namespace sluice
