// Whole-file reading and durable writing as tasks, over Io.
//
// A FileTasks lives in whoever uses it (the kernel's buffers are here, not in frames); one task of
// it runs at a time. Errors name the path. Thread: the shard's.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/ring/loop.h"
#include "engine/ring/task.h"

namespace sluice {

class FileTasks {
 public:
  explicit FileTasks(Loop& loop) : loop_(loop) {}

  // The file's octets; a file of more than `bytes_max` is refused.
  Task<StatusOr<std::string>> read_whole(std::string path, uint64_t bytes_max);
  // The same of a file in somebody else's directory: no link below `directory` is followed.
  Task<StatusOr<std::string>> read_whole_beneath(std::string directory, std::string name,
                                                 uint64_t bytes_max);
  // Octets [offset, offset + size) of an open file; shorter only at its end.
  Task<StatusOr<std::string>> read_part(Handle file, std::string path, uint64_t offset,
                                        size_t size);
  // Writes under a temporary name, syncs, renames, syncs the directory: after it the file is there
  // whole, whatever happens; before it, not at all.
  Task<Status> write_durably(std::string path, std::string octets);
  // Copies what `from` holds, from its beginning; like write_durably() otherwise. `from` stays
  // open.
  Task<Status> copy_durably(Handle from, std::string from_path, std::string path);
  // Appends at `offset` and syncs.
  Task<Status> append_durably(std::string path, std::string octets, uint64_t offset);
  Task<Status> sync_directory(std::string path);
  // Of an open file or directory.
  Task<Status> sync_handle(Handle file, std::string path);

 private:
  Task<IoResult> finish();
  Task<Status> write_and_sync(Handle file, std::string path, uint64_t offset);
  Task<Status> write_octets(Handle file, std::string path, uint64_t offset);
  Task<StatusOr<std::string>> read_opened(StatusOr<Handle> file, std::string path,
                                          uint64_t bytes_max);
  Task<Status> publish(Status written, std::string temporary, std::string path);
  StatusOr<Handle> open_temporary(const std::string& temporary);

  Loop& loop_;
  Signal done_;
  Operation op_{done_};
  std::string octets_;
  iovec piece_{};
};

// The directory part of a path.
std::string parent_of(std::string_view path);

}  // namespace sluice
