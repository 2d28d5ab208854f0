#include "engine/ring/task.h"

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace sluice::internal {

void TaskPromiseBase::unhandled_exception() noexcept {
  try {
    throw;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "an exception left a task: %s\n", e.what());
  } catch (...) {
    std::fprintf(stderr, "an unknown exception left a task\n");
  }
  std::abort();
}

}  // namespace sluice::internal
