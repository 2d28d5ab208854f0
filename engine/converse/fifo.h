// A first-in, first-out queue of bounded size, which grows to what was needed so far and then
// allocates no more. Not thread-safe. A push beyond the bound is a mistake of the program: CHECK.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "engine/base/check.h"

namespace sluice {

template <typename T>
class Fifo {
 public:
  explicit Fifo(size_t most) : most_(most) {}

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void push(const T& value) {
    CHECK(size_ < most_);
    if (size_ == entries_.size()) grow();
    entries_[place(size_)] = value;
    ++size_;
  }
  // REQUIRES: not empty.
  T pop() {
    CHECK(size_ > 0);
    const T value = entries_[first_];
    first_ = place(1);
    --size_;
    return value;
  }
  // The entry `index` places behind the front. REQUIRES: index < size().
  const T& operator[](size_t index) const {
    CHECK(index < size_);
    return entries_[place(index)];
  }
  const T& front() const { return (*this)[0]; }
  // REQUIRES: not empty.
  T& front() {
    CHECK(size_ > 0);
    return entries_[first_];
  }
  // Forgets all but the first `count` entries.
  void truncate(size_t count) {
    if (count < size_) size_ = count;
  }

 private:
  size_t place(size_t index) const {
    const size_t at = first_ + index;
    return at < entries_.size() ? at : at - entries_.size();
  }
  void grow() {
    std::rotate(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(first_),
                entries_.end());
    first_ = 0;
    entries_.resize(std::min(most_, std::max<size_t>(8, 2 * entries_.size())));
  }

  const size_t most_;
  std::vector<T> entries_;
  size_t first_ = 0;
  size_t size_ = 0;
};

}  // namespace sluice
