// Every row of a job with what became of it: of a finished one from its file `outcomes`, else
// segments joined with the journal; and rejected.csv.
//
// Rows come in the order of the list: a segment's rows sorted by their numbers, rejected ones
// between them. Rows that intake left out, suppressed or duplicate, are only counted: their
// addresses are not kept.
// Memory: a few MiB with the file; else the outcomes of the whole job (Outcomes) and one segment.
// Thread: any, one at a time. Errors: DataLoss with the file that is damaged.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/model/progress.h"
#include "engine/record/outcome_file.h"
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
// nothing is in flight where no sender answers, or `socket` is empty. Of a job with the file
// `outcomes` nothing is read: visit_rows() reads that.
StatusOr<Outcomes> read_outcomes(const SpoolPaths& spool, const std::string& job,
                                 const std::string& socket = {});

// Calls `visit` for every row that segments or rejected.csv hold. `counts` (may be null) gets the
// ten states, suppressed and duplicate ones included, and the attempts. A segment that cannot be
// read is named on standard error, the others are visited all the same, and its error is given.
Status visit_rows(const OpenDirectory& directory, const Outcomes& outcomes,
                  const std::function<Status(const ReportRow&)>& visit, Counts* counts);

// Reads a file `outcomes` to its end, or to the first error of `visit`. `name` is for messages.
StatusOr<OutcomeTotals> read_outcome_file(int descriptor, const std::string& name,
                                          const std::function<Status(const OutcomeRow&)>& visit);
// What that file says of a row, without names; nothing when the job has no such file, or it no such
// row.
StatusOr<std::optional<Outcome>> find_outcome(const OpenDirectory& directory, uint64_t number);

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
