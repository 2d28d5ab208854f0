#include "engine/model/state.h"

namespace sluice {

std::optional<State> parse_state(std::string_view name) {
  for (size_t i = 0; i < kStates; ++i) {
    if (kStateNames[i] == name) return static_cast<State>(i);
  }
  return std::nullopt;
}

}  // namespace sluice
