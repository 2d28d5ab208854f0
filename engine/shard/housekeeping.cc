#include "engine/shard/housekeeping.h"

#include <algorithm>
#include <vector>

#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/record/event_log.h"
#include "engine/record/format.h"

namespace sluice {
namespace {

Status remove_below(Io& io, const std::string& path, int depth_left) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, io.list(path));
  for (const std::string& name : names) {
    const std::string child = SpoolPaths::child(path, name);
    ASSIGN_OR_RETURN(const FileStat stat, io.stat(child));
    if (stat.is_directory && !stat.is_symlink) {
      if (depth_left == 0) return io_error(child + " lies too deep to be removed");
      RETURN_IF_ERROR(remove_below(io, child, depth_left - 1));
    } else {
      RETURN_IF_ERROR(io.remove_file(child));
    }
  }
  return io.remove_directory(path);
}

std::vector<std::string> names_in(Io& io, const std::string& path) {
  StatusOr<std::vector<std::string>> names = io.list(path);
  if (!names.ok()) {
    log(LogLevel::kWarning, "cannot tidy " + path + ": " + message_of(names.status()));
    return {};
  }
  return std::move(*names);
}

uint32_t sweep_done(Io& io, const SpoolPaths& spool, WallTime oldest_kept) {
  uint32_t removed = 0;
  for (const std::string& id : names_in(io, spool.done)) {
    const std::string directory = spool.done_job(id);
    const StatusOr<FileStat> summary = io.stat(JobPaths(directory).summary);
    if (!parse_job_id(id) || !summary.ok() || summary->modified >= oldest_kept) continue;
    if (const Status status = remove_tree(io, directory); !status.ok()) {
      log(LogLevel::kWarning, "cannot remove " + directory + ": " + message_of(status));
      continue;
    }
    ++removed;
  }
  return removed;
}

// Keeps the header: such a file has no records, and the series no gap.
bool empty_journal_file(Io& io, const std::string& path) {
  const StatusOr<FileStat> stat = io.stat(path);
  if (!stat.ok() || stat->bytes <= kFileHeaderBytes) return false;
  if (const Status status = io.truncate(path, kFileHeaderBytes); !status.ok()) {
    log(LogLevel::kWarning, message_of(status));
    return false;
  }
  return true;
}

bool remove_journal_file(Io& io, const std::string& path) {
  const Status status = io.remove_file(path);
  if (!status.ok()) log(LogLevel::kWarning, message_of(status));
  return status.ok();
}

}  // namespace

Status remove_tree(Io& io, const std::string& path) {
  constexpr int kDepthMax = 8;
  return remove_below(io, path, kDepthMax);
}

Swept sweep_spool(Io& io, const SpoolPaths& spool, const SweepOptions& options, WallTime now) {
  Swept swept;
  swept.jobs = sweep_done(io, spool, now - options.keep_done);
  swept.event_files = remove_event_files(io, options.record_directory, now - options.keep_events);
  return swept;
}

std::set<std::string> jobs_without_outcomes(Io& io, const SpoolPaths& spool) {
  std::set<std::string> jobs;
  for (const std::string& id : names_in(io, spool.done)) {
    const JobPaths paths(spool.done_job(id));
    if (parse_job_id(id) && !io.stat(paths.outcomes).ok()) jobs.insert(id);
  }
  return jobs;
}

JournalSwept sweep_journal(Io& io, const SpoolPaths& spool, const JournalSweep& sweep,
                           JournalJobs& jobs) {
  JournalSwept swept;
  const std::vector<std::string> names = names_in(io, spool.journal);
  const StatusOr<std::vector<std::string>> active = io.list(spool.active);
  if (!active.ok()) {
    log(LogLevel::kWarning, "the journal is not tidied: " + message_of(active.status()));
    return swept;
  }
  swept.needed = sweep.without_outcomes;
  swept.needed.insert(active->begin(), active->end());
  std::vector<JournalPlace> files;
  for (const std::string& name : names) {
    if (const auto file = parse_journal_file_name(name))
      files.push_back({file->shard, file->number});
  }
  std::sort(files.begin(), files.end());
  bool gapless = true;  // all files of the series before this one are gone
  for (size_t i = 0; i < files.size(); ++i) {
    const JournalPlace& file = files[i];
    if (i == 0 || files[i - 1].shard != file.shard) gapless = true;
    const bool newest = i + 1 == files.size() || files[i + 1].shard != file.shard;
    const auto followed = sweep.followed.find(file.shard);
    if (newest || followed == sweep.followed.end() || file.number >= followed->second) {
      gapless = false;
      continue;
    }
    const JournalJobs::Use use = jobs.use_of(file, swept.needed);
    if (use == JournalJobs::Use::kUnknown) swept.unknown.push_back(file);
    if (use != JournalJobs::Use::kNotNeeded) {
      gapless = false;
      continue;
    }
    const std::string path =
        SpoolPaths::child(spool.journal, journal_file_name(file.shard, file.number));
    if (!gapless) {
      if (empty_journal_file(io, path)) ++swept.emptied;
    } else if (remove_journal_file(io, path)) {
      jobs.forget(file);
      ++swept.removed;
    } else {
      gapless = false;
    }
  }
  return swept;
}

}  // namespace sluice
