// Every row of a job with what became of it: segments joined with the journal and rejected.csv.
//
// Rows come in the order of the list: a segment's rows sorted by their numbers, rejected ones
// between them. Suppressed and duplicate rows are only counted: their addresses are not kept.
// Memory: the outcomes of the whole job (Outcomes) and one segment. Thread: any, one at a time.
// Errors: DataLoss with the file that is damaged.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/model/progress.h"
#include "engine/record/outcomes.h"
#include "engine/spool/job_directory.h"

namespace sluice::tools {

class OpenDirectory;

struct ReportRow {
  uint64_t number = 0;
  std::string_view recipient;
  // Of a rejected row the text is the reason.
  Outcome outcome;
};

// The outcomes that the journal has of a job, and what the sender on `socket` has in flight of it;
// nothing is in flight where no sender answers, or `socket` is empty.
StatusOr<Outcomes> read_outcomes(const SpoolPaths& spool, const std::string& job,
                                 const std::string& socket = {});

// Calls `visit` for every row that segments or rejected.csv hold. `counts` (may be null) gets the
// ten states, suppressed and duplicate ones included, and the attempts.
Status visit_rows(const OpenDirectory& directory, const Outcomes& outcomes,
                  const std::function<Status(const ReportRow&)>& visit, Counts* counts);

// What rejected.csv says of a row; address and reason are escaped there.
struct RejectedRow {
  uint64_t line = 0;  // of the list
  std::string address;
  std::string reason;
};
// Nothing when it does not name that row of the list.
StatusOr<std::optional<RejectedRow>> find_rejected(const OpenDirectory& directory, uint64_t number);

// The counts of a job that is not done, from its files.
StatusOr<Counts> count_job(const SpoolPaths& spool, const OpenDirectory& directory,
                           const std::string& job);

}  // namespace sluice::tools
