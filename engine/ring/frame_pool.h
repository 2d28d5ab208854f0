// Memory of coroutine frames: size classes of 64-octet steps, aligned to 64, bounded in total.
//
// One shard's; not thread-safe. A frame is given back to the pool it came from. Freed blocks are
// kept for frames of the same size. At the limit the process aborts with a message that names
// Limits::frame_bytes_per_shard: admission reserves connections before coroutines start, so this
// cannot happen unless the program is wrong.
#pragma once

#include <array>
#include <cstddef>

namespace sluice {

class FramePool {
 public:
  explicit FramePool(size_t bytes_max) : bytes_max_(bytes_max) {}
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  // REQUIRES: every frame was given back.
  ~FramePool();

  void* allocate(size_t bytes);
  // Finds the pool from the block itself; null is ignored.
  static void release(void* block);

  size_t bytes_in_use() const { return bytes_in_use_; }
  size_t frames_in_use() const { return frames_in_use_; }

 private:
  struct Header;
  static constexpr size_t kStep = 64;
  static constexpr size_t kClasses = 128;  // frames up to 8 KiB are pooled, larger ones are not

  const size_t bytes_max_;
  size_t bytes_in_use_ = 0;
  size_t frames_in_use_ = 0;
  std::array<Header*, kClasses> free_{};
};

}  // namespace sluice
