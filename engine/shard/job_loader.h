// From a job's directory to a job that can be sent: everything is checked before a row counts.
//
// Reads job.toml, the files that it names and the beginning of the list; compiles the template
// against the list's columns; finds the pool. Errors name file, line and mend: they become
// failed/JOB/error.txt as they are. Thread: the shard's.
// LIMITS. job.toml 1 MiB; templates, partials and attachments as message_files.h says.
#pragma once

#include <memory>
#include <string>

#include "engine/base/status.h"
#include "engine/compose/sender_keys.h"
#include "engine/model/configuration.h"
#include "engine/model/limits.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"
#include "engine/shard/job.h"

namespace sluice {

struct JobLoad {
  std::string directory;
  std::string id;
  WallTime created{};
  uint32_t shards = 1;
  SenderKeys keys = {};  // none: messages are made unsigned, and tokens of "x"
};

// `loop`, `config` and `limits` outlive the task.
Task<StatusOr<JobPtr>> load_job(Loop& loop, const Configuration& config, const Limits& limits,
                                JobLoad load);

// Whether `name` in a job's directory is a regular file that is reached through no link; `key` of
// job.toml names it in messages, null for job.toml itself.
Status check_job_file(Io& io, const std::string& directory, const std::string& name,
                      const char* key);
// `message.text = "body.txt"`, with job.toml in front: how messages name the file.
std::string job_file_words(const std::string& name, const char* key);

}  // namespace sluice
