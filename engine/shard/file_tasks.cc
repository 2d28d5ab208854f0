#include "engine/shard/file_tasks.h"

#include <utility>

#include "engine/spool/job_directory.h"

namespace sluice {
namespace {

constexpr size_t kCopiedAtOnce = 1UL << 20;

Status failed(const std::string& what, const std::string& path, const IoResult& result) {
  const std::string text = what + " " + path + ": " + std::string(name_of(result.error));
  if (result.error == IoError::kNoSpace) {
    return exhausted(text + "; make room on the spool's file system");
  }
  return io_error(text);
}

}  // namespace

std::string parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

Task<IoResult> FileTasks::finish() {
  while (!op_.done()) co_await done_;
  co_return op_.take();
}

Task<StatusOr<std::string>> FileTasks::read_whole(std::string path, uint64_t bytes_max) {
  const StatusOr<FileStat> stat = loop_.io().stat(path);
  if (!stat.ok()) co_return stat.status();
  if (stat->is_symlink) {
    co_return invalid(path + " is a symbolic link; put the file itself there");
  }
  const StatusOr<Handle> file = loop_.io().open_file(path, OpenMode::kRead);
  co_return co_await read_opened(file, path, bytes_max);
}

Task<StatusOr<std::string>> FileTasks::read_whole_beneath(std::string directory, std::string name,
                                                          uint64_t bytes_max) {
  const StatusOr<Handle> file = loop_.io().open_beneath(directory, name);
  co_return co_await read_opened(file, directory + "/" + name, bytes_max);
}

Task<StatusOr<std::string>> FileTasks::read_opened(StatusOr<Handle> file, std::string path,
                                                   uint64_t bytes_max) {
  if (!file.ok()) co_return file.status();
  std::string whole;
  Status status;
  while (status.ok()) {
    const StatusOr<std::string> octets =
        co_await read_part(*file, path, whole.size(), kCopiedAtOnce);
    status = octets.status();
    if (!status.ok() || octets->empty()) break;
    whole += *octets;
    if (whole.size() > bytes_max) {
      status = invalid(path + " has more than " + std::to_string(bytes_max) + " octets");
    }
  }
  loop_.io().close(*file);
  if (!status.ok()) co_return status;
  co_return whole;
}

Task<StatusOr<std::string>> FileTasks::read_part(Handle file, std::string path, uint64_t offset,
                                                 size_t size) {
  octets_.resize(size);
  size_t got = 0;
  while (got < size) {
    loop_.io().read(op_, file, std::span(octets_.data() + got, size - got), offset + got);
    const IoResult result = co_await finish();
    if (!result.ok()) co_return failed("cannot read", path, result);
    if (result.value == 0) break;
    got += static_cast<size_t>(result.value);
  }
  octets_.resize(got);
  co_return std::exchange(octets_, {});
}

Task<Status> FileTasks::write_octets(Handle file, std::string path, uint64_t offset) {
  size_t written = 0;
  while (written < octets_.size()) {
    piece_ = {octets_.data() + written, octets_.size() - written};
    loop_.io().write(op_, file, std::span(&piece_, 1), offset + written);
    const IoResult result = co_await finish();
    if (!result.ok()) co_return failed("cannot write", path, result);
    written += static_cast<size_t>(result.value);
  }
  co_return Status();
}

Task<Status> FileTasks::sync_handle(Handle file, std::string path) {
  loop_.io().sync(op_, file);
  const IoResult synced = co_await finish();
  if (!synced.ok()) co_return failed("cannot sync", path, synced);
  co_return Status();
}

Task<Status> FileTasks::write_and_sync(Handle file, std::string path, uint64_t offset) {
  const Status written = co_await write_octets(file, path, offset);
  if (!written.ok()) co_return written;
  co_return co_await sync_handle(file, path);
}

Task<Status> FileTasks::sync_directory(std::string path) {
  const StatusOr<Handle> directory = loop_.io().open_file(path, OpenMode::kDirectory);
  if (!directory.ok()) co_return directory.status();
  const Status synced = co_await sync_handle(*directory, path);
  loop_.io().close(*directory);
  co_return synced;
}

StatusOr<Handle> FileTasks::open_temporary(const std::string& temporary) {
  if (loop_.io().stat(temporary).ok()) RETURN_IF_ERROR(loop_.io().remove_file(temporary));
  return loop_.io().open_file(temporary, OpenMode::kCreate);
}

// A file that was written under a temporary name gets its own, unless writing failed.
Task<Status> FileTasks::publish(Status written, std::string temporary, std::string path) {
  if (written.ok()) written = loop_.io().rename(temporary, path);
  if (!written.ok()) {
    (void)loop_.io().remove_file(temporary);
    co_return written;
  }
  co_return co_await sync_directory(parent_of(path));
}

Task<Status> FileTasks::write_durably(std::string path, std::string octets) {
  const std::string temporary = JobPaths::temporary(path);
  const StatusOr<Handle> file = open_temporary(temporary);
  if (!file.ok()) co_return file.status();
  octets_ = std::move(octets);
  const Status written = co_await write_and_sync(*file, temporary, 0);
  loop_.io().close(*file);
  octets_.clear();
  co_return co_await publish(written, temporary, path);
}

Task<Status> FileTasks::copy_durably(Handle from, std::string from_path, std::string path) {
  const std::string temporary = JobPaths::temporary(path);
  const StatusOr<Handle> file = open_temporary(temporary);
  if (!file.ok()) co_return file.status();
  Status status;
  uint64_t offset = 0;
  while (status.ok()) {
    StatusOr<std::string> octets = co_await read_part(from, from_path, offset, kCopiedAtOnce);
    status = octets.status();
    if (!status.ok() || octets->empty()) break;
    const size_t size = octets->size();
    octets_ = std::move(*octets);
    status = co_await write_octets(*file, temporary, offset);
    offset += size;
  }
  octets_.clear();
  if (status.ok()) status = co_await sync_handle(*file, temporary);
  loop_.io().close(*file);
  co_return co_await publish(status, temporary, path);
}

Task<Status> FileTasks::append_durably(std::string path, std::string octets, uint64_t offset) {
  const StatusOr<Handle> file = loop_.io().open_file(path, OpenMode::kAppend);
  if (!file.ok()) co_return file.status();
  octets_ = std::move(octets);
  Status status = co_await write_and_sync(*file, path, offset);
  loop_.io().close(*file);
  octets_.clear();
  co_return status;
}

}  // namespace sluice
