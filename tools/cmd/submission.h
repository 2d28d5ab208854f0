// A job from somebody's directory into the spool: checked whole, copied, published in one step.
//
// Errors carry the exit code of command.h. After an error nothing is left in the spool.
// Thread: one at a time; makes a ring of its own. BUGS: a process that is killed while it copies
// leaves incoming/.ID behind, which the sender ignores.
#pragma once

#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/configuration.h"
#include "engine/ring/loop.h"
#include "engine/shard/job.h"
#include "tools/cmd/submit_list.h"

namespace sluice::tools {

struct Submission {
  std::string directory;  // the job's own
  std::string id;
  std::vector<std::string> files;  // that it needs, relative to the directory; job.toml last
  JobPtr job;                      // as the sender will load it
  ListFindings list;               // what its rows say
};

// `path`: a job directory, or the job.toml in one. Runs every check that the sender will run, and
// reads the whole list.
// `name`: instead of the job's own in its id; empty: none.
StatusOr<Submission> check_submission(Loop& loop, const Configuration& config,
                                      const std::string& path, const std::string& name);

// Copies it into the spool's incoming/: durable when it returns OK.
Status publish_submission(const Submission& submission, const std::string& spool);

}  // namespace sluice::tools
