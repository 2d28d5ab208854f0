// What of the limits' state outlives a process: how empty each rate was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/time.h"

namespace sluice {

// Which of a scope's rates.
enum class LimitKind : uint8_t { kMessages, kConnections };
inline constexpr size_t kLimitKinds = 2;

struct SavedLimit {
  std::string key;  // of the scope
  LimitKind kind = LimitKind::kMessages;
  WallTime arrival{};  // from then on it is full
  friend bool operator==(const SavedLimit&, const SavedLimit&) = default;
};

struct SavedLimits {
  // Limits that are not named were empty then; without it they are full.
  std::optional<WallTime> drained;
  std::vector<SavedLimit> limits;
  friend bool operator==(const SavedLimits&, const SavedLimits&) = default;
};

// How the process before this one ended.
enum class LimitsStart : uint8_t {
  kFresh,    // there was none
  kClean,    // it wrote down its limits
  kCrashed,  // it did not: nothing is known of them
};

}  // namespace sluice
