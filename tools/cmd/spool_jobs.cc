#include "tools/cmd/spool_jobs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "engine/base/strings.h"
#include "engine/config/job_file.h"
#include "engine/record/damage.h"
#include "engine/record/format.h"
#include "engine/record/parser.h"
#include "engine/spool/job_files.h"
#include "tools/cmd/command.h"
#include "tools/cmd/job_rows.h"

namespace sluice::tools {
namespace {

constexpr uint64_t kSmallFileBytesMax = 1UL << 20;
constexpr size_t kReadBytes = 256UL << 10;

std::string reason() { return std::strerror(errno); }

const std::string& directory_of(const SpoolPaths& spool, Place place) {
  switch (place) {
    case Place::kIncoming:
      return spool.incoming;
    case Place::kActive:
      return spool.active;
    case Place::kDone:
      return spool.done;
    case Place::kFailed:
      return spool.failed;
  }
  return spool.active;
}

// Oldest first, by the time in the id; ids that have none before all others.
bool is_older(const FoundJob& a, const FoundJob& b) {
  const auto time_of = [](const FoundJob& job) {
    const auto id = parse_job_id(job.id);
    return id ? id->created : WallTime();
  };
  return std::pair(time_of(a), a.id) < std::pair(time_of(b), b.id);
}

// The name that its job.toml gives it; empty when that cannot be told.
std::string name_in_job_file(const OpenDirectory& directory) {
  const StatusOr<std::string> text = directory.read("job.toml", kSmallFileBytesMax);
  if (!text.ok()) return {};
  const StatusOr<JobSpec> spec = parse_job(*text, "job.toml");
  return spec.ok() ? spec->name : std::string();
}

Status read_journal_file(int descriptor, const std::string& path,
                         const std::function<Status(const JournalEntry&)>& use) {
  using Step = JournalParser::Step;
  JournalParser parser(path);
  JournalEntry entry;
  std::string octets(kReadBytes, '\0');
  while (true) {
    const ssize_t count = ::read(descriptor, octets.data(), octets.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error("cannot read " + path + ": " + reason());
    if (count == 0) {
      parser.end();
    } else {
      parser.feed(std::string_view(octets.data(), static_cast<size_t>(count)));
    }
    Step step = Step::kMore;
    while ((step = parser.next(entry)) == Step::kEntry) RETURN_IF_ERROR(use(entry));
    if (step == Step::kCorrupt) return parser.status();
    if (step == Step::kEnd) return {};
  }
}

// Those that nobody has taken yet; who may not look into incoming/ does not see them.
void add_dropped(const OpenDirectory& root, std::vector<FoundJob>& jobs) {
  const StatusOr<std::vector<std::string>> names = root.list("incoming");
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    const std::optional<std::string> claimed = parse_claimed_name(name);
    const std::string id = claimed.value_or(name);
    const bool arrived =
        std::any_of(jobs.begin(), jobs.end(), [&](const FoundJob& job) { return job.id == id; });
    if (arrived || (!claimed && !is_takeable(name))) continue;
    // Only a directory can be a job.
    if (root.list("incoming/" + name).ok()) jobs.push_back({id, Place::kIncoming});
  }
}

}  // namespace

StatusOr<OpenDirectory> OpenDirectory::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0) return OpenDirectory(descriptor, path);
  if (errno == ENOENT || errno == ENOTDIR) return missing(path + " does not exist");
  return io_error("cannot open " + path + ": " + reason());
}

