// A verdict as the event record that other programs read: one JSON object, in KumoMTA's field
// names where it has them.
//
// Pure; any thread. `id` is the same whenever the same verdict is written again: readers drop twins
// by it. Octets of the receiver that are not UTF-8 appear as \xhh. Fields that are not known are
// left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/record/entry.h"

namespace sluice {

// What the journal does not say of a row and its job. Views; empty: not known, left out.
struct EventContext {
  uint64_t row = 0;            // number in the list, from 1
  std::string_view recipient;  // its address
  std::string_view queue;      // its domain
  std::string_view pool;
  std::string_view source_address;  // "192.0.2.10" of the source
  std::string_view node_id;
};

// One line without its end. REQUIRES: entry is a verdict.
std::string event_json(const JournalEntry& entry, const EventContext& context);

// "Delivery", "TransientFailure", "Bounce", "Expiration", "AdminBounce", "Rejection",
// "Suppression". REQUIRES: deferred or final.
std::string_view event_type(State state);

}  // namespace sluice
