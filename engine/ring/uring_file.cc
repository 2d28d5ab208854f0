// The file calls of UringIo that are made at once, without the ring.
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "engine/ring/uring_io.h"

namespace sluice {
namespace {

Status file_error(const std::string& what, int error) {
  const std::string text = what + ": " + std::strerror(error);
  switch (io_error_of(error)) {
    case IoError::kNotFound:
      return missing(text);
    case IoError::kExists:
      return {absl::StatusCode::kAlreadyExists, text};
    case IoError::kDenied:
    case IoError::kReadOnly:
      return cannot_create(text);
    case IoError::kNoSpace:
    case IoError::kNoDescriptors:
      return exhausted(text);
    default:
      return io_error(text);
  }
}

// Opened without waiting, for it might have been a pipe. Reads of a regular one wait again: some
// file systems answer EAGAIN else.
StatusOr<Handle> regular_file(int descriptor, const std::string& path) {
  struct stat raw {};
  if (fstat(descriptor, &raw) == 0 && S_ISREG(raw.st_mode)) {
    if (fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK) == 0) {
      return descriptor;
    }
  }
  ::close(descriptor);
  return invalid(path + " is not a regular file");
}

}  // namespace

StatusOr<Handle> UringIo::open_file(const std::string& path, OpenMode mode) {
  int flags = O_CLOEXEC;
  switch (mode) {
    // A link where a file is expected may point anywhere: never followed. Nor is a pipe waited for.
    case OpenMode::kRead:
      flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
      break;
    case OpenMode::kCreate:
      flags |= O_WRONLY | O_CREAT | O_EXCL;
      break;
    case OpenMode::kAppend:
      flags |= O_WRONLY | O_CREAT | O_NOFOLLOW;
      break;
    case OpenMode::kDirectory:
      flags |= O_RDONLY | O_DIRECTORY;
      break;
  }
  const int descriptor = open(path.c_str(), flags, 0640);
  if (descriptor < 0) return file_error("cannot open " + path, errno);
  return mode == OpenMode::kRead ? regular_file(descriptor, path) : StatusOr<Handle>(descriptor);
}

StatusOr<Handle> UringIo::open_beneath(const std::string& directory, const std::string& name) {
  const std::string path = directory + "/" + name;
  const int parent = open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) return file_error("cannot open " + directory, errno);
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const long opened = syscall(SYS_openat2, parent, name.c_str(), &how, sizeof how);
  const int error = errno;
  ::close(parent);
  if (opened < 0) return file_error("cannot open " + path, error);
  return regular_file(static_cast<int>(opened), path);
}

StatusOr<FileStat> UringIo::stat(const std::string& path) {
  struct stat raw {};
  if (lstat(path.c_str(), &raw) != 0) return file_error(path, errno);
  FileStat out;
  out.bytes = static_cast<uint64_t>(raw.st_size);
  out.is_directory = S_ISDIR(raw.st_mode);
  out.is_file = S_ISREG(raw.st_mode);
  out.is_symlink = S_ISLNK(raw.st_mode);
  out.modified = WallTime(std::chrono::seconds(raw.st_mtim.tv_sec) +
                          std::chrono::nanoseconds(raw.st_mtim.tv_nsec));
  out.mode = raw.st_mode & 07777;
  out.owner = raw.st_uid;
  return out;
}

StatusOr<std::vector<std::string>> UringIo::list(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return file_error("cannot list " + path, errno);
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

Status UringIo::make_directory(const std::string& path, uint32_t mode) {
  if (mkdir(path.c_str(), mode) == 0) {
    // mkdir applies the umask and drops the set-group bit; the spool's modes are a promise.
    if (chmod(path.c_str(), mode) != 0) return file_error("cannot set the mode of " + path, errno);
    return {};
  }
  const int error = errno;
  struct stat raw {};
  if (error == EEXIST && ::stat(path.c_str(), &raw) == 0 && S_ISDIR(raw.st_mode)) return {};
  return file_error("cannot make directory " + path, error);
}

Status UringIo::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  return file_error("cannot rename " + from + " to " + to, errno);
}

Status UringIo::remove_file(const std::string& path) {
  if (unlink(path.c_str()) == 0) return {};
  return file_error("cannot remove " + path, errno);
}

Status UringIo::truncate(const std::string& path, uint64_t bytes) {
  if (::truncate(path.c_str(), static_cast<off_t>(bytes)) == 0) return {};
  return file_error("cannot cut " + path, errno);
}

Status UringIo::remove_directory(const std::string& path) {
  if (rmdir(path.c_str()) == 0) return {};
  return file_error("cannot remove directory " + path, errno);
}

StatusOr<uint64_t> UringIo::free_bytes(const std::string& path) {
  struct statvfs raw {};
  if (statvfs(path.c_str(), &raw) != 0) return file_error(path, errno);
  return static_cast<uint64_t>(raw.f_bavail) * raw.f_frsize;
}

}  // namespace sluice
