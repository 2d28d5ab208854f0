// A tree of files in memory that knows what a power cut would leave of it.
//
// PURPOSE. What is written, cut off, made, renamed and removed is seen at once and volatile
//   until it is synced: octets by a sync of the file, names by a sync of the directory. cut() loses
//   what is volatile, but for what a disk would have written by chance: each page of 4 KiB by
//   itself, a length anywhere between the old and the new, changes of names either in their order
//   up to some point or any of them; a rename as a whole or not at all.
// OWNERSHIP. Nodes are shared: a removed file lives as long as somebody has it open.
// THREAD. One at a time.
// ERRORS. Negative errno values, as FUSE takes them.
// LIMITS. All in memory.
// BUGS. Of a page that was written twice between two syncs the first version never comes back.
//   Modes, owners and times are durable at once.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::power_cut {

struct Node {
  mode_t mode = 0;
  uid_t owner = 0;
  gid_t group = 0;
  timespec modified{};
  std::string octets;                                  // a file's, or a link's target
  std::string durable;                                 // what a sync has written
  std::map<std::string, std::shared_ptr<Node>> names;  // a directory's
  std::map<std::string, std::shared_ptr<Node>> durable_names;
  bool is_directory() const { return S_ISDIR(mode); }
};
using NodePtr = std::shared_ptr<Node>;

struct Lost {
  uint64_t pages = 0;
  uint64_t names = 0;
};

class VolatileTree {
 public:
  VolatileTree();

  // Null when there is none.
  NodePtr find(std::string_view path) const;
  // A new file, directory or link.
  int make(std::string_view path, mode_t mode, NodePtr* made);
  int remove(std::string_view path, bool directory);
  int rename(std::string_view from, std::string_view to, bool must_be_new);
  static void write(Node& file, std::string_view octets, uint64_t offset);
  static void truncate(Node& file, uint64_t bytes);
  static void sync_file(Node& file) { file.durable = file.octets; }
  void sync_directory(const NodePtr& directory);

  Lost cut(uint64_t seed);

 private:
  // `name` in `directory` becomes `node` (null: gone).
  struct Change {
    NodePtr directory;
    std::string name;
    NodePtr node;
  };
  // One operation: all its changes become durable together.
  using Operation = std::vector<Change>;

  NodePtr parent_of(std::string_view path, std::string* name) const;
  void apply(Operation operation);
  static void make_durable(const Operation& operation);
  static void forget_volatile(Node& node, std::mt19937_64& dice, Lost& lost);

  NodePtr root_;
  std::vector<Operation> volatile_;  // in their order
};

}  // namespace sluice::power_cut
