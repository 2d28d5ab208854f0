// SPOOL/limits.json: how empty the rates were when the process ended.
//
// PURPOSE. Read at the start and written back at once as not clean, before the first permit;
//   written clean after the last one. A process that was killed therefore leaves it not clean, and
//   its limits begin drained. The caller reads and writes: durably under another name, renamed.
// FORMAT. One JSON object, a line for each limit; times are nanoseconds since 1970:
//     {"version":1,"clean":true,"drained":null,"limits":[
//     {"key":"site mx.example.com source s1","rate":"messages","arrival":1800000000000000000}
//     ],"crc32c":305419896}
//   "drained": limits that are not named were empty then; null: they are full. "rate": "messages"
//   or "connections". "crc32c": of all octets before `,"crc32c"`.
// THREAD. Any; pure.
// ERRORS. A file that is damaged, of another version or not to be read counts as not clean; a
//   warning says so, and the start goes on.
// LIMITS. kLimitsFileBytesMax; about 100 octets a limit that is not full.
// BUGS. A key that is not UTF-8 is not found again: its limit begins full after a clean end.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/model/saved_limits.h"

namespace sluice {

inline constexpr std::string_view kLimitsFileName = "limits.json";
// For whoever reads it: a larger one is refused.
inline constexpr uint64_t kLimitsFileBytesMax = 256UL << 20;

struct LimitsFile {
  bool clean = false;
  SavedLimits saved;
  friend bool operator==(const LimitsFile&, const LimitsFile&) = default;
};
std::string limits_text(const LimitsFile& file);
StatusOr<LimitsFile> parse_limits(std::string_view text);

// What a start makes of it.
struct LimitsFound {
  LimitsStart start = LimitsStart::kCrashed;
  SavedLimits saved;    // of a clean end
  std::string warning;  // without the path; empty: none
};
// `text`: what reading gave; NotFound where there is no file. `ran_before`: whether the spool shows
// that a process worked in it.
LimitsFound judge_limits(const StatusOr<std::string>& text, bool ran_before);

}  // namespace sluice
