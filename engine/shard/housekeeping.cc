#include "engine/shard/housekeeping.h"

#include <algorithm>
#include <map>
#include <optional>
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

// When the oldest job that is still there was taken; nothing when there is none.
std::optional<WallTime> oldest_job(Io& io, const SpoolPaths& spool) {
  std::optional<WallTime> oldest;
  for (const std::string& directory : {spool.active, spool.done}) {
    for (const std::string& name : names_in(io, directory)) {
      const std::optional<JobId> id = parse_job_id(name);
      if (id && (!oldest || id->created < *oldest)) oldest = id->created;
    }
  }
  return oldest;
}

uint32_t sweep_journal(Io& io, const SpoolPaths& spool,
                       const std::map<uint32_t, uint32_t>& followed, WallTime now) {
  const WallTime before = oldest_job(io, spool).value_or(now);
  const std::vector<std::string> names = names_in(io, spool.journal);
  std::map<uint32_t, uint32_t> newest;
  for (const std::string& name : names) {
    if (const auto file = parse_journal_file_name(name)) {
      uint32_t& number = newest[file->shard];
      number = std::max(number, file->number);
    }
  }
  uint32_t removed = 0;
  for (const std::string& name : names) {
    const auto file = parse_journal_file_name(name);
    if (!file || newest[file->shard] == file->number) continue;
    const auto needed = followed.find(file->shard);
    if (needed == followed.end() || file->number >= needed->second) continue;
    const std::string path = spool.journal + "/" + name;
    const StatusOr<FileStat> stat = io.stat(path);
    // A job id counts whole seconds: one second of doubt.
    if (!stat.ok() || stat->modified + std::chrono::seconds(1) >= before) continue;
    if (const Status status = io.remove_file(path); !status.ok()) {
      log(LogLevel::kWarning, message_of(status));
      continue;
    }
    ++removed;
  }
  return removed;
}

}  // namespace

Status remove_tree(Io& io, const std::string& path) {
  constexpr int kDepthMax = 8;
  return remove_below(io, path, kDepthMax);
}

Swept sweep_spool(Io& io, const SpoolPaths& spool, const SweepOptions& options, WallTime now) {
  Swept swept;
  swept.jobs = sweep_done(io, spool, now - options.keep_done);
  swept.journal_files = sweep_journal(io, spool, options.followed, now);
  swept.event_files = remove_event_files(io, options.record_directory, now - options.keep_events);
  return swept;
}

}  // namespace sluice
