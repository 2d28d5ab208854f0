// Task<T>: a lazy coroutine with one awaiter.
//
// A task does nothing until it is awaited or spawned (Gate::spawn). When it ends, its awaiter goes
// to the shard's ready queue. Frames come from the executor's pool. A task belongs to the thread
// that made it. Exceptions do not leave a task: an escaping one aborts the process (an impossible
// state); errors are values. Destroying a task that is suspended is allowed only while no
// operation refers to its frame: operations live in slots, never in frames (COROUTINES.md).
#pragma once

#include <coroutine>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

#include "engine/base/check.h"
#include "engine/ring/executor.h"

namespace sluice {

template <typename T = void>
class [[nodiscard]] Task;

namespace internal {

struct TaskPromiseBase {
  std::coroutine_handle<> awaiter;

  static void* operator new(size_t bytes) { return Executor::current().frames().allocate(bytes); }
  static void operator delete(void* block) { FramePool::release(block); }

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> self) noexcept {
      if (self.promise().awaiter) Executor::current().schedule(self.promise().awaiter);
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  [[noreturn]] void unhandled_exception() noexcept;
};

template <typename T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  void return_value(T result) { value.emplace(std::move(result)); }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object();
  void return_void() {}
};

}  // namespace internal

template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  // co_await std::move(task) or co_await make_task(): starts it, resumes when it has ended.
  struct Awaiter {
    Handle handle;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> awaiter) {
      handle.promise().awaiter = awaiter;
      Executor::current().schedule(handle);
    }
    T await_resume() {
      if constexpr (!std::is_void_v<T>) return std::move(*handle.promise().value);
    }
  };
  Awaiter operator co_await() && {
    CHECK(handle_);
    return Awaiter{handle_};
  }

  // For Gate: the frame now belongs to the caller.
  Handle release() { return std::exchange(handle_, nullptr); }

 private:
  Handle handle_;
};

namespace internal {

template <typename T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

}  // namespace internal

// co_await yield(): lets everything else that is ready run first. Long loops call it once in a
// while (a thousand rows, sixteen KiB), so that a turn keeps its budget.
struct YieldAwaiter {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) { Executor::current().schedule(self); }
  void await_resume() const noexcept {}
};
inline YieldAwaiter yield() { return {}; }

// co_await yield_late(): lets all that is ready run first, what becomes ready on the way too; a
// turn of the loop resumes at least one such task, further ones only within its budget.
struct YieldLateAwaiter {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) { Executor::current().schedule_late(self); }
  void await_resume() const noexcept {}
};
inline YieldLateAwaiter yield_late() { return {}; }

}  // namespace sluice
