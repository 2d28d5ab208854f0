// A coroutine of the engine run to its end by a command: nothing else runs on its loop.
#pragma once

#include <optional>
#include <utility>

#include "engine/ring/gate.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"

namespace sluice::tools {

namespace internal {

template <typename T>
Task<> keep_result(Task<T> task, std::optional<T>& out) {
  T result = co_await std::move(task);
  out.emplace(std::move(result));
}

}  // namespace internal

// `make` is called once, within the executor's scope, and gives the Task<T>. Returns what the task
// returned. Thread: the loop's.
template <typename Make>
auto run_task(Loop& loop, Make make) {
  using T = decltype(std::move(make()).operator co_await().await_resume());
  std::optional<T> result;
  Gate gate;
  {
    const Executor::Scope scope(loop.executor());
    gate.spawn(internal::keep_result<T>(make(), result));
  }
  while (!result) loop.turn();
  while (gate.inside_count() > 0) loop.turn(loop.now());  // lets the frame go
  return std::move(*result);
}

}  // namespace sluice::tools
