// Names in the spool: directories, files, job ids.
//
// Purpose: one place knows how the spool directory is laid out. Pure: builds and takes apart
//   paths; touches no file.
// Job ids: NAME-YYYYMMDDTHHMMSSZ-xxxxxx, UTC, sortable by time within a name; the suffix (base32)
//   keeps apart jobs of one second. `sluice submit` makes the id itself and drops the job under
//   it, so that it can print it; the sender keeps a name that already has that form.
// Ownership: results are values. Thread: any. Errors: std::nullopt for names that are not ours.
// Limits: job names have 1 to 100 octets of A-Z a-z 0-9 . _ - and begin with a letter or digit;
//   clean_job_name() makes one of anything.
// BUGS: none known.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/time.h"
#include "engine/model/row.h"

namespace sluice {

// The directories of a spool.
struct SpoolPaths {
  explicit SpoolPaths(std::string_view spool_root);

  std::string root;  // without a final slash
  std::string incoming;
  std::string active;
  std::string journal;
  std::string done;
  std::string failed;
  std::string suppress;
  std::string suppress_index;  // ours: sorted hashes of large lists; bounces on their way to one

  std::string incoming_job(std::string_view name) const { return child(incoming, name); }
  std::string active_job(std::string_view job) const { return child(active, job); }
  std::string done_job(std::string_view job) const { return child(done, job); }
  std::string failed_job(std::string_view job) const { return child(failed, job); }

  static std::string child(std::string_view directory, std::string_view name);
};

// The files of a job's directory, wherever it lies.
struct JobPaths {
  explicit JobPaths(std::string_view job_directory);

  std::string root;      // without a final slash
  std::string job_toml;  // job.toml
  std::string segments;  // segments/
  std::string progress;  // progress: how far the list was taken
  std::string rejected;  // rejected.csv
  std::string summary;   // summary.json
  std::string error;     // error.txt
  std::string outcomes;  // outcomes

  std::string segment(SegmentNumber number) const;
  // Under this name, which no file of a job may have, a file is written before it is renamed to
  // `path`.
  static std::string temporary(std::string_view path);
};

// "00000007.seg"; numbers of more than eight digits have more.
std::string segment_name(SegmentNumber number);
std::optional<SegmentNumber> parse_segment_name(std::string_view name);

// A job on its way from incoming/ to active/ lies in incoming/ under claimed_name(id), and in
// active/ under arriving_name(id) until it is there whole. What then is left in incoming/ has
// released_name(id), which nobody takes up.
std::string claimed_name(std::string_view id);
std::string arriving_name(std::string_view id);
std::string released_name(std::string_view id);
// The id in a claimed or an arriving name.
std::optional<std::string> parse_claimed_name(std::string_view name);
std::optional<std::string> parse_arriving_name(std::string_view name);

// True for an entry of incoming/ that may be taken: it does not begin with ".".
bool is_takeable(std::string_view incoming_name);

struct JobId {
  std::string name;
  WallTime created{};  // whole seconds
  std::string suffix;
};
std::optional<JobId> parse_job_id(std::string_view id);

bool is_job_name(std::string_view name);
// `name` itself when it is a job name; otherwise other octets become "-", what is too long is cut.
std::string clean_job_name(std::string_view name);
// The id of a job dropped as `name`: `name` when it already is one, else a new one of the cleaned
// name, the time and `random` (30 bits of it).
std::string make_job_id(std::string_view name, WallTime now, uint64_t random);

// "2026-12-01T08:00:00.000Z" (RFC 3339, UTC, milliseconds), and back (fraction optional, any
// number of digits; only "Z").
std::string format_utc(WallTime time);
std::optional<WallTime> parse_utc(std::string_view text);

}  // namespace sluice
