// Counts of durations, from which quantiles are read. Not thread-safe; copied and merged by value.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "engine/base/time.h"

namespace sluice {

// Four counts for each power of two of microseconds, up to about 18 hours: a quantile is at most a
// quarter above the truth.
class LatencyCounts {
 public:
  void add(Duration duration) {
    ++counts_[place_of(duration)];
    ++total_;
  }
  void merge(const LatencyCounts& other) {
    for (size_t i = 0; i < kPlaces; ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
  }
  uint64_t total() const { return total_; }
  // The least upper bound of the counts below which `share` (0 to 1) of all lie; 0 of none.
  Duration quantile(double share) const {
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_));
    uint64_t seen = 0;
    for (size_t i = 0; i < kPlaces; ++i) {
      seen += counts_[i];
      if (seen > 0 && seen >= wanted) return upper_end(i);
    }
    return Duration(0);
  }

 private:
  static constexpr size_t kPlaces = 4 * 36;

  static size_t place_of(Duration duration) {
    const int64_t count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
    const auto micros = static_cast<uint64_t>(count < 0 ? 0 : count);
    if (micros < 4) return static_cast<size_t>(micros);
    const auto power = static_cast<size_t>(std::bit_width(micros)) - 1;  // at least 2
    const size_t quarter = micros >> (power - 2) & 3;
    const size_t place = 4 * (power - 1) + quarter;
    return place < kPlaces ? place : kPlaces - 1;
  }
  static Duration upper_end(size_t place) {
    if (place < 4) return std::chrono::microseconds(place + 1);
    const size_t power = place / 4 + 1;
    return std::chrono::microseconds((4 + place % 4 + 1) << (power - 2));
  }

  std::array<uint64_t, kPlaces> counts_{};
  uint64_t total_ = 0;
};

}  // namespace sluice
