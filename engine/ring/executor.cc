#include "engine/ring/executor.h"

#include "engine/base/check.h"

namespace sluice {

constinit thread_local Executor* Executor::current_ = nullptr;

Executor& Executor::current() {
  CHECK(current_ != nullptr);
  return *current_;
}

bool Executor::run_one() {
  if (ready_.empty()) return false;
  const std::coroutine_handle<> handle = ready_.front();
  ready_.pop_front();
  handle.resume();
  return true;
}

}  // namespace sluice
