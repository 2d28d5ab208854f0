// Which jobs occur in which journal files: what may be removed, and what need not be read.
//
// PURPOSE. All jobs share the files of a shard. A file that no longer grows is learnt once: by
//   whoever reads all of it anyway, or by learn(), which stops at the first job that is still
//   needed. Nothing is kept on disk: a new process learns again.
// OWNERSHIP. Values. THREAD. Shard 0's.
// ERRORS. learn(): the file cannot be read, or is damaged: it stays unknown, and so stays.
// LIMITS. A job's id for each file in which it occurs.
// BUGS. None known.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "engine/base/status.h"
#include "engine/record/format.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"

namespace sluice {

struct JournalPlace {
  uint32_t shard = 0;
  uint32_t number = 0;
  friend auto operator<=>(const JournalPlace&, const JournalPlace&) = default;
};

class JournalJobs {
 public:
  // All jobs of a file that no longer grows.
  void set(const JournalPlace& file, std::set<std::string> jobs);
  // One of its jobs; there may be more.
  void add(const JournalPlace& file, const std::string& job);
  void forget(const JournalPlace& file) { files_.erase(file); }

  // Whether entries of the job may be in the file: so they may while it is not known whole.
  bool may_hold(const JournalPlace& file, const std::string& job) const;
  enum class Use : uint8_t { kNeeded, kNotNeeded, kUnknown };
  // Whether one of the jobs is in it.
  Use use_of(const JournalPlace& file, const std::set<std::string>& jobs) const;

 private:
  struct File {
    bool whole = false;
    std::set<std::string> jobs;
  };
  std::map<JournalPlace, File> files_;
};

// Reads a file that no longer grows until it is known whole, or a job of `needed` is found.
Task<Status> learn_journal_file(Loop& loop, std::string path, JournalPlace file,
                                std::set<std::string> needed, JournalJobs& jobs,
                                std::function<bool()> stopped);

}  // namespace sluice
