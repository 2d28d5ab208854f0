#include "tools/cmd/submission.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "engine/base/strings.h"
#include "engine/config/job_file.h"
#include "engine/shard/job_loader.h"
#include "engine/spool/job_directory.h"
#include "tools/cmd/common.h"
#include "tools/cmd/descriptor.h"
#include "tools/cmd/run_task.h"

namespace sluice::tools {
namespace {

constexpr uint64_t kJobFileBytesMax = 1UL << 20;
constexpr size_t kCopyBytes = 1UL << 20;

std::string reason() { return std::strerror(errno); }

Status write_failed(const std::string& path, int error) {
  const std::string text = "cannot write " + path + ": " + std::strerror(error);
  if (error == ENOSPC || error == EDQUOT) return exhausted(text + "; make room in the spool");
  return io_error(text);
}

StatusOr<std::string> directory_of_job(const std::string& path) {
  struct stat there {};
  if (::stat(path.c_str(), &there) != 0) {
    return missing(path + ": " + reason() + "; name a directory that holds a job.toml");
  }
  std::string directory = path;
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  if (S_ISDIR(there.st_mode)) return directory;
  const size_t slash = directory.rfind('/');
  const size_t name = slash == std::string::npos ? 0 : slash + 1;
  if (directory.substr(name) != "job.toml") {
    return missing(path + " is no job; name a directory that holds a job.toml, or that file");
  }
  if (slash == std::string::npos) return std::string(".");
  return directory.substr(0, slash == 0 ? 1 : slash);
}

std::vector<std::string> files_of(const Job& job) {
  std::vector<std::string> files;
  std::set<std::string> seen = {"job.toml"};
  for (const std::string& file : job.message_files) {
    if (seen.insert(file).second) files.push_back(file);
  }
  if (seen.insert(job.spec.list.file).second) files.push_back(job.spec.list.file);
  files.push_back("job.toml");
  return files;
}

Status copy_octets(int from, const std::string& from_path, int to, const std::string& to_path) {
  std::string octets(kCopyBytes, '\0');
  while (true) {
    const ssize_t got = ::read(from, octets.data(), octets.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error("cannot read " + from_path + ": " + reason());
    if (got == 0) break;
    for (size_t done = 0; done < static_cast<size_t>(got);) {
      const ssize_t put = ::write(to, octets.data() + done, static_cast<size_t>(got) - done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return write_failed(to_path, errno);
      done += static_cast<size_t>(put);
    }
  }
  if (::fsync(to) != 0) return write_failed(to_path, errno);
  return {};
}

Status copy_file(const std::string& from_path, const std::string& to_path) {
  const Descriptor from(::open(from_path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (from.get() < 0) return io_error("cannot read " + from_path + ": " + reason());
  const Descriptor to(::open(to_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
  if (to.get() < 0) return write_failed(to_path, errno);
  return copy_octets(from.get(), from_path, to.get(), to_path);
}

Status sync_directory(const std::string& path) {
  const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0 && ::fsync(directory.get()) == 0) return {};
  return io_error("cannot sync " + path + ": " + reason());
}

// The sender, of the same group, renames and removes it: mode 2770 as incoming/ itself.
Status make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0770) == 0 && ::chmod(path.c_str(), 02770) == 0) return {};
  return write_failed(path, errno);
}

Status copy_files(const Submission& submission, const std::string& to) {
  std::set<std::string> made = {to};
  for (const std::string& file : submission.files) {
    for (size_t slash = file.find('/'); slash != std::string::npos;
         slash = file.find('/', slash + 1)) {
      const std::string part = to + "/" + file.substr(0, slash);
      if (made.insert(part).second) RETURN_IF_ERROR(make_directory(part));
    }
    const std::filesystem::path source = std::filesystem::path(submission.directory) / file;
    const std::filesystem::path target = std::filesystem::path(to) / file;
    RETURN_IF_ERROR(copy_file(source.string(), target.string()));
  }
  for (const std::string& directory : made) RETURN_IF_ERROR(sync_directory(directory));
  return {};
}

}  // namespace

StatusOr<Submission> check_submission(Loop& loop, const Configuration& config,
                                      const std::string& path, const std::string& name) {
  Submission submission;
  ASSIGN_OR_RETURN(submission.directory, directory_of_job(path));
  const std::string job_file = submission.directory + "/job.toml";
  ASSIGN_OR_RETURN(const std::string text, read_file(job_file, kJobFileBytesMax));
  ASSIGN_OR_RETURN(const JobSpec spec, parse_job(text, "job.toml"));
  const WallTime now = loop.io().wall_now();
  submission.id =
      make_job_id(clean_job_name(name.empty() ? spec.name : name), now, loop.io().random().next());
  // Loads the job as the sender does, which checks everything.
  const Limits limits;  // outlives the task, which refers to it
  StatusOr<JobPtr> loaded = run_task(loop, [&] {
    return load_job(loop, config, limits,
                    {.directory = submission.directory, .id = submission.id, .created = now});
  });
  if (!loaded.ok()) return annotate(loaded.status(), submission.directory);
  submission.job = std::move(*loaded);
  StatusOr<ListFindings> list = check_list(loop, *submission.job, now);
  if (!list.ok()) return annotate(list.status(), submission.directory);
  submission.list = std::move(*list);
  submission.files = files_of(*submission.job);
  return submission;
}

Status publish_submission(const Submission& submission, const std::string& spool) {
  const SpoolPaths paths(spool);
  const std::string hidden = paths.incoming_job("." + submission.id);
  if (::mkdir(hidden.c_str(), 0770) != 0) {
    const int error = errno;
    return cannot_create("cannot write into " + paths.incoming + ": " + std::strerror(error) +
                         (error == ENOENT
                              ? "; start `sluice run` once, which makes it, or correct [spool] path"
                              : "; become a member of the directory's group"));
  }
  Status status = ::chmod(hidden.c_str(), 02770) == 0 ? Status() : write_failed(hidden, errno);
  if (status.ok()) status = copy_files(submission, hidden);
  if (status.ok() && ::rename(hidden.c_str(), paths.incoming_job(submission.id).c_str()) != 0) {
    status = write_failed(paths.incoming_job(submission.id), errno);
  }
  if (!status.ok()) {
    std::error_code ignored;
    std::filesystem::remove_all(hidden, ignored);
    return status;
  }
  return sync_directory(paths.incoming);
}

}  // namespace sluice::tools
