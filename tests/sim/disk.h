// A disk that remembers what was synced.
//
// Files are octets, directories are names; both live in memory twice: as a process sees them and
//   as they would be found after a power cut. A file's octets become durable by its own sync. What
//   was done to names (made, renamed, removed) lies in one journal, as in ext4 and XFS: syncing a
//   directory makes durable everything up to the last change that touches it, in order.
// after_crash() gives the disk that a power cut leaves: what was synced, plus any beginning of the
//   journal of names, plus any subset of the unsynced sectors of each file (512 octets; what was
//   never written reads as zeros).
// OWNERSHIP. Nodes are shared by names and open handles. THREAD. One.
// ERRORS. IoError, as the kernel would; `fault` may make any call fail.
// BUGS. No links. Modes are kept, not obeyed. A failed sync of names loses nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/random.h"
#include "engine/base/time.h"
#include "engine/ring/operation.h"

namespace sluice::sim {

struct Node {
  bool is_directory = false;
  uint32_t mode = 0640;
  WallTime modified{};
  // A file's.
  std::string octets;
  std::string durable;
  std::vector<std::pair<uint64_t, uint64_t>> dirty;  // [begin, end) written since the last sync
  // A directory's.
  std::map<std::string, std::shared_ptr<Node>> names;
};
using NodePtr = std::shared_ptr<Node>;

enum class DiskCall : uint8_t { kOpen, kRead, kWrite, kSync, kRename, kRemove, kMakeDirectory };

class Disk {
 public:
  Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  // Asked before each call: an error other than kNone is what the caller gets. A sync that fails so
  // loses the octets that it should have made durable.
  std::function<IoError(DiskCall call, const std::string& path)> fault;
  // Told after each sync that succeeded.
  std::function<void(const std::string& path)> synced;
  uint64_t capacity = 1UL << 40;                     // octets of all files; beyond it: kNoSpace
  Duration sync_max = std::chrono::milliseconds(8);  // how long one may take

  // For whoever prepares or inspects the disk: durable at once; parents are made.
  void put(const std::string& path, std::string octets);
  void put_directory(const std::string& path);
  // Null when there is none.
  NodePtr find(const std::string& path) const;
  // What a process sees; empty when there is none.
  std::string text(const std::string& path) const;

  // --- what a process does; the owner of handles is SimIo
  IoError open(const std::string& path, bool make, bool must_be_new, WallTime now, NodePtr* out);
  IoError make_directory(const std::string& path, uint32_t mode, WallTime now);
  IoError rename(const std::string& from, const std::string& to);
  IoError remove(const std::string& path, bool directory);
  IoError write(const NodePtr& file, const std::string& path, uint64_t offset,
                std::string_view octets, WallTime now);
  // Durable at once, unlike a real one's: what was cut never comes back.
  IoError truncate(const std::string& path, uint64_t bytes);
  // Begins and ends a sync: what was written in between need not be durable.
  std::vector<std::pair<uint64_t, uint64_t>> begin_sync(const NodePtr& file);
  IoError end_sync(const NodePtr& node, const std::string& path,
                   const std::vector<std::pair<uint64_t, uint64_t>>& ranges);
  uint64_t bytes_used() const { return bytes_used_; }

  // The disk after a power cut now.
  std::unique_ptr<Disk> after_crash(Random& random) const;

 private:
  // One change of names: `name` in `directory` becomes `node` (null: gone). A rename is two.
  struct Change {
    NodePtr directory;
    std::string name;
    NodePtr node;
    bool joined = false;  // with the change before it: both or neither
  };
  IoError check(DiskCall call, const std::string& path) const {
    return fault ? fault(call, path) : IoError::kNone;
  }
  NodePtr parent(const std::string& path, std::string* name) const;
  void change(const NodePtr& directory, const std::string& name, NodePtr node, bool joined);

  NodePtr root_;
  // Names as they are durable: per directory node. What is not here is only in changes_.
  std::map<NodePtr, std::map<std::string, NodePtr>> durable_names_;
  std::vector<Change> changes_;  // not durable yet, in order
  uint64_t bytes_used_ = 0;
};

}  // namespace sluice::sim