OpenDirectory::OpenDirectory(OpenDirectory&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

OpenDirectory::~OpenDirectory() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

StatusOr<std::vector<std::string>> OpenDirectory::list(const std::string& relative) const {
  std::vector<std::string> names;
  const int descriptor =
      ::openat(descriptor_, relative.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT) return names;
  DIR* stream = descriptor < 0 ? nullptr : ::fdopendir(descriptor);
  if (stream == nullptr) {
    const std::string why = reason();
    if (descriptor >= 0) ::close(descriptor);
    return io_error("cannot list " + path_ + "/" + relative + ": " + why);
  }
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(stream);
  std::sort(names.begin(), names.end());
  return names;
}

StatusOr<int> OpenDirectory::open_file(const std::string& relative) const {
  const int descriptor = ::openat(descriptor_, relative.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) return descriptor;
  const std::string path = path_ + "/" + relative;
  if (errno == ENOENT) return missing(path + " does not exist");
  return io_error("cannot open " + path + ": " + reason());
}

StatusOr<std::string> OpenDirectory::read(const std::string& relative, uint64_t bytes_max) const {
  ASSIGN_OR_RETURN(const int descriptor, open_file(relative));
  std::string octets;
  std::string piece(kReadBytes, '\0');
  Status status;
  while (status.ok()) {
    const ssize_t count = ::read(descriptor, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) status = io_error("cannot read " + path_ + "/" + relative + ": " + reason());
    if (count <= 0) break;
    octets.append(piece, 0, static_cast<size_t>(count));
    if (octets.size() > bytes_max) {
      status = io_error(path_ + "/" + relative + " has more than " + grouped(bytes_max) +
                        " octets; it is damaged");
    }
  }
  ::close(descriptor);
  if (!status.ok()) return status;
  return octets;
}

StatusOr<std::vector<FoundJob>> list_jobs(const SpoolPaths& spool) {
  ASSIGN_OR_RETURN(const OpenDirectory root, OpenDirectory::open(spool.root));
  std::vector<FoundJob> jobs;
  for (const Place place : {Place::kActive, Place::kDone, Place::kFailed}) {
    const std::string relative = directory_of(spool, place).substr(spool.root.size() + 1);
    ASSIGN_OR_RETURN(const std::vector<std::string> names, root.list(relative));
    for (const std::string& name : names) {
      if (name[0] != '.') jobs.push_back({name, place});
    }
  }
  add_dropped(root, jobs);
  std::sort(jobs.begin(), jobs.end(), is_older);
  return jobs;
}

StatusOr<FoundJob> find_job(const SpoolPaths& spool, const std::string& id_or_name) {
  ASSIGN_OR_RETURN(const std::vector<FoundJob> jobs, list_jobs(spool));
  for (const FoundJob& job : jobs) {
    if (job.id == id_or_name) return job;
  }
  for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
    const auto id = parse_job_id(job->id);
    if (id && id->name == id_or_name) return *job;
  }
  for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
    const StatusOr<OpenDirectory> directory = open_job(spool, *job);
    if (directory.ok() && name_in_job_file(*directory) == id_or_name) return *job;
  }
  std::vector<std::string_view> known;
  known.reserve(jobs.size());
  for (const FoundJob& job : jobs) known.push_back(job.id);
  const std::string_view near = nearest(id_or_name, known);
  return missing("no job " + escaped(id_or_name) + " in " + spool.root +
                 (near.empty() ? "; `sluice status` names those there are"
                               : "; did you mean " + std::string(near) + "?"));
}

StatusOr<OpenDirectory> open_job(const SpoolPaths& spool, const FoundJob& job) {
  if (job.place == Place::kIncoming) {
    return exhausted("job " + job.id + " lies in " + spool.incoming +
                     " and is not taken yet: try again in a moment, or see whether sluice runs");
  }
  StatusOr<OpenDirectory> directory =
      OpenDirectory::open(SpoolPaths::child(directory_of(spool, job.place), job.id));
  if (directory.ok() || job.place != Place::kActive) return directory;
  return OpenDirectory::open(spool.done_job(job.id));
}

Status read_journal(const SpoolPaths& spool,
                    const std::function<Status(const JournalEntry&)>& use) {
  StatusOr<OpenDirectory> directory = OpenDirectory::open(spool.journal);
  if (directory.status().code() == absl::StatusCode::kNotFound) return {};
  if (!directory.ok()) return directory.status();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, directory->list());
  for (const std::string& name : names) {
    if (parse_damaged_journal_name(name)) {
      report_error(io_error(SpoolPaths::child(spool.journal, name) +
                            " cannot be read: what only it recorded is not counted"));
    }
    if (!parse_journal_file_name(name)) continue;
    const StatusOr<int> file = directory->open_file(name);
    if (file.status().code() == absl::StatusCode::kNotFound) continue;
    if (!file.ok()) return file.status();
    const Status status = read_journal_file(*file, spool.journal + "/" + name, use);
    ::close(*file);
    RETURN_IF_ERROR(status);
  }
  return {};
}

StatusOr<JobStatus> status_from_spool(const SpoolPaths& spool, const FoundJob& job) {
  if (job.place == Place::kIncoming) {
    JobStatus dropped;
    dropped.id = dropped.name = job.id;
    dropped.phase = "incoming";
    if (const auto id = parse_job_id(job.id)) {
      dropped.name = id->name;
      dropped.created = id->created;
    }
    return dropped;
  }
  ASSIGN_OR_RETURN(const OpenDirectory directory, open_job(spool, job));
  JobStatus status;
  status.id = job.id;
  const auto id = parse_job_id(job.id);
  if (id) {
    status.name = id->name;
    status.created = id->created;
  }
  if (job.place == Place::kFailed) {
    status.phase = "failed";
    ASSIGN_OR_RETURN(status.error, directory.read("error.txt", kSmallFileBytesMax));
    return status;
  }
  const StatusOr<std::string> text = directory.read("summary.json", kSmallFileBytesMax);
  if (text.ok()) {
    ASSIGN_OR_RETURN(const JobSummary summary, parse_summary(*text));
    return JobStatus{job.id,          summary.name,     "done", summary.counts,
                     summary.created, summary.finished, {}};
  }
  status.phase = "stopped";
  if (const std::string name = name_in_job_file(directory); !name.empty()) status.name = name;
  ASSIGN_OR_RETURN(status.counts, count_job(spool, directory, job.id));
  return status;
}

}  // namespace sluice::tools
