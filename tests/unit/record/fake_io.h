// An Io with a virtual clock and files in memory, for tests of the journal: each operation takes
// `disk_delay`; what was not synced is known; faults are injected by count.
#pragma once

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "engine/ring/io.h"

namespace sluice {

class FakeIo final : public Io {
 public:
  struct File {
    std::string octets;
    std::string durable;
  };

  std::map<std::string, File> files;
  std::map<std::string, bool> directories;  // name, durable entry list
  Duration disk_delay = 0ns;
  size_t write_octets_max = SIZE_MAX;  // short writes
  int syncs = 0;                       // of files
  int directory_syncs = 0;
  int writes = 0;
  int fail_sync = 0;   // the how-manyth file sync fails with EIO, from now; 0: none
  int fail_write = 0;  // the how-manyth write fails with ENOSPC
  bool full = false;   // no write finds room
  bool fail_create = false;

  void advance(Duration d) { now_ += d; }

  Instant now() const override { return now_; }
  WallTime wall_now() const override {
    return from_unix_seconds(1'700'000'000) + now_.time_since_epoch();
  }
  Instant precise_now() override { return now_; }
  Random& random() override { return random_; }

  void submit_and_wait(Instant until) override {
    Instant next = until;
    for (const Pending& p : pending_) next = std::min(next, p.due);
    if (next != kForever) now_ = std::max(now_, next);
    std::vector<Pending> due;
    for (const Pending& p : pending_) {
      if (p.due <= now_) due.push_back(p);
    }
    std::erase_if(pending_, [this](const Pending& p) { return p.due <= now_; });
    for (const Pending& p : due) {
      // Files only grow here: what was durable stays as it is.
      if (!p.synced.empty()) {
        File& file = files[p.synced];
        file.durable.append(file.octets, file.durable.size());
      }
      complete(*p.op, p.result);
    }
  }
  void wake() override {}

  StatusOr<Handle> open_file(const std::string& path, OpenMode mode) override {
    if (mode == OpenMode::kCreate) {
      if (fail_create) return cannot_create(path + ": no space");
      if (files.count(path) != 0) return cannot_create(path + ": exists");
      files[path];
    }
    handles_[++last_handle_] = {path, mode == OpenMode::kDirectory};
    return last_handle_;
  }
  void close(Handle handle) override { CHECK(handles_.erase(handle) == 1); }
  size_t open_handles() const { return handles_.size(); }

  void write(Operation& op, Handle file, std::span<const iovec> pieces, uint64_t offset) override {
    ++writes;
    if (full) return start(op, {0, IoError::kNoSpace, ENOSPC});
    if (fail_write > 0 && --fail_write == 0) return start(op, {0, IoError::kNoSpace, ENOSPC});
    std::string octets;
    for (const iovec& piece : pieces) {
      octets.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
    octets.resize(std::min(octets.size(), write_octets_max));
    std::string& content = files[handles_.at(file).path].octets;
    if (content.size() < offset + octets.size()) content.resize(offset + octets.size());
    content.replace(offset, octets.size(), octets);
    start(op, {static_cast<int32_t>(octets.size()), IoError::kNone, 0});
  }
  void sync(Operation& op, Handle file) override {
    const Open& open = handles_.at(file);
    if (open.is_directory) {
      ++directory_syncs;
      return start(op, {});
    }
    ++syncs;
    if (fail_sync > 0 && --fail_sync == 0) return start(op, {0, IoError::kFailed, EIO});
    start(op, {}, open.path);
  }

  StatusOr<FileStat> stat(const std::string& path) override {
    if (directories.count(path) == 0) return missing(path);
    return FileStat{};
  }
  StatusOr<std::vector<std::string>> list(const std::string& path) override {
    std::vector<std::string> names;
    for (const auto& [name, file] : files) {
      if (name.rfind(path + "/", 0) == 0) names.push_back(name.substr(path.size() + 1));
    }
    return names;
  }
  Status make_directory(const std::string& path, uint32_t) override {
    directories[path] = true;
    return absl::OkStatus();
  }

  // Not used by a journal.
  StatusOr<Handle> open_socket(const SocketOptions&) override { return missing("socket"); }
  StatusOr<Handle> open_listener(const SocketAddress&, bool) override { return missing("socket"); }
  StatusOr<Handle> open_udp(const SocketAddress&, bool) override { return missing("socket"); }
  void connect(Operation&, Handle, const SocketAddress&) override { CHECK(false); }
  void accept(Operation&, Handle) override { CHECK(false); }
  void send(Operation&, Handle, std::span<const iovec>) override { CHECK(false); }
  void receive(Operation&, Handle, std::span<char>) override { CHECK(false); }
  void poll(Operation&, int, uint32_t) override { CHECK(false); }
  void cancel(Operation&) override { CHECK(false); }
  void read(Operation&, Handle, std::span<char>, uint64_t) override { CHECK(false); }
  Status rename(const std::string&, const std::string&) override { return missing("rename"); }
  Status remove_file(const std::string&) override { return missing("file"); }
  Status truncate(const std::string&, uint64_t) override { return missing("file"); }
  Status remove_directory(const std::string&) override { return missing("directory"); }
  StatusOr<uint64_t> free_bytes(const std::string&) override { return uint64_t{1} << 40; }

 private:
  struct Open {
    std::string path;
    bool is_directory = false;
  };
  struct Pending {
    Operation* op;
    Instant due;
    IoResult result;
    std::string synced;
  };
  void start(Operation& op, IoResult result, std::string synced = "") {
    begin(op, 1);
    pending_.push_back({&op, now_ + disk_delay, result, std::move(synced)});
  }

  Instant now_ = Instant(1s);
  Random random_{1};
  Handle last_handle_ = 2;
  std::map<Handle, Open> handles_;
  std::vector<Pending> pending_;
};

}  // namespace sluice
