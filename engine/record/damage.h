// Journal files that could not be read, and which jobs that concerns.
//
// PURPOSE. A journal file with damage in its middle is set aside as NAME.damaged, and as much of it
// as is sound stands under NAME. As long as NAME.damaged is there, or a number is missing in a
// series, recipients may have got their mail without anything here that says so: the jobs which
// that may concern are held until the file is restored or the operator goes on without it.
// OWNERSHIP. Values. THREAD. Any; pure, no I/O.
// ERRORS. None: names of other files are skipped, lines that make no sense accept nothing.
// LIMITS. None of its own.
// BUGS. A file is missed between two of its series only: one that is gone from the end is not
//   noticed, nor one from the beginning, where files are removed when nothing needs them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/record/format.h"

namespace sluice {

// "003-00000017.jnl.damaged" for "003-00000017.jnl", and back: the name of the journal file.
std::string damaged_journal_name(std::string_view journal_name);
std::optional<std::string> parse_damaged_journal_name(std::string_view name);

// Numbers that are missing between files of a series, whole or set aside.
struct JournalGap {
  std::string first_missing;
  std::string next;  // the file behind the gap
  friend bool operator==(const JournalGap&, const JournalGap&) = default;
};
// `names`: of the journal's directory, in any order.
std::vector<JournalGap> journal_gaps(const std::vector<std::string>& names);

// What could not be read. All of it was written before `until`.
struct UnreadJournal {
  std::string name;  // of the journal file; of the first one of a gap
  WallTime until{};
};
// Whether verdicts of a job taken then may be in it.
bool may_concern(const UnreadJournal& unread, WallTime job_created);

// What the operator accepted for a job: names of journal files, one a line.
std::string accepted_text(const std::vector<std::string>& names);
std::vector<std::string> parse_accepted(std::string_view text);

}  // namespace sluice
