// The files of a job's directory that its message is made from.
//
// PURPOSE. job.toml names templates and attachments; templates call partials, which call others.
// Who copies a job and who loads one ask here which files these are.
// THREAD. The shard's. ERRORS. Name the key of job.toml and the mend.
// LIMITS. Templates and partials 16 MiB each, attachments 48 MiB each, all together 128 MiB; how
// large the message may be is said when it is compiled. A partial that is not there is the
// compiler's to tell.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/compose/message_template.h"
#include "engine/model/job.h"
#include "engine/ring/io.h"
#include "engine/ring/task.h"
#include "engine/shard/file_tasks.h"

namespace sluice {

inline constexpr uint64_t kTemplateBytesMax = 16UL << 20;
inline constexpr uint64_t kAttachmentBytesMax = 48UL << 20;
inline constexpr uint64_t kMessageFilesBytesMax = 128UL << 20;

// One that job.toml names.
struct MessageFile {
  std::string name;
  const char* key = nullptr;  // of job.toml
  uint64_t bytes_max = kTemplateBytesMax;
  bool is_template = true;
};
std::vector<MessageFile> message_files_of(const JobSpec::Message& message);

// Finds the partials that a message file calls, itself or by others.
class PartialSearch {
 public:
  // `directory`: the job's; `file`: the message file in it.
  PartialSearch(std::string directory, std::string file)
      : directory_(std::move(directory)), file_(std::move(file)) {}

  // Of the message file, or of a partial that next() gave.
  void look_in(std::string_view text);
  // Another partial that is there, by its name in the directory; each once.
  std::optional<std::string> next(Io& io);

 private:
  const std::string directory_;
  const std::string file_;
  std::vector<std::string> wanted_;
  std::set<std::string> known_;  // names that were wanted
  std::set<std::string> given_;  // files
};

// Reads all of them into `input`, and adds their names to `names`, each once.
Task<Status> read_message_files(Io& io, FileTasks& files, std::string directory,
                                const JobSpec& spec, TemplateInput& input,
                                std::vector<std::string>& names);

}  // namespace sluice
