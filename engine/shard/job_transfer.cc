#include "engine/shard/job_transfer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/log.h"
#include "engine/config/job_file.h"
#include "engine/shard/housekeeping.h"
#include "engine/shard/job_loader.h"

namespace sluice {
namespace {

using Result = JobTransfer::Result;

Result result_of(Status status) {
  if (status.ok()) return {};
  return {JobTransfer::Fate::kFailed, std::move(status)};
}

// Of reading what somebody else wrote: what may not be read is theirs to mend.
Result result_of_reading(Status status) {
  const bool theirs = is_of_the_job(status) || status.code() == absl::StatusCode::kPermissionDenied;
  return {theirs ? JobTransfer::Fate::kRefused : JobTransfer::Fate::kFailed, std::move(status)};
}

}  // namespace

JobTransfer::JobTransfer(Loop& loop, const SpoolPaths& spool, std::string id)
    : loop_(loop),
      spool_(spool),
      id_(std::move(id)),
      claimed_(spool.incoming_job(claimed_name(id_))),
      arriving_(spool.active_job(arriving_name(id_))),
      active_(spool.active_job(id_)),
      files_(loop) {}

Task<Status> JobTransfer::claim(std::string name) {
  // Within one directory: allowed whoever owns what is renamed.
  const Status renamed = loop_.io().rename(spool_.incoming_job(name), claimed_);
  if (!renamed.ok()) co_return renamed;
  co_return co_await files_.sync_directory(spool_.incoming);
}

Status JobTransfer::make_parents(const std::string& name) {
  for (size_t slash = name.find('/'); slash != std::string::npos;
       slash = name.find('/', slash + 1)) {
    const std::string folder = arriving_ + "/" + name.substr(0, slash);
    if (std::find(folders_.begin(), folders_.end(), folder) != folders_.end()) continue;
    RETURN_IF_ERROR(loop_.io().make_directory(folder, 0750));
    folders_.push_back(folder);
  }
  return {};
}

Task<Result> JobTransfer::copy_small(std::string name, const char* key, uint64_t bytes_max) {
  const Status good = check_job_file(loop_.io(), claimed_, name, key);
  if (!good.ok()) co_return result_of_reading(good);
  StatusOr<std::string> octets = co_await files_.read_whole_beneath(claimed_, name, bytes_max);
  if (!octets.ok()) {
    co_return result_of_reading(annotate(octets.status(), job_file_words(name, key)));
  }
  copied_ = std::move(*octets);
  Status written = make_parents(name);
  if (written.ok()) written = co_await files_.write_durably(arriving_ + "/" + name, copied_);
  co_return result_of(written);
}

Task<Result> JobTransfer::bring_list(std::string name) {
  Io& io = loop_.io();
  const std::string from = claimed_ + "/" + name;
  const std::string to = arriving_ + "/" + name;
  // Renamed already by a process that was killed.
  if (!io.stat(from).ok() && io.stat(to).ok()) co_return Result();
  const Status good = check_job_file(io, claimed_, name, "list.file");
  if (!good.ok()) co_return result_of_reading(good);
  Status status = make_parents(name);
  if (!status.ok()) co_return result_of(status);
  const StatusOr<Handle> opened = io.open_beneath(claimed_, name);
  if (!opened.ok()) {
    co_return result_of_reading(annotate(
        opened.status(),
        job_file_words(name, "list.file") + ": let the group that sluice runs as read it"));
  }
  // Synced first: once renamed it is the only copy. Within a folder it is copied: who owns the
  // folder could put another in its place.
  status = co_await files_.sync_handle(*opened, from);
  const bool renamed =
      status.ok() && name.find('/') == std::string::npos && io.rename(from, to).ok();
  if (status.ok() && !renamed) status = co_await files_.copy_durably(*opened, from, to);
  io.close(*opened);
  co_return result_of(status);
}

Task<Result> JobTransfer::bring_message(JobSpec::Message message) {
  const std::vector<MessageFile> files = message_files_of(message);
  for (const MessageFile& file : files) {
    const std::string name = file.name;
    Result result = co_await copy_small(name, file.key, file.bytes_max);
    if (result.fate != Fate::kDone) co_return result;
    if (!file.is_template) continue;
    PartialSearch search(claimed_, name);
    search.look_in(copied_);
    for (auto path = search.next(loop_.io()); path; path = search.next(loop_.io())) {
      const std::string partial = *path;
      result = co_await copy_small(partial, nullptr, kTemplateBytesMax);
      if (result.fate != Fate::kDone) co_return result;
      search.look_in(copied_);
    }
  }
  co_return Result();
}

Task<Result> JobTransfer::bring() {
  Io& io = loop_.io();
  Status status = io.make_directory(arriving_, 0750);
  if (status.ok()) status = io.make_directory(JobPaths(arriving_).segments, 0750);
  if (!status.ok()) co_return result_of(status);
  Result result = co_await copy_small("job.toml", nullptr, kJobFileBytesMax);
  if (result.fate != Fate::kDone) co_return result;
  StatusOr<JobSpec> spec = parse_job(copied_, "job.toml");
  if (!spec.ok()) co_return Result{Fate::kRefused, spec.status()};
  result = co_await bring_message(spec->message);
  if (result.fate != Fate::kDone) co_return result;
  copied_.clear();
  const std::string list = spec->list.file;
  result = co_await bring_list(list);
  if (result.fate != Fate::kDone) co_return result;
  for (const std::string& folder : folders_) {
    status = co_await files_.sync_directory(folder);
    if (!status.ok()) co_return result_of(status);
  }
  status = co_await files_.sync_directory(arriving_);
  if (status.ok()) status = io.rename(arriving_, active_);
  if (status.ok()) status = co_await files_.sync_directory(spool_.active);
  co_return result_of(status);
}

Task<> JobTransfer::release() {
  Io& io = loop_.io();
  if (!io.stat(claimed_).ok()) co_return;
  const std::string left = spool_.incoming_job(released_name(id_));
  // What was brought is durable before its original loses the name by which it would be taken up.
  Status status = co_await files_.sync_directory(spool_.active);
  if (status.ok()) status = io.rename(claimed_, left);
  if (status.ok()) status = co_await files_.sync_directory(spool_.incoming);
  if (status.ok()) status = remove_tree(io, left);
  if (status.ok()) co_return;
  log(LogLevel::kWarning, "job " + id_ + " was copied, but what was dropped stays in " + left +
                              ": " + message_of(status) + "; its owner may remove it");
}

// Moves what is in `from` and not yet in `into`; what is there was copied, and its original goes.
// False when something stays behind.
bool JobTransfer::merge(const std::string& from, const std::string& into, int depth_left) {
  Io& io = loop_.io();
  const StatusOr<std::vector<std::string>> names = io.list(from);
  if (!names.ok() || depth_left == 0) return false;
  bool all = true;
  for (const std::string& name : *names) {
    const std::string source = SpoolPaths::child(from, name);
    const std::string target = SpoolPaths::child(into, name);
    const StatusOr<FileStat> there = io.stat(target);
    const StatusOr<FileStat> here = io.stat(source);
    if (!there.ok()) {
      all = there.status().code() == absl::StatusCode::kNotFound &&
            io.rename(source, target).ok() && all;
    } else if (here.ok() && here->is_directory && there->is_directory) {
      all = merge(source, target, depth_left - 1) && all;
    } else {
      all = here.ok() && here->is_file && there->is_file && io.remove_file(source).ok() && all;
    }
  }
  return io.remove_directory(from).ok() && all;
}

Task<> JobTransfer::finish_setting_aside() {
  if (!loop_.io().stat(claimed_).ok()) co_return;
  const std::string failed = spool_.failed_job(id_);
  const Status synced = co_await files_.sync_directory(spool_.failed);
  constexpr int kDepthMax = 16;
  if (!synced.ok() || !merge(claimed_, failed, kDepthMax)) {
    log(LogLevel::kWarning, "job " + id_ + " was refused; part of what was dropped stays in " +
                                claimed_ + ": its owner may remove it");
  }
}

Task<Status> JobTransfer::set_aside(std::string text) {
  Io& io = loop_.io();
  const std::string failed = spool_.failed_job(id_);
  std::string where = io.stat(active_).ok() ? active_ : arriving_;
  if (io.stat(failed).ok()) where = failed;  // an earlier try came so far
  Status status;
  if (where == arriving_) status = io.make_directory(arriving_, 0750);
  if (status.ok()) status = co_await files_.write_durably(JobPaths(where).error, std::move(text));
  if (status.ok() && where != failed) status = io.rename(where, failed);
  if (status.ok()) status = co_await files_.sync_directory(spool_.failed);
  if (!status.ok()) co_return status;
  (void)io.remove_directory(JobPaths(failed).segments);  // empty: nothing was sent
  co_await finish_setting_aside();
  co_return co_await files_.sync_directory(failed);
}

bool is_of_the_job(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace sluice
