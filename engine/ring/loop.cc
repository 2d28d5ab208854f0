#include "engine/ring/loop.h"

#include <algorithm>

namespace sluice {

Loop::Loop(Io& io, const LoopOptions& options)
    : io_(io),
      budget_(options.turn_budget),
      executor_(options.frame_bytes_max),
      timers_(io.now()),
      mailbox_(io, options.mailbox_entries) {}

void Loop::turn(Instant until) {
  const Executor::Scope scope(executor_);
  ++stats_.turns;
  if (executor_.has_ready() || executor_.has_late() || !mailbox_.empty()) {
    until = io_.now();
  } else {
    until = std::min(until, timers_.next_wake());
  }
  if (observer_ != nullptr) observer_->before_wait();
  io_.submit_and_wait(until);
  if (observer_ != nullptr) observer_->after_wait();
  timers_.advance(io_.now());
  stats_.messages += mailbox_.run_all();
  const Instant end = io_.now() + budget_;
  run_ready(end);
  // At least one of those that wait behind all others, or they never came up under load.
  bool late = executor_.ready_late();
  while (late) {
    run_ready(end);
    late = !executor_.has_ready() && io_.precise_now() < end && executor_.ready_late();
  }
}

void Loop::run_ready(Instant end) {
  uint32_t since_look = 0;
  while (executor_.run_one()) {
    ++stats_.resumed;
    // A look at the clock costs more than most tasks: once in sixteen is often enough.
    if (++since_look == 16) {
      since_look = 0;
      if (io_.precise_now() >= end) {
        ++stats_.cut_by_budget;
        return;
      }
    }
  }
}

}  // namespace sluice
