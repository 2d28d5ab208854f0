// A verdict as the event record that other programs read: one JSON object, in KumoMTA's field
// names where it has them.
//
// Pure; any thread. `id` is the same whenever the same verdict is written again: readers drop twins
// by it. Octets of the receiver that are not UTF-8 appear as the code points of the same number
// (\u00e9 for the octet E9). Fields that are not known are left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/record/entry.h"

namespace sluice {

// Which verdict of which journal file an event tells: what its id is made of.
struct EventPlace {
  WallTime file_created{};  // JournalFileHeader::created
  uint32_t shard = 0;
  uint32_t file_number = 0;
  uint32_t verdict = 0;  // numbers the verdicts of the file, from 0
};

// What the journal does not say of a row and its job. Views; empty: not known, left out.
struct EventContext {
  EventPlace place;
  uint64_t row = 0;            // number in the list, from 1
  std::string_view recipient;  // its address
  std::string_view queue;      // its domain
  std::string_view pool;
  std::string_view source_address;  // "192.0.2.10" of the source
  std::string_view node_id;
};

// Appends one line, its end included. REQUIRES: entry is a verdict.
void append_event(std::string& out, const JournalEntry& entry, const EventContext& context);
// The same without the line's end.
std::string event_json(const JournalEntry& entry, const EventContext& context);

// "Delivery", "TransientFailure", "Bounce", "Expiration", "AdminBounce", "Rejection",
// "Suppression". REQUIRES: deferred or final.
std::string_view event_type(State state);

}  // namespace sluice
