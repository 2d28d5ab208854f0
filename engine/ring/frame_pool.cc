#include "engine/ring/frame_pool.h"

#include <cstdio>
#include <cstdlib>
#include <new>

#include "engine/base/check.h"

namespace sluice {

// In front of every frame; as long as the alignment, so that the frame behind it is aligned.
struct alignas(64) FramePool::Header {
  FramePool* pool;
  Header* next;
  size_t bytes;  // with this header
};

namespace {
constexpr std::align_val_t kAlignment{64};
}

FramePool::~FramePool() {
  CHECK(frames_in_use_ == 0);
  for (Header* block : free_) {
    while (block != nullptr) {
      Header* next = block->next;
      ::operator delete(block, kAlignment);
      block = next;
    }
  }
}

void* FramePool::allocate(size_t bytes) {
  const size_t whole = (bytes + sizeof(Header) + kStep - 1) / kStep * kStep;
  const size_t size_class = whole / kStep;
  if (bytes_in_use_ + whole > bytes_max_) {
    std::fprintf(stderr, "coroutine frames exceed Limits::frame_bytes_per_shard (%zu octets)\n",
                 bytes_max_);
    std::abort();
  }
  Header* block = nullptr;
  if (size_class < kClasses && free_[size_class] != nullptr) {
    block = free_[size_class];
    free_[size_class] = block->next;
  } else {
    block = static_cast<Header*>(::operator new(whole, kAlignment));
  }
  block->pool = this;
  block->next = nullptr;
  block->bytes = whole;
  bytes_in_use_ += whole;
  ++frames_in_use_;
  return block + 1;
}

void FramePool::release(void* frame) {
  if (frame == nullptr) return;
  Header* block = static_cast<Header*>(frame) - 1;
  FramePool& pool = *block->pool;
  pool.bytes_in_use_ -= block->bytes;
  --pool.frames_in_use_;
  const size_t size_class = block->bytes / kStep;
  if (size_class < kClasses) {
    block->next = pool.free_[size_class];
    pool.free_[size_class] = block;
  } else {
    ::operator delete(block, kAlignment);
  }
}

}  // namespace sluice
