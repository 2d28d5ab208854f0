// A dropped job on its way from incoming/ to active/, so that nobody edits what was taken.
//
// PURPOSE. claim() renames the dropped directory within incoming/ to claimed_name(id): from then
// on it is taken. bring() makes a directory of our own in active/: job.toml, the templates, their
// partials and the attachments are copied, the list is renamed into it, or copied where it lies
// in a folder or belongs to somebody who does not let it go. The directory gets its name when it
// is whole and synced. release() then puts what is left in incoming/ under a name that is never
// taken up, and removes it. set_aside() moves a refused job with all that was dropped to failed/.
// CRASHES. Whatever the sender is killed in goes on with the same id: a claimed directory without
// active/ID is brought, one with it is released, one with failed/ID is merged into that. No
// dropped file is removed before its copy is durable. OWNERSHIP. One object a job; the loop and
// `spool` outlive it. One task at a time. THREAD. The shard's. LIMITS. job.toml 1 MiB, templates
// 16 MiB and attachments 48 MiB each; copies go through 1 MiB of memory. BUGS. A list that was
// renamed keeps its owner, who can still write to it: it is the one file that is not copied. Who
// may write to incoming/ is trusted not to replace directories while they are taken. What lies in
// a directory that its owner keeps closed to us cannot be removed: it stays in incoming/ as
// released_name(id).
#pragma once

#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/message_files.h"
#include "engine/spool/job_directory.h"

namespace sluice {

inline constexpr uint64_t kJobFileBytesMax = 1UL << 20;

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

  // `id`: what the job is called from now on.
  JobTransfer(Loop& loop, const SpoolPaths& spool, std::string id);

  // NotFound: whoever dropped it has taken it back. REQUIRES: no job has that id.
  Task<Status> claim(std::string name);
  // REQUIRES: claimed, now or by an earlier process, and active/ID is not there.
  Task<Result> bring();
  // After bring() succeeded and the job is under way.
  Task<> release();
  // Of a job that bring() or a later check refused: `text` becomes its error.txt.
  Task<Status> set_aside(std::string text);
  // What an earlier process left claimed of a job that lies in failed/ goes there too.
  Task<> finish_setting_aside();

 private:
  Task<Result> bring_message(JobSpec::Message message);
  Task<Result> copy_small(std::string name, const char* key, uint64_t bytes_max);
  Task<Result> bring_list(std::string name);
  Status make_parents(const std::string& name);
  bool merge(const std::string& from, const std::string& into, int depth_left);

  Loop& loop_;
  const SpoolPaths& spool_;
  const std::string id_;
  const std::string claimed_;
  const std::string arriving_;
  const std::string active_;
  FileTasks files_;
  std::vector<std::string> folders_;  // made within arriving_, the outer before the inner
  std::string copied_;                // what copy_small() read last
};

// True for an error that speaks of the job, not of the machine: trying again will not help.
bool is_of_the_job(const Status& status);

}  // namespace sluice
