// A record of a list as its reader hands it out, before its address is looked at.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

// What a reader of a list says when it is asked for the next record.
enum class ListResult : uint8_t {
  kRecord,    // `record` is filled
  kNeedMore,  // feed() or finish(), then ask again
  kEnd,       // the list has ended
  kFailed,    // the list as a whole is bad: status()
};

// Views and span live until the reader's next call.
struct ListRecord {
  uint64_t number = 0;  // its row, from 1: header and empty lines do not count, bad records do
  uint64_t line = 0;    // line of the file on which it begins, from 1
  std::span<const std::string_view> values;  // one a column; empty when the record is bad
  const char* error = nullptr;               // why it is bad; null when it is fine
  std::string_view raw;  // its octets without line end; of bad records perhaps the beginning
};

// A place between two records: where reading can go on.
struct ListPosition {
  uint64_t row = 0;     // records before it
  uint64_t line = 1;    // line that begins here
  uint64_t offset = 0;  // octets of the decoded list before it
  friend bool operator==(const ListPosition&, const ListPosition&) = default;
};

}  // namespace sluice
