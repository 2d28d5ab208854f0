// Reads the event record: all files of all series, as one stream in the order of time.
//
// Each series is in the order in which its verdicts became durable; series are merged by
// event_time. While the record grows, next() gives what is there and may be asked again later: a
// line then comes at its place among those of the same look. A file that is rotated is read to its
// end first, also when it is compressed meanwhile; one that is cut back after a crash is read on
// from its new end.
// THREAD. Any, one at a time. ERRORS. A Status with the path. Lines that are no events are skipped.
// LIMITS. One open file a series, and memory for its longest line; 8 MiB where it is compressed.
// BUGS. Whoever does not look for ten seconds may miss files that were rotated meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/status.h"

namespace sluice::tools {

// The value of a member with that key and a text as value, as it stands in the line, escapes and
// all; empty when there is none. Keys of nested objects count too.
std::string_view event_member(std::string_view line, std::string_view key);

class EventReader {
 public:
  explicit EventReader(std::string directory);
  EventReader(const EventReader&) = delete;
  EventReader& operator=(const EventReader&) = delete;
  ~EventReader();

  // Looks what files there are and what was appended. NotFound: no such directory.
  Status look();
  // The next line without its end; false: all that was there at the last look() was given. The view
  // lives until the next call.
  StatusOr<bool> next(std::string_view& line);

 private:
  class Series;
  const std::string directory_;
  std::map<uint32_t, std::unique_ptr<Series>> series_;
  Series* given_ = nullptr;
};

}  // namespace sluice::tools
