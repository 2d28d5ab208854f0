// A limit of how many there may be at once, over all threads: connections.
//
// How: taken and allowed share a 64-bit word, so that no change of the limit slips between the look
// and the taking.
// THREAD. Any; sequentially consistent (shard_set.h tells why).
// ERRORS. Giving back what was not taken is a CHECK.
// LIMITS. None is granted before set_limit().
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/base/check.h"

namespace sluice {

class Slots {
 public:
  explicit Slots(uint32_t limit = 0) : word_(uint64_t{limit} << kLimitShift) {}

  // Whether there was one.
  bool take() {
    uint64_t word = word_.load();
    while (taken_of(word) < limit_of(word)) {
      if (word_.compare_exchange_weak(word, word + 1)) return true;
    }
    return false;
  }
  void give_back() { CHECK(taken_of(word_.fetch_sub(1)) > 0); }

  uint32_t taken() const { return taken_of(word_.load()); }
  uint32_t limit() const { return limit_of(word_.load()); }
  // Lower than taken(): those stay until they are given back, and none is granted until then.
  void set_limit(uint32_t limit) {
    uint64_t word = word_.load();
    while (!word_.compare_exchange_weak(word, uint64_t{limit} << kLimitShift | taken_of(word))) {
    }
  }

 private:
  static constexpr int kLimitShift = 32;
  static uint32_t taken_of(uint64_t word) { return static_cast<uint32_t>(word); }
  static uint32_t limit_of(uint64_t word) { return static_cast<uint32_t>(word >> kLimitShift); }

  std::atomic<uint64_t> word_;
};

}  // namespace sluice
