#include "engine/shard/file_tasks.h"

#include <utility>

namespace sluice {
namespace {

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
  if (stat->bytes > bytes_max) {
    co_return invalid(path + " has " + std::to_string(stat->bytes) + " octets, more than " +
                      std::to_string(bytes_max));
  }
  const StatusOr<Handle> file = loop_.io().open_file(path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  StatusOr<std::string> octets = co_await read_part(*file, path, 0, stat->bytes);
  loop_.io().close(*file);
  co_return octets;
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

Task<Status> FileTasks::write_and_sync(Handle file, std::string path, uint64_t offset) {
  size_t written = 0;
  while (written < octets_.size()) {
    piece_ = {octets_.data() + written, octets_.size() - written};
    loop_.io().write(op_, file, std::span(&piece_, 1), offset + written);
    const IoResult result = co_await finish();
    if (!result.ok()) co_return failed("cannot write", path, result);
    written += static_cast<size_t>(result.value);
  }
  loop_.io().sync(op_, file);
  const IoResult synced = co_await finish();
  if (!synced.ok()) co_return failed("cannot sync", path, synced);
  co_return Status();
}

Task<Status> FileTasks::sync_directory(std::string path) {
  const StatusOr<Handle> directory = loop_.io().open_file(path, OpenMode::kDirectory);
  if (!directory.ok()) co_return directory.status();
  loop_.io().sync(op_, *directory);
  const IoResult synced = co_await finish();
  loop_.io().close(*directory);
  if (!synced.ok()) co_return failed("cannot sync", path, synced);
  co_return Status();
}

Task<Status> FileTasks::write_durably(std::string path, std::string octets) {
  const std::string temporary = path + ".tmp";
  if (loop_.io().stat(temporary).ok()) (void)loop_.io().remove_file(temporary);
  const StatusOr<Handle> file = loop_.io().open_file(temporary, OpenMode::kCreate);
  if (!file.ok()) co_return file.status();
  octets_ = std::move(octets);
  Status status = co_await write_and_sync(*file, temporary, 0);
  loop_.io().close(*file);
  octets_.clear();
  if (status.ok()) status = loop_.io().rename(temporary, path);
  if (!status.ok()) {
    (void)loop_.io().remove_file(temporary);
    co_return status;
  }
  co_return co_await sync_directory(parent_of(path));
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
