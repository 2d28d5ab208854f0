// Several limits at once.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>

#include "engine/base/time.h"
#include "engine/schedule/gcra.h"

namespace sluice {

// Who denied, and when it is granted.
struct Denial {
  size_t which = 0;
  Instant at{};
};

// Takes one permit of each limit, or none of any: a message that is held up by one limit costs the
// others nothing. The scarcest goes first: it is the one that will deny.
// Any thread; the limits may be shared with others.
class Permits {
 public:
  static constexpr size_t kMost = 4;

  // Nothing: all are granted, until give_back() or the next take(). Of several that deny, the one
  // that grants last. REQUIRES: at most kMost limits, in order of scarcity; null ones are no
  // limits.
  std::optional<Denial> take(std::span<Gcra* const> limits, Instant now);
  // What the last take() granted was not used.
  void give_back(Instant now);

 private:
  std::array<Gcra*, kMost> limits_{};
  std::array<Permit, kMost> permits_{};
  size_t count_ = 0;
};

}  // namespace sluice
