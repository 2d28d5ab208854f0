// The ready queue of a shard: what may run, in the order in which it became able to.
//
// A coroutine is resumed from here and from nowhere else: completing operations, firing timers and
// finishing tasks only put handles into the queue (no symmetric transfer, no recursion, bounded
// stack; see COROUTINES.md). One executor a shard; used only on the shard's thread.
#pragma once

#include <coroutine>
#include <cstddef>
#include <deque>

#include "engine/ring/frame_pool.h"

namespace sluice {

class Executor {
 public:
  explicit Executor(size_t frame_bytes_max) : frames_(frame_bytes_max) {}
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Makes this the executor of the calling thread until the guard dies: needed around whatever
  // starts, resumes or destroys coroutines. The simulation switches between shards so.
  class Scope {
   public:
    explicit Scope(Executor& executor) : before_(current_) { current_ = &executor; }
    ~Scope() { current_ = before_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Executor* before_;
  };
  // True when the calling thread runs `executor` now.
  static bool is_current(const Executor& executor) { return current_ == &executor; }
  // REQUIRES: a Scope is alive on this thread.
  static Executor& current();

  void schedule(std::coroutine_handle<> handle) { ready_.push_back(handle); }
  bool has_ready() const { return !ready_.empty(); }
  // Resumes the handle at the front. False when there is none.
  bool run_one();

  // For long work that others are not to wait behind: resumed when nothing else is ready.
  void schedule_late(std::coroutine_handle<> handle) { late_.push_back(handle); }
  bool has_late() const { return !late_.empty(); }
  // Moves the one that has waited longest behind what is ready. False when there is none.
  bool ready_late();

  FramePool& frames() { return frames_; }

 private:
  static constinit thread_local Executor* current_;

  FramePool frames_;
  std::deque<std::coroutine_handle<>> ready_;
  std::deque<std::coroutine_handle<>> late_;
};

}  // namespace sluice
