#include "engine/shard/job_transfer.h"

#include <utility>
#include <vector>

#include "engine/base/log.h"
#include "engine/config/job_file.h"
#include "engine/shard/housekeeping.h"
#include "engine/shard/job_loader.h"

namespace sluice {
namespace {

using Result = JobTransfer::Result;

Result refused(std::string message) {
  return {JobTransfer::Fate::kRefused, invalid(std::move(message))};
}

Result result_of(Status status) {
  if (status.ok()) return {};
  return {JobTransfer::Fate::kFailed, std::move(status)};
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

Status JobTransfer::claim(const std::string& name) {
  // Within one directory: allowed whoever owns what is renamed.
  return loop_.io().rename(spool_.incoming_job(name), claimed_);
}

Status JobTransfer::make_parents(const std::string& name) {
  for (size_t slash = name.find('/'); slash != std::string::npos;
       slash = name.find('/', slash + 1)) {
    RETURN_IF_ERROR(loop_.io().make_directory(arriving_ + "/" + name.substr(0, slash), 0750));
  }
  return {};
}

Task<Result> JobTransfer::copy_small(std::string name, const char* key, uint64_t bytes_max) {
  const Status good = check_job_file(loop_.io(), claimed_, name, key);
  if (!good.ok()) co_return Result{Fate::kRefused, good};
  StatusOr<std::string> octets = co_await files_.read_whole(claimed_ + "/" + name, bytes_max);
  if (!octets.ok()) {
    const Status why = annotate(octets.status(), job_file_words(name, key));
    const bool machine = why.code() == absl::StatusCode::kDataLoss ||
                         why.code() == absl::StatusCode::kResourceExhausted;
    co_return Result{machine ? Fate::kFailed : Fate::kRefused, why};
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
  if (!good.ok()) co_return Result{Fate::kRefused, good};
  Status status = make_parents(name);
  if (!status.ok()) co_return result_of(status);
  const StatusOr<Handle> opened = io.open_file(from, OpenMode::kRead);
  if (!opened.ok()) {
    const Status why = annotate(opened.status(), job_file_words(name, "list.file"));
    if (why.code() == absl::StatusCode::kResourceExhausted) co_return result_of(why);
    co_return refused(message_of(why) + "; let the user and group that sluice runs as read it");
  }
  // Synced first: once renamed it is the only copy.
  status = co_await files_.sync_file(from);
  if (status.ok() && !io.rename(from, to).ok()) {
    status = co_await files_.copy_durably(*opened, from, to);
  }
  io.close(*opened);
  co_return result_of(status);
}

Task<Result> JobTransfer::bring() {
  Io& io = loop_.io();
  // An earlier process came so far.
  if (io.stat(active_).ok()) co_return Result();
  Status status = io.make_directory(arriving_, 0750);
  if (!status.ok()) co_return result_of(status);
  Result result = co_await copy_small("job.toml", nullptr, kJobFileBytesMax);
  if (result.fate != Fate::kDone) co_return result;
  StatusOr<JobSpec> spec = parse_job(copied_, "job.toml");
  if (!spec.ok()) co_return Result{Fate::kRefused, spec.status()};
  const JobSpec::Message& message = spec->message;
  const std::pair<const std::string*, const char*> parts[] = {{&message.text, "message.text"},
                                                              {&message.html, "message.html"},
                                                              {&message.eml, "message.eml"}};
  for (const auto& part : parts) {
    if (part.first->empty()) continue;
    const std::string name = *part.first;
    result = co_await copy_small(name, part.second, kTemplateBytesMax);
    if (result.fate != Fate::kDone) co_return result;
  }
  copied_.clear();
  const std::string list = spec->list.file;
  result = co_await bring_list(list);
  if (result.fate != Fate::kDone) co_return result;
  status = co_await files_.sync_directory(parent_of(arriving_ + "/" + list));
  if (status.ok()) status = co_await files_.sync_directory(arriving_);
  if (status.ok()) status = io.rename(arriving_, active_);
  if (status.ok()) status = co_await files_.sync_directory(spool_.active);
  co_return result_of(status);
}

void JobTransfer::clear_away() {
  if (!loop_.io().stat(claimed_).ok()) return;
  const Status removed = remove_tree(loop_.io(), claimed_);
  if (removed.ok()) return;
  log(LogLevel::kWarning, "job " + id_ + " was copied, but what was dropped stays in " + claimed_ +
                              ": " + message_of(removed) + "; its owner may remove it");
}

// What was dropped and not copied goes along, as far as we may move it.
void JobTransfer::merge_leftovers(const std::string& into) {
  Io& io = loop_.io();
  const StatusOr<std::vector<std::string>> names = io.list(claimed_);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::string target = into + "/" + name;
    if (!io.stat(target).ok()) (void)io.rename(claimed_ + "/" + name, target);
  }
  clear_away();
}

Task<Status> JobTransfer::set_aside(std::string text) {
  Io& io = loop_.io();
  const std::string failed = spool_.failed_job(id_);
  std::string where = io.stat(active_).ok() ? active_ : arriving_;
  if (io.stat(failed).ok()) where = failed;  // an earlier process came so far
  Status status;
  if (where == arriving_) status = io.make_directory(arriving_, 0750);
  if (status.ok()) status = co_await files_.write_durably(JobPaths(where).error, std::move(text));
  if (status.ok() && where != failed) status = io.rename(where, failed);
  if (!status.ok()) co_return status;
  merge_leftovers(failed);
  co_return co_await files_.sync_directory(spool_.failed);
}

}  // namespace sluice
