#include "tests/sim/disk.h"

#include <algorithm>

#include "engine/base/check.h"

namespace sluice::sim {
namespace {

constexpr size_t kSector = 512;

NodePtr new_directory(uint32_t mode) {
  auto node = std::make_shared<Node>();
  node->is_directory = true;
  node->mode = mode;
  return node;
}

// The octets of a file after a power cut: each sector as it was synced or as it was written.
std::string torn(const Node& file, Random& random) {
  std::string out = file.durable;
  if (file.dirty.empty()) return out;
  uint64_t end = 0;
  for (const auto& [first, last] : file.dirty) end = std::max(end, last);
  end = std::min<uint64_t>(end, file.octets.size());
  if (end > out.size()) {
    // The size is made durable apart from the octets.
    out.resize(out.size() + random.below(end - out.size() + 1), '\0');
  }
  for (const auto& [first, last] : file.dirty) {
    for (uint64_t at = first / kSector * kSector; at < last; at += kSector) {
      if (random.below(2) == 0) continue;
      const uint64_t begin = std::max<uint64_t>(at, first);
      const uint64_t stop = std::min<uint64_t>({at + kSector, last, out.size()});
      if (begin < stop) out.replace(begin, stop - begin, file.octets, begin, stop - begin);
    }
  }
  return out;
}

}  // namespace

Disk::Disk() : root_(new_directory(0755)) { durable_names_[root_]; }

NodePtr Disk::parent(const std::string& path, std::string* name) const {
  CHECK(!path.empty() && path.front() == '/');
  NodePtr at = root_;
  size_t begin = 1;
  while (true) {
    const size_t slash = path.find('/', begin);
    if (slash == std::string::npos) break;
    const auto found = at->names.find(path.substr(begin, slash - begin));
    if (found == at->names.end() || !found->second->is_directory) return nullptr;
    at = found->second;
    begin = slash + 1;
  }
  *name = path.substr(begin);
  return at;
}

NodePtr Disk::find(const std::string& path) const {
  if (path == "/") return root_;
  std::string name;
  const NodePtr directory = parent(path, &name);
  if (!directory) return nullptr;
  const auto found = directory->names.find(name);
  return found == directory->names.end() ? nullptr : found->second;
}

std::string Disk::text(const std::string& path) const {
  const NodePtr node = find(path);
  return node ? node->octets : std::string();
}

void Disk::put_directory(const std::string& path) {
  if (path.empty() || find(path)) return;
  put_directory(path.substr(0, path.rfind('/')));
  std::string name;
  const NodePtr directory = parent(path, &name);
  const NodePtr made = new_directory(0750);
  directory->names[name] = made;
  durable_names_[directory][name] = made;
  durable_names_[made];
}

void Disk::put(const std::string& path, std::string octets) {
  put_directory(path.substr(0, path.rfind('/')));
  std::string name;
  const NodePtr directory = parent(path, &name);
  auto file = std::make_shared<Node>();
  bytes_used_ += octets.size();
  file->octets = octets;
  file->durable = std::move(octets);
  directory->names[name] = file;
  durable_names_[directory][name] = file;
}

void Disk::change(const NodePtr& directory, const std::string& name, NodePtr node, bool joined) {
  if (node) {
    directory->names[name] = node;
  } else {
    directory->names.erase(name);
  }
  changes_.push_back({directory, name, std::move(node), joined});
}

IoError Disk::open(const std::string& path, bool make, bool must_be_new, WallTime now,
                   NodePtr* out) {
  if (const IoError error = check(DiskCall::kOpen, path); error != IoError::kNone) return error;
  std::string name;
  const NodePtr directory = parent(path, &name);
  if (!directory) return IoError::kNotFound;
  NodePtr node = find(path);
  if (node && must_be_new) return IoError::kExists;
  if (!node && !make) return IoError::kNotFound;
  if (!node) {
    node = std::make_shared<Node>();
    node->modified = now;
    change(directory, name, node, false);
  }
  *out = node;
  return IoError::kNone;
}

IoError Disk::make_directory(const std::string& path, uint32_t mode, WallTime now) {
  if (const IoError e = check(DiskCall::kMakeDirectory, path); e != IoError::kNone) return e;
  std::string name;
  const NodePtr directory = parent(path, &name);
  if (!directory) return IoError::kNotFound;
  if (const NodePtr there = find(path)) {
    return there->is_directory ? IoError::kNone : IoError::kExists;
  }
  const NodePtr made = new_directory(mode);
  made->modified = now;
  durable_names_[made];
  change(directory, name, made, false);
  return IoError::kNone;
}

IoError Disk::rename(const std::string& from, const std::string& to) {
  if (const IoError error = check(DiskCall::kRename, from); error != IoError::kNone) return error;
  std::string old_name;
  std::string new_name;
  const NodePtr old_directory = parent(from, &old_name);
  const NodePtr new_directory = parent(to, &new_name);
  const NodePtr node = find(from);
  if (!old_directory || !new_directory || !node) return IoError::kNotFound;
  if (const NodePtr there = find(to); there && there->is_directory && !there->names.empty()) {
    return IoError::kExists;
  }
  change(old_directory, old_name, nullptr, false);
  change(new_directory, new_name, node, true);
  return IoError::kNone;
}

IoError Disk::remove(const std::string& path, bool directory) {
  if (const IoError error = check(DiskCall::kRemove, path); error != IoError::kNone) return error;
  std::string name;
  const NodePtr holder = parent(path, &name);
  const NodePtr node = find(path);
  if (!holder || !node) return IoError::kNotFound;
  if (node->is_directory != directory || !node->names.empty()) return IoError::kFailed;
  bytes_used_ -= node->octets.size();
  change(holder, name, nullptr, false);
  return IoError::kNone;
}

IoError Disk::write(const NodePtr& file, const std::string& path, uint64_t offset,
                    std::string_view octets, WallTime now) {
  if (const IoError error = check(DiskCall::kWrite, path); error != IoError::kNone) return error;
  const uint64_t end = offset + octets.size();
  const uint64_t grown = end > file->octets.size() ? end - file->octets.size() : 0;
  if (bytes_used_ + grown > capacity) return IoError::kNoSpace;
  bytes_used_ += grown;
  if (grown > 0) file->octets.resize(end);
  file->octets.replace(offset, octets.size(), octets);
  file->dirty.emplace_back(offset, end);
  file->modified = now;
  return IoError::kNone;
}

IoError Disk::truncate(const std::string& path, uint64_t bytes) {
  if (const IoError error = check(DiskCall::kWrite, path); error != IoError::kNone) return error;
  const NodePtr file = find(path);
  if (!file || file->is_directory) return IoError::kNotFound;
  if (file->octets.size() <= bytes) return IoError::kNone;
  bytes_used_ -= file->octets.size() - bytes;
  file->octets.resize(bytes);
  if (file->durable.size() > bytes) file->durable.resize(bytes);
  std::erase_if(file->dirty, [bytes](const auto& range) { return range.first >= bytes; });
  for (auto& [begin, end] : file->dirty) end = std::min(end, bytes);
  return IoError::kNone;
}

std::vector<std::pair<uint64_t, uint64_t>> Disk::begin_sync(const NodePtr& file) {
  return file->dirty;
}

IoError Disk::end_sync(const NodePtr& node, const std::string& path,
                       const std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  const IoError error = check(DiskCall::kSync, path);
  if (node->is_directory) {
    if (error != IoError::kNone) return error;
    size_t covered = 0;
    for (size_t i = 0; i < changes_.size(); ++i) {
      if (changes_[i].directory == node) covered = i + 1;
    }
    while (covered < changes_.size() && changes_[covered].joined) ++covered;
    for (size_t i = 0; i < covered; ++i) {
      Change& done = changes_[i];
      if (done.node) {
        durable_names_[done.directory][done.name] = done.node;
      } else {
        durable_names_[done.directory].erase(done.name);
      }
    }
    changes_.erase(changes_.begin(), changes_.begin() + static_cast<std::ptrdiff_t>(covered));
    return IoError::kNone;
  }
  for (const auto& [begin, end] : ranges) {
    if (error == IoError::kNone) {
      if (node->durable.size() < end) node->durable.resize(end, '\0');
      node->durable.replace(begin, end - begin, node->octets, begin, end - begin);
    }
    std::erase(node->dirty, std::pair(begin, end));
  }
  if (error == IoError::kNone && synced) synced(path);
  return error;
}

std::unique_ptr<Disk> Disk::after_crash(Random& random) const {
  // Any beginning of the journal of names has reached the disk, whole transactions only.
  size_t kept = random.below(changes_.size() + 1);
  while (kept < changes_.size() && changes_[kept].joined) ++kept;
  std::map<NodePtr, std::map<std::string, NodePtr>> names = durable_names_;
  for (size_t i = 0; i < kept; ++i) {
    const Change& done = changes_[i];
    if (done.node) {
      names[done.directory][done.name] = done.node;
    } else {
      names[done.directory].erase(done.name);
    }
  }
  auto disk = std::make_unique<Disk>();
  disk->capacity = capacity;
  disk->sync_max = sync_max;
  // Depth first, in the order of names: chance is drawn in the same order in every run.
  std::vector<std::pair<NodePtr, std::string>> todo = {{root_, ""}};
  while (!todo.empty()) {
    const auto [directory, path] = todo.back();
    todo.pop_back();
    for (const auto& [name, node] : names[directory]) {
      const std::string child = path + "/" + name;
      if (node->is_directory) {
        disk->put_directory(child);
        disk->find(child)->mode = node->mode;
        todo.emplace_back(node, child);
      } else {
        disk->put(child, torn(*node, random));
      }
    }
  }
  return disk;
}

}  // namespace sluice::sim
