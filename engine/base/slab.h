// A bounded pool of objects with stable addresses and generation-checked handles.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "engine/base/check.h"

namespace sluice {

// Names an object of a Slab. A handle of an object that is gone is recognised as such.
struct SlabHandle {
  uint32_t index = 0;
  uint32_t generation = 0;  // 0: no object
  friend bool operator==(const SlabHandle&, const SlabHandle&) = default;
};

// Holds at most `capacity` objects of T; memory is taken in chunks of 64 as needed and kept.
// Not thread-safe: one shard's. Objects still alive when the slab dies are destroyed with it.
template <typename T>
class Slab {
 public:
  explicit Slab(uint32_t capacity) : capacity_(capacity) {}
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;
  ~Slab() {
    for (uint32_t i = 0; i < made_; ++i) {
      if (entry(i).alive) destroy(entry(i));
    }
  }

  // Makes an object; an empty handle when `capacity` objects are alive.
  template <typename... Args>
  SlabHandle make(Args&&... args) {
    uint32_t index = free_;
    if (index != kNone) {
      free_ = entry(index).next_free;
    } else {
      if (made_ == capacity_) return {};
      if (made_ % kChunk == 0) chunks_.push_back(std::make_unique<Entry[]>(kChunk));
      index = made_++;
    }
    Entry& e = entry(index);
    ::new (static_cast<void*>(e.storage)) T(std::forward<Args>(args)...);
    e.alive = true;
    if (++e.generation == 0) e.generation = 1;
    ++size_;
    return {index, e.generation};
  }

  // Null when the object is gone.
  T* find(SlabHandle handle) {
    if (handle.generation == 0 || handle.index >= made_) return nullptr;
    Entry& e = entry(handle.index);
    return e.alive && e.generation == handle.generation ? object(e) : nullptr;
  }

  // REQUIRES: find(handle) is not null.
  void erase(SlabHandle handle) {
    CHECK(find(handle) != nullptr);
    Entry& e = entry(handle.index);
    destroy(e);
    e.next_free = free_;
    free_ = handle.index;
    --size_;
  }

  // Calls visit(object) for each that is alive, by index; it must not make or erase any.
  template <typename Visit>
  void for_each(Visit visit) {
    for (uint32_t i = 0; i < made_; ++i) {
      if (entry(i).alive) visit(*object(entry(i)));
    }
  }

  uint32_t size() const { return size_; }
  uint32_t capacity() const { return capacity_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kChunk = 64;
  struct Entry {
    alignas(T) std::byte storage[sizeof(T)];
    uint32_t generation = 0;
    uint32_t next_free = kNone;
    bool alive = false;
  };

  Entry& entry(uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  static T* object(Entry& e) { return std::launder(reinterpret_cast<T*>(e.storage)); }
  static void destroy(Entry& e) {
    object(e)->~T();
    e.alive = false;
  }

  const uint32_t capacity_;
  uint32_t made_ = 0;
  uint32_t size_ = 0;
  uint32_t free_ = kNone;
  std::vector<std::unique_ptr<Entry[]>> chunks_;
};

}  // namespace sluice
