// The small files that the sender writes into a job's directory: texts of them, and back.
//
// Purpose: progress (how far the list was taken), rejected.csv, summary.json, error.txt as
//   interface.md promises them. Pure: strings in, strings out; the caller writes and syncs.
// Ownership: results are values. Thread: any.
// Errors: parsing says which field is missing or wrong; untrusted octets come out escaped.
// Limits: reasons and addresses are cut after 1,024 octets.
// BUGS: none known.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/model/progress.h"
#include "engine/model/row.h"
#include "engine/spool/list_record.h"

namespace sluice {

// How far the list was taken: true of the segments [0, next_segment), which are all published.
struct IntakeProgress {
  std::string job;
  SegmentNumber next_segment = 0;
  ListPosition position;  // where the next segment begins
  uint64_t taken = 0;     // rows in the segments
  uint64_t rejected = 0;  // with taken they add up to position.row
  uint64_t suppressed = 0;
  uint64_t duplicate = 0;
  bool finished = false;  // the list has ended
  friend bool operator==(const IntakeProgress&, const IntakeProgress&) = default;
};
std::string progress_text(const IntakeProgress& progress);
StatusOr<IntakeProgress> parse_progress(std::string_view text);

inline constexpr std::string_view kRejectedHeader = "row,line,address,reason\r\n";
// Appends a line of rejected.csv; `address` is what the list holds, whatever it is.
void append_rejected(std::string& out, uint64_t row, uint64_t line, std::string_view address,
                     std::string_view reason);

struct JobSummary {
  std::string job;
  std::string name;
  Counts counts;
  WallTime created{};
  WallTime finished{};
};
std::string summary_json(const JobSummary& summary);
StatusOr<JobSummary> parse_summary(std::string_view text);

// What failed/JOB/error.txt says.
std::string error_text(std::string_view job, const Status& error, WallTime now);

}  // namespace sluice
