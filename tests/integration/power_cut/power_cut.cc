// A file system on which the power can be cut: power_cut MOUNTPOINT, in the foreground.
//
// PURPOSE. Gives volatile_tree.h a place in the file system of this machine, by FUSE. In the root
//   lies a file .power; what is written to it is a command:
//     cut SEED    what is not synced is lost, by that seed, and whatever is open is dead; until
//     on          every call fails: nothing of the process that had the files may follow the cut
//   Read, it says what was done so far, as a JSON object. SIGUSR1 is the moment itself: a sync that
//   is on its way then fails, and everything behind it, until the command says what is lost.
// THREAD. One: a call is over before the next begins. Files are not cached by the kernel.
// ERRORS. Those of FUSE, on standard error; exit code 0 when it is unmounted.
// LIMITS. All in memory; no hard links, no special files.
#define FUSE_USE_VERSION 31

#include <fuse.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include "tests/integration/power_cut/volatile_tree.h"

namespace sluice::power_cut {
namespace {

constexpr std::string_view kPower = "/.power";
constexpr uint64_t kCapacity = 8UL << 30;
// As a disk takes it, so that there is something that was written and is not synced.
constexpr timespec kSyncTakes = {0, 3'000'000};

struct Machine {
  VolatileTree tree;
  bool is_on = true;
  uint64_t generation = 0;  // of what is open
  uint64_t cuts = 0;
  uint64_t writes = 0;
  uint64_t syncs = 0;
  Lost lost;
};

Machine& machine() {
  static Machine the_machine;
  return the_machine;
}

std::atomic<bool> power_fails{false};

void on_power_fails(int /*signal*/) { power_fails = true; }

bool is_on() { return machine().is_on && !power_fails; }

// Waits as long as a sync takes; false when the power went meanwhile.
bool disk_has_time() {
  nanosleep(&kSyncTakes, nullptr);
  return is_on();
}

struct Open {
  NodePtr node;  // null: .power
  uint64_t generation = 0;
};

Open* open_of(const fuse_file_info* info) {
  return reinterpret_cast<Open*>(info->fh);  // NOLINT(performance-no-int-to-ptr): FUSE's
}

bool is_power(const char* path) { return path != nullptr && kPower == path; }

// Whether what was opened may still be used.
bool is_alive(const fuse_file_info* info) {
  const Open* open = open_of(info);
  return open->node == nullptr || (is_on() && open->generation == machine().generation);
}

void keep_open(fuse_file_info* info, NodePtr node) {
  auto* const open = new Open{std::move(node), machine().generation};
  info->fh = reinterpret_cast<uint64_t>(open);
  info->direct_io = 1;
}

NodePtr node_of(const char* path, const fuse_file_info* info) {
  if (info != nullptr && info->fh != 0) return open_of(info)->node;
  return machine().tree.find(path);
}

std::string told() {
  const Machine& m = machine();
  return "{\"cuts\": " + std::to_string(m.cuts) + ", \"writes\": " + std::to_string(m.writes) +
         ", \"syncs\": " + std::to_string(m.syncs) +
         ", \"lost_pages\": " + std::to_string(m.lost.pages) +
         ", \"lost_names\": " + std::to_string(m.lost.names) + "}\n";
}

int command(std::string_view text) {
  Machine& m = machine();
  if (text == "on") {
    m.is_on = true;
    return 0;
  }
  constexpr std::string_view kCut = "cut ";
  uint64_t seed = 0;
  if (!text.starts_with(kCut)) return -EINVAL;
  text.remove_prefix(kCut.size());
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error != std::errc() || end != text.data() + text.size()) return -EINVAL;
  const Lost lost = m.tree.cut(seed);
  m.lost.pages += lost.pages;
  m.lost.names += lost.names;
  ++m.cuts;
  ++m.generation;
  m.is_on = false;
  power_fails = false;
  return 0;
}

// --- the calls, as FUSE names them

void* init(fuse_conn_info* /*connection*/, fuse_config* config) {
  config->entry_timeout = 0;
  config->attr_timeout = 0;
  config->negative_timeout = 0;
  config->hard_remove = 1;
  config->nullpath_ok = 1;
  config->direct_io = 1;
  return nullptr;
}

int getattr(const char* path, struct stat* out, fuse_file_info* info) {
  std::memset(out, 0, sizeof *out);
  if (is_power(path) || (info != nullptr && info->fh != 0 && open_of(info)->node == nullptr)) {
    out->st_mode = S_IFREG | 0600;
    out->st_nlink = 1;
    return 0;
  }
  if (!is_on())
    return path != nullptr && std::strcmp(path, "/") == 0 ? (out->st_mode = S_IFDIR | 0755, 0)
                                                          : -EIO;
  const NodePtr node = node_of(path, info);
  if (node == nullptr) return -ENOENT;
  out->st_mode = node->mode;
  out->st_uid = node->owner;
  out->st_gid = node->group;
  out->st_nlink = node->is_directory() ? 2 : 1;
  out->st_size = static_cast<off_t>(node->octets.size());
  out->st_blocks = static_cast<blkcnt_t>(node->octets.size() / 512 + 1);
  out->st_mtim = out->st_ctim = out->st_atim = node->modified;
  return 0;
}

int make_node(const char* path, mode_t mode, NodePtr* made) {
  if (!is_on()) return -EIO;
  const int error = machine().tree.make(path, mode, made);
  if (error != 0) return error;
  (*made)->owner = fuse_get_context()->uid;
  (*made)->group = fuse_get_context()->gid;
  return 0;
}

int mkdir(const char* path, mode_t mode) {
  NodePtr made;
  return make_node(path, (mode & 07777) | S_IFDIR, &made);
}

int create(const char* path, mode_t mode, fuse_file_info* info) {
  NodePtr made;
  const int error = make_node(path, (mode & 07777) | S_IFREG, &made);
  if (error == 0) keep_open(info, std::move(made));
  return error;
}

int symlink(const char* target, const char* path) {
  NodePtr made;
  const int error = make_node(path, S_IFLNK | 0777, &made);
  if (error == 0) made->octets = made->durable = target;
  return error;
}

int readlink(const char* path, char* out, size_t size) {
  const NodePtr node = machine().tree.find(path);
  if (node == nullptr || !S_ISLNK(node->mode)) return -EINVAL;
  std::snprintf(out, size, "%s", node->octets.c_str());
  return 0;
}

int open(const char* path, fuse_file_info* info) {
  if (is_power(path)) {
    keep_open(info, nullptr);
    return 0;
  }
  if (!is_on()) return -EIO;
  NodePtr node = machine().tree.find(path);
  if (node == nullptr) return -ENOENT;
  keep_open(info, std::move(node));
  return 0;
}

int release(const char* /*path*/, fuse_file_info* info) {
  delete open_of(info);
  return 0;
}

int read(const char* /*path*/, char* out, size_t size, off_t offset, fuse_file_info* info) {
  if (!is_alive(info)) return -EIO;
  const Open* open = open_of(info);
  const std::string octets = open->node == nullptr ? told() : std::string();
  const std::string_view from = open->node == nullptr ? octets : open->node->octets;
  if (static_cast<size_t>(offset) >= from.size()) return 0;
  return static_cast<int>(from.copy(out, size, static_cast<size_t>(offset)));
}

int write(const char* /*path*/, const char* octets, size_t size, off_t offset,
          fuse_file_info* info) {
  if (!is_alive(info)) return -EIO;
  const Open* open = open_of(info);
  if (open->node == nullptr) {
    const int error = command({octets, size});
    return error != 0 ? error : static_cast<int>(size);
  }
  ++machine().writes;
  VolatileTree::write(*open->node, {octets, size}, static_cast<uint64_t>(offset));
  return static_cast<int>(size);
}

int truncate(const char* path, off_t bytes, fuse_file_info* info) {
  if (is_power(path) || (info != nullptr && info->fh != 0 && open_of(info)->node == nullptr)) {
    return 0;
  }
  if (!is_on()) return -EIO;
  const NodePtr node = node_of(path, info);
  if (node == nullptr) return -ENOENT;
  VolatileTree::truncate(*node, static_cast<uint64_t>(bytes));
  return 0;
}

int fsync(const char* /*path*/, int /*data_only*/, fuse_file_info* info) {
  if (!is_alive(info)) return -EIO;
  if (open_of(info)->node == nullptr) return 0;
  if (!disk_has_time()) return -EIO;
  ++machine().syncs;
  VolatileTree::sync_file(*open_of(info)->node);
  return 0;
}

int fsyncdir(const char* /*path*/, int /*data_only*/, fuse_file_info* info) {
  if (!is_alive(info) || !disk_has_time()) return -EIO;
  ++machine().syncs;
  machine().tree.sync_directory(open_of(info)->node);
  return 0;
}

int readdir(const char* /*path*/, void* out, fuse_fill_dir_t fill, off_t /*offset*/,
            fuse_file_info* info, fuse_readdir_flags /*flags*/) {
  if (!is_alive(info)) return -EIO;
  fill(out, ".", nullptr, 0, fuse_fill_dir_flags{});
  fill(out, "..", nullptr, 0, fuse_fill_dir_flags{});
  for (const auto& [name, node] : open_of(info)->node->names) {
    fill(out, name.c_str(), nullptr, 0, fuse_fill_dir_flags{});
  }
  return 0;
}

int unlink(const char* path) { return is_on() ? machine().tree.remove(path, false) : -EIO; }

int rmdir(const char* path) { return is_on() ? machine().tree.remove(path, true) : -EIO; }

int rename(const char* from, const char* to, unsigned int flags) {
  if (!is_on()) return -EIO;
  constexpr unsigned int kNoReplace = 1;  // RENAME_NOREPLACE
  if ((flags & ~kNoReplace) != 0) return -EINVAL;
  return machine().tree.rename(from, to, flags == kNoReplace);
}

int chmod(const char* path, mode_t mode, fuse_file_info* info) {
  const NodePtr node = node_of(path, info);
  if (node == nullptr || !is_on()) return -ENOENT;
  node->mode = (node->mode & S_IFMT) | (mode & 07777);
  return 0;
}

int chown(const char* path, uid_t owner, gid_t group, fuse_file_info* info) {
  const NodePtr node = node_of(path, info);
  if (node == nullptr || !is_on()) return -ENOENT;
  if (owner != static_cast<uid_t>(-1)) node->owner = owner;
  if (group != static_cast<gid_t>(-1)) node->group = group;
  return 0;
}

int utimens(const char* path, const timespec* times, fuse_file_info* info) {
  const NodePtr node = node_of(path, info);
  if (node == nullptr || !is_on()) return -ENOENT;
  node->modified = times[1];
  return 0;
}

int statfs(const char* /*path*/, struct statvfs* out) {
  std::memset(out, 0, sizeof *out);
  out->f_bsize = out->f_frsize = 4'096;
  out->f_blocks = out->f_bfree = out->f_bavail = kCapacity / 4'096;
  out->f_files = out->f_ffree = 1U << 20;
  out->f_namemax = 255;
  return 0;
}

fuse_operations operations() {
  fuse_operations calls{};
  calls.init = init;
  calls.getattr = getattr;
  calls.readlink = readlink;
  calls.mkdir = mkdir;
  calls.unlink = unlink;
  calls.rmdir = rmdir;
  calls.symlink = symlink;
  calls.rename = rename;
  calls.chmod = chmod;
  calls.chown = chown;
  calls.truncate = truncate;
  calls.open = open;
  calls.read = read;
  calls.write = write;
  calls.statfs = statfs;
  calls.release = release;
  calls.fsync = fsync;
  calls.opendir = open;
  calls.readdir = readdir;
  calls.releasedir = release;
  calls.fsyncdir = fsyncdir;
  calls.create = create;
  calls.utimens = utimens;
  return calls;
}

}  // namespace
}  // namespace sluice::power_cut

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: power_cut MOUNTPOINT\n");
    return 64;
  }
  char in_foreground[] = "-f";
  char one_thread[] = "-s";
  char* arguments[] = {argv[0], in_foreground, one_thread, argv[1]};
  std::signal(SIGUSR1, sluice::power_cut::on_power_fails);
  const fuse_operations calls = sluice::power_cut::operations();
  return fuse_main(4, arguments, &calls, nullptr);
}
