// The file calls of SimIo.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/base/check.h"
#include "tests/sim/sim_io.h"

namespace sluice::sim {
namespace {

constexpr size_t kReadMax = 1UL << 20;

// As UringIo says it.
Status file_error(const std::string& what, IoError error) {
  const std::string text = what + ": " + std::string(name_of(error));
  switch (error) {
    case IoError::kNone:
      return {};
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

}  // namespace

StatusOr<Handle> SimIo::open_file(const std::string& path, OpenMode mode) {
  if (descriptors_.size() >= descriptors_max) return exhausted(path + ": too many open files");
  Descriptor file;
  file.path = path;
  const bool make = mode == OpenMode::kCreate || mode == OpenMode::kAppend;
  IoError error =
      disk_->open(path, make, mode == OpenMode::kCreate, world_->wall_now(), &file.node);
  if (error == IoError::kNone && file.node->is_directory != (mode == OpenMode::kDirectory)) {
    error = IoError::kFailed;
  }
  if (error != IoError::kNone) return file_error("cannot open " + path, error);
  return add(std::move(file));
}

void SimIo::start_file(Operation& op, Handle file, Duration delay,
                       std::function<IoResult()> finish) {
  const uint64_t id = start(op, file);
  pending_.at(id).finish = std::move(finish);
  world_->after(delay, this, [this, id] {
    const IoResult result = pending_.at(id).finish();
    end(id, result);
  });
}

void SimIo::read(Operation& op, Handle file, std::span<char> buffer, uint64_t offset) {
  const NodePtr node = descriptors_.at(file).node;
  const std::string path = descriptors_.at(file).path;
  const Duration delay = world_->between(pace.quick_min, pace.quick_max);
  start_file(op, file, delay, [this, node, path, buffer, offset]() -> IoResult {
    const IoError error = disk_->fault ? disk_->fault(DiskCall::kRead, path) : IoError::kNone;
    if (error != IoError::kNone) return {0, error, EIO};
    if (offset >= node->octets.size()) return {};
    const size_t size = std::min({buffer.size(), node->octets.size() - offset, kReadMax});
    std::memcpy(buffer.data(), node->octets.data() + offset, size);
    return {static_cast<int32_t>(size), IoError::kNone, 0};
  });
}

void SimIo::write(Operation& op, Handle file, std::span<const iovec> pieces, uint64_t offset) {
  CHECK(!pieces.empty() && pieces.size() <= 1'024);
  const NodePtr node = descriptors_.at(file).node;
  const std::string path = descriptors_.at(file).path;
  std::string octets;
  for (const iovec& piece : pieces) {
    octets.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  // Now and then a write is short.
  if (octets.size() > 1 && world_->happens(50)) {
    octets.resize(1 + world_->random().below(octets.size() - 1));
  }
  const Duration delay = world_->between(pace.quick_min, pace.quick_max);
  start_file(op, file, delay, [this, node, path, octets, offset]() -> IoResult {
    const IoError error = disk_->write(node, path, offset, octets, world_->wall_now());
    if (error != IoError::kNone) return {0, error, error == IoError::kNoSpace ? ENOSPC : EIO};
    return {static_cast<int32_t>(octets.size()), IoError::kNone, 0};
  });
}

void SimIo::sync(Operation& op, Handle file) {
  const NodePtr node = descriptors_.at(file).node;
  const std::string path = descriptors_.at(file).path;
  const Duration delay = world_->between(pace.sync_min, disk_->sync_max);
  start_file(op, file, delay, [this, node, path, ranges = disk_->begin_sync(node)]() -> IoResult {
    const IoError error = disk_->end_sync(node, path, ranges);
    world_->note("sync " + path + " " + std::string(name_of(error)));
    return {0, error, error == IoError::kNone ? 0 : EIO};
  });
}

StatusOr<FileStat> SimIo::stat(const std::string& path) {
  const NodePtr node = disk_->find(path);
  if (!node) return file_error(path, IoError::kNotFound);
  FileStat out;
  out.bytes = node->octets.size();
  out.is_directory = node->is_directory;
  out.is_file = !node->is_directory;
  out.modified = node->modified;
  out.mode = node->mode;
  return out;
}

StatusOr<std::vector<std::string>> SimIo::list(const std::string& path) {
  const NodePtr node = disk_->find(path);
  if (!node) return file_error("cannot list " + path, IoError::kNotFound);
  std::vector<std::string> names;
  for (const auto& [name, child] : node->names) names.push_back(name);
  return names;
}

Status SimIo::make_directory(const std::string& path, uint32_t mode) {
  return file_error("cannot make directory " + path,
                    disk_->make_directory(path, mode, world_->wall_now()));
}

Status SimIo::rename(const std::string& from, const std::string& to) {
  const IoError error = disk_->rename(from, to);
  world_->note("rename " + from + " to " + to + " " + std::string(name_of(error)));
  return file_error("cannot rename " + from + " to " + to, error);
}

Status SimIo::remove_file(const std::string& path) {
  return file_error("cannot remove " + path, disk_->remove(path, false));
}

Status SimIo::truncate(const std::string& path, uint64_t bytes) {
  return file_error("cannot cut " + path, disk_->truncate(path, bytes));
}

Status SimIo::remove_directory(const std::string& path) {
  return file_error("cannot remove directory " + path, disk_->remove(path, true));
}

StatusOr<uint64_t> SimIo::free_bytes(const std::string&) {
  return disk_->capacity - std::min(disk_->capacity, disk_->bytes_used());
}

}  // namespace sluice::sim
