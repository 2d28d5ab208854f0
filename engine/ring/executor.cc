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

bool Executor::ready_late() {
  if (late_.empty()) return false;
  ready_.push_back(late_.front());
  late_.pop_front();
  return true;
}

}  // namespace sluice
