// A lock for what lasts some tens of nanoseconds.
//
// PURPOSE. Who finds it taken looks again for a few microseconds before going to sleep: to sleep
// and be woken costs a hundred times what is waited for. A holder that was descheduled is slept
// for. Lockable as std::lock_guard and std::unique_lock want it. THREAD: any. BUGS: not fair.
#pragma once

#include <atomic>
#include <cstdint>

namespace resolver_cache {

class ShortLock {
 public:
  ShortLock() = default;
  ShortLock(const ShortLock&) = delete;
  ShortLock& operator=(const ShortLock&) = delete;

  bool try_lock() {
    int expected = kFree;
    return state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  void lock() {
    if (!try_lock()) lock_slowly();
  }
  void unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kAwaited) state_.notify_one();
  }

 private:
  static constexpr int kFree = 0;
  static constexpr int kHeld = 1;
  static constexpr int kAwaited = 2;  // held, and somebody may sleep

  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
  void lock_slowly() {
    constexpr int kLooks = 100;
    for (int i = 0; i < kLooks; ++i) {
      relax();
      if (state_.load(std::memory_order_relaxed) == kFree && try_lock()) return;
    }
    while (state_.exchange(kAwaited, std::memory_order_acquire) != kFree) {
      state_.wait(kAwaited, std::memory_order_relaxed);
    }
  }

  std::atomic<int> state_{kFree};
};

}  // namespace resolver_cache
