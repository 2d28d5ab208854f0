// The ten states of a recipient: every row of a list is in exactly one, at any moment.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

enum class State : uint8_t {
  kWaiting,     // not attempted yet
  kDeferred,    // attempted, waits for its next attempt
  kInFlight,    // handed to a connection, or answered and not durable yet
  kDelivered,   // final from here on
  kBounced,     // refused for good
  kExpired,     // its lifetime ended before anybody accepted it
  kCancelled,   // the job was cancelled
  kRejected,    // the row itself is bad: never attempted
  kSuppressed,  // on a suppression list: never attempted
  kDuplicate,   // the address stands earlier in the list: never attempted
};
inline constexpr size_t kStates = 10;

inline constexpr bool is_final(State state) { return state >= State::kDelivered; }

// The words of reports, status and metrics.
inline constexpr std::array<std::string_view, kStates> kStateNames = {
    "waiting", "deferred",  "in_flight", "delivered",  "bounced",
    "expired", "cancelled", "rejected",  "suppressed", "duplicate"};
inline constexpr std::string_view name_of(State state) {
  return kStateNames[static_cast<size_t>(state)];
}
std::optional<State> parse_state(std::string_view name);

}  // namespace sluice
