// The jobs of a spool as files show them: with or without a daemon.
//
// Thread: any. Errors: NotFound (no such job, no spool) with what there is; DataLoss for damaged
// files. A job that the daemon moves to done/ while it is read stays readable: it is reached
// through its open directory.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/record/outcomes.h"
#include "engine/shard/intake.h"
#include "engine/spool/job_directory.h"

namespace sluice::tools {

enum class Place : uint8_t {
  kIncoming,  // dropped, and not taken yet: its id may still be only its name
  kActive,
  kDone,
  kFailed
};

struct FoundJob {
  std::string id;
  Place place = Place::kActive;
};

// The jobs of incoming/ (where it may be read), active/, done/ and failed/, oldest first.
StatusOr<std::vector<FoundJob>> list_jobs(const SpoolPaths& spool);
// The job with that id; else the newest whose name it is, as its id or job.toml has it.
StatusOr<FoundJob> find_job(const SpoolPaths& spool, const std::string& id_or_name);

// An open directory: its files are found wherever it is moved meanwhile.
class OpenDirectory {
 public:
  static StatusOr<OpenDirectory> open(const std::string& path);
  OpenDirectory(OpenDirectory&& other) noexcept;
  OpenDirectory& operator=(OpenDirectory&&) = delete;
  ~OpenDirectory();

  // Names in it or in a directory of it, sorted; a missing one is empty.
  StatusOr<std::vector<std::string>> list(const std::string& relative = ".") const;
  // A descriptor of a file in it, for the caller to close.
  StatusOr<int> open_file(const std::string& relative) const;
  StatusOr<std::string> read(const std::string& relative, uint64_t bytes_max) const;

 private:
  OpenDirectory(int descriptor, std::string path)
      : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_;
  std::string path_;
};

// Where a found job lies; OK also when it moved from active/ to done/ since it was found.
// ResourceExhausted for one that is not taken yet.
StatusOr<OpenDirectory> open_job(const SpoolPaths& spool, const FoundJob& job);

// Feeds every entry of the spool's journal to `use`; a file that vanishes meanwhile is skipped.
Status read_journal(const SpoolPaths& spool, const std::function<Status(const JournalEntry&)>& use);

// What status shows of a job when no daemon tells: summary.json, error.txt, or counted from
// segments and journal (phase "stopped"); phase "incoming" when it is not taken yet.
StatusOr<JobStatus> status_from_spool(const SpoolPaths& spool, const FoundJob& job);

}  // namespace sluice::tools
