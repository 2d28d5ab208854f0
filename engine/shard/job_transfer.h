// A dropped job on its way from incoming/ to active/, so that nobody edits what was taken.
//
// PURPOSE. claim() renames the dropped directory within incoming/: from then on it is taken.
// bring() makes a directory of our own in active/: job.toml and the templates are copied, the list
// is renamed into it, or copied where it belongs to somebody who does not let us. The directory
// gets its name when it is whole and synced. What the sender is killed in goes on with the same id.
// set_aside() moves a refused job with all that was dropped to failed/.
// OWNERSHIP. One object a job; the loop outlives it. One task at a time. THREAD. The shard's.
// LIMITS. job.toml 1 MiB, templates 16 MiB each; copies go through 1 MiB of memory.
// BUGS. What lies in a directory that its owner keeps closed to us cannot be removed after copying:
// it stays in incoming/ under a name that is not taken again.
#pragma once

#include <string>

#include "engine/base/status.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"
#include "engine/shard/file_tasks.h"
#include "engine/spool/job_directory.h"

namespace sluice {

inline constexpr uint64_t kJobFileBytesMax = 1UL << 20;
inline constexpr uint64_t kTemplateBytesMax = 16UL << 20;

class JobTransfer {
 public:
  enum class Fate : uint8_t {
    kDone,
    kRefused,  // the job's fault: status says what to mend in it
    kFailed,   // the machine's: worth another try
  };
  struct Result {
    Fate fate = Fate::kDone;
    Status status;
  };

  // `spool` outlives it. `id`: what the job is called from now on.
  JobTransfer(Loop& loop, const SpoolPaths& spool, std::string id);

  // NotFound: whoever dropped it has taken it back.
  Status claim(const std::string& name);
  // REQUIRES: claimed, now or by an earlier process.
  Task<Result> bring();
  // Removes what is left of the claimed directory. After bring() succeeded.
  void clear_away();
  // Of a job that bring() or a later check refused: `text` becomes its error.txt.
  Task<Status> set_aside(std::string text);

 private:
  Task<Result> copy_small(std::string name, const char* key, uint64_t bytes_max);
  Task<Result> bring_list(std::string name);
  Status make_parents(const std::string& name);
  void merge_leftovers(const std::string& into);

  Loop& loop_;
  const SpoolPaths& spool_;
  const std::string id_;
  const std::string claimed_;
  const std::string arriving_;
  const std::string active_;
  FileTasks files_;
  std::string copied_;  // what copy_small() read last
};

}  // namespace sluice
