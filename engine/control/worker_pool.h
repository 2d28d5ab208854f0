// The threads that answer requests: httplib's queue with a bound.
//
// enqueue() waits while `waiting_max` tasks wait, so that further connections stay in the kernel's
// backlog; what a task throws ends the task alone. Any thread.
#pragma once

#include <httplib.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/log.h"

namespace sluice {

class WorkerPool final : public httplib::TaskQueue {
 public:
  WorkerPool(size_t workers, size_t waiting_max) : waiting_max_(waiting_max) {
    for (size_t i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  ~WorkerPool() override { shutdown(); }

  void enqueue(std::function<void()> task) override {
    std::unique_lock<std::mutex> lock(mutex_);
    room_.wait(lock, [this] { return tasks_.size() < waiting_max_; });
    tasks_.push_back(std::move(task));
    work_.notify_one();
  }

  // Runs what waits, then ends the threads. Idempotent.
  void shutdown() override {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ending_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  void work() {
    while (true) {
      std::function<void()> task;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        work_.wait(lock, [this] { return !tasks_.empty() || ending_; });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      room_.notify_one();
      try {
        task();
      } catch (const std::exception& error) {
        log(LogLevel::kWarning, std::string("an admin request failed: ") + error.what());
      }
    }
  }

  const size_t waiting_max_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable room_;
  std::deque<std::function<void()>> tasks_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice
