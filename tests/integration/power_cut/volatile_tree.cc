#include "tests/integration/power_cut/volatile_tree.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace sluice::power_cut {
namespace {

constexpr size_t kPage = 4'096;

timespec now() {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  return time;
}

// The page as it stands in `octets`, filled with zeros.
std::string page_of(const std::string& octets, size_t begin) {
  std::string page = begin < octets.size() ? octets.substr(begin, kPage) : std::string();
  page.resize(kPage);
  return page;
}

bool toss(std::mt19937_64& dice) { return (dice() & 1) != 0; }

// Of what was written since the last sync some pages are on the disk.
std::string after_cut(const Node& file, std::mt19937_64& dice, uint64_t& lost_pages) {
  const size_t shorter = std::min(file.durable.size(), file.octets.size());
  const size_t longer = std::max(file.durable.size(), file.octets.size());
  std::string left(longer + kPage - longer % kPage, '\0');
  for (size_t begin = 0; begin < left.size(); begin += kPage) {
    const std::string before = page_of(file.durable, begin);
    const std::string written = page_of(file.octets, begin);
    const bool is_kept = toss(dice);
    left.replace(begin, kPage, is_kept ? written : before);
    if (!is_kept && written != before) ++lost_pages;
  }
  switch (dice() % 3) {
    case 0:
      left.resize(file.durable.size());
      break;
    case 1:
      left.resize(file.octets.size());
      break;
    default:
      left.resize(shorter + dice() % (longer - shorter + 1));
      break;
  }
  return left;
}

}  // namespace

VolatileTree::VolatileTree() : root_(std::make_shared<Node>()) {
  root_->mode = S_IFDIR | 0755;
  root_->modified = now();
}

NodePtr VolatileTree::find(std::string_view path) const {
  NodePtr node = root_;
  while (node != nullptr && !path.empty()) {
    path.remove_prefix(1);
    const std::string_view name = path.substr(0, path.find('/'));
    if (name.empty()) break;
    const auto found = node->names.find(std::string(name));
    node = found == node->names.end() ? nullptr : found->second;
    path.remove_prefix(name.size());
  }
  return node;
}

NodePtr VolatileTree::parent_of(std::string_view path, std::string* name) const {
  const size_t slash = path.rfind('/');
  *name = path.substr(slash + 1);
  NodePtr parent = find(path.substr(0, slash));
  return parent != nullptr && parent->is_directory() ? parent : nullptr;
}

void VolatileTree::apply(Operation operation) {
  for (const Change& change : operation) {
    if (change.node == nullptr) {
      change.directory->names.erase(change.name);
    } else {
      change.directory->names[change.name] = change.node;
    }
    change.directory->modified = now();
  }
  volatile_.push_back(std::move(operation));
}

int VolatileTree::make(std::string_view path, mode_t mode, NodePtr* made) {
  std::string name;
  const NodePtr parent = parent_of(path, &name);
  if (parent == nullptr) return -ENOENT;
  if (parent->names.count(name) != 0) return -EEXIST;
  *made = std::make_shared<Node>();
  (*made)->mode = mode;
  (*made)->modified = now();
  apply({{parent, name, *made}});
  return 0;
}

int VolatileTree::remove(std::string_view path, bool directory) {
  std::string name;
  const NodePtr parent = parent_of(path, &name);
  const NodePtr node = find(path);
  if (parent == nullptr || node == nullptr) return -ENOENT;
  if (directory && !node->is_directory()) return -ENOTDIR;
  if (directory && !node->names.empty()) return -ENOTEMPTY;
  apply({{parent, name, nullptr}});
  return 0;
}

int VolatileTree::rename(std::string_view from, std::string_view to, bool must_be_new) {
  std::string old_name;
  std::string new_name;
  const NodePtr old_parent = parent_of(from, &old_name);
  const NodePtr new_parent = parent_of(to, &new_name);
  const NodePtr node = find(from);
  if (old_parent == nullptr || new_parent == nullptr || node == nullptr) return -ENOENT;
  if (const NodePtr there = find(to)) {
    if (must_be_new) return -EEXIST;
    if (there == node) return 0;
    if (there->is_directory() && !node->is_directory()) return -EISDIR;
    if (!there->is_directory() && node->is_directory()) return -ENOTDIR;
    if (!there->names.empty()) return -ENOTEMPTY;
  }
  apply({{old_parent, old_name, nullptr}, {new_parent, new_name, node}});
  return 0;
}

void VolatileTree::write(Node& file, std::string_view octets, uint64_t offset) {
  if (file.octets.size() < offset + octets.size()) file.octets.resize(offset + octets.size());
  file.octets.replace(offset, octets.size(), octets);
  file.modified = now();
}

void VolatileTree::truncate(Node& file, uint64_t bytes) {
  file.octets.resize(bytes);
  file.modified = now();
}

void VolatileTree::make_durable(const Operation& operation) {
  for (const Change& change : operation) {
    if (change.node == nullptr) {
      change.directory->durable_names.erase(change.name);
    } else {
      change.directory->durable_names[change.name] = change.node;
    }
  }
}

void VolatileTree::sync_directory(const NodePtr& directory) {
  std::erase_if(volatile_, [&](const Operation& operation) {
    const bool is_here = std::any_of(operation.begin(), operation.end(), [&](const Change& change) {
      return change.directory == directory;
    });
    if (is_here) make_durable(operation);
    return is_here;
  });
}

void VolatileTree::forget_volatile(Node& node, std::mt19937_64& dice, Lost& lost) {
  if (!node.is_directory()) {
    if (node.octets != node.durable) node.durable = after_cut(node, dice, lost.pages);
    node.octets = node.durable;
    return;
  }
  node.names = node.durable_names;
  for (const auto& [name, child] : node.names) forget_volatile(*child, dice, lost);
}

Lost VolatileTree::cut(uint64_t seed) {
  std::mt19937_64 dice(seed);
  Lost lost;
  const bool in_order = toss(dice);
  const size_t kept = volatile_.empty() ? 0 : dice() % (volatile_.size() + 1);
  for (size_t i = 0; i < volatile_.size(); ++i) {
    if (in_order ? i < kept : toss(dice)) {
      make_durable(volatile_[i]);
    } else {
      ++lost.names;
    }
  }
  volatile_.clear();
  forget_volatile(*root_, dice, lost);
  return lost;
}

}  // namespace sluice::power_cut
