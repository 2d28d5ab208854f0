// One list of suppress/: what was read of it, in memory and on disk.
//
// PURPOSE. Turns a file of addresses into sorted keys, and keeps up with it. A file that only grew
//   is read from where its last whole piece (Limits::suppress_piece_bytes) ended: one line appended
//   to a huge list is in force at once. That the octets before are still the same ones is looked
//   after later (verify()), by one checksum a piece.
// ON DISK. A list of more entries than are sorted at a time lies as a run in suppress.index/, as
//   does whatever put_on_disk() was asked for; the run's meta octets say how far it was read, so
//   that a restart goes on there. Lines behind the last whole piece are always in memory.
// ERRORS. What cannot be read leaves the old content as it was. Lines that are no entries are
//   logged once for each time they change.
// THREAD. The shard's; one task at a time. Work is done in slices.
// LIMITS. Limits::suppress_*: a chunk and what was in memory before while a list is read.
// BUGS. A file that is changed in its middle and grows at the same time is seen to have grown at
//   once, to have changed only by the next verify().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/model/limits.h"
#include "engine/shard/hash_files.h"
#include "engine/spool/suppress_list.h"

namespace sluice {

// Where lists and index lie, and who reads them.
struct SuppressPlace {
  Loop& loop;
  const Limits& limits;
  std::string lists;
  std::string index;
  std::function<bool()> stop;
};

class SuppressFile {
 public:
  // `place` outlives it.
  SuppressFile(const SuppressPlace& place, std::string name);

  const std::string& name() const { return name_; }
  std::string path() const { return place_.lists + "/" + name_; }
  // What was read is what lies there.
  bool is_current(const FileStat& stat) const {
    return !reread_ && stat.bytes == bytes_ && stat.modified == modified_;
  }
  // Reads what is new, or all.
  Task<Status> read(FileStat stat);
  // Takes up the run at `path`, of generation `generation`, that an earlier process made.
  Task<Status> restore(std::string path, uint64_t generation);
  // What is in memory goes to the disk, but for the lines behind the last whole piece.
  Task<Status> put_on_disk();
  // It grew since it was last compared.
  bool is_unverified() const { return unverified_; }
  // Compares what was read with what lies there: the next read() is of all when they differ.
  Task<Status> verify();
  // The next read() is of all: the run is damaged.
  void distrust() { reread_ = true; }

  const SuppressKinds& kinds() const { return kinds_; }
  const HashRunPtr& run() const { return state_.run; }
  // Keys that are in no run.
  const std::vector<Hash128>& keys() const { return state_.keys; }
  // Paths of runs that are no longer used, since this was last asked.
  std::vector<std::string> take_retired() { return std::exchange(retired_, {}); }
  void retire_run();

  // The name of a run of a list, and the generation in it; nothing for other names.
  static std::string run_name(std::string_view list, uint64_t generation);
  static std::optional<uint64_t> parse_run_name(std::string_view name);
  // Of a run's meta octets: the list's name.
  static std::string list_of(const HashRun& run);

 private:
  // Up to the end of the last whole piece.
  struct Checkpoint {
    SuppressList::Position position;
    size_t keys = 0;             // the first so many of State::keys are of lines before
    std::vector<uint32_t> sums;  // one a piece
  };
  struct State {
    HashRunPtr run;
    std::vector<Hash128> keys;
    Checkpoint checkpoint;
  };

  uint64_t checked_bytes(const State& state) const {
    return state.checkpoint.sums.size() * place_.limits.suppress_piece_bytes;
  }
  Task<StatusOr<bool>> piece_is_the_same(Handle file, size_t piece);
  Task<Status> read_from(Handle file, State& state, HashSorter& sorter);
  Task<Status> feed(std::string_view octets, SuppressList& list, std::vector<Hash128>& keys);
  Task<Status> make_run(State& state, HashSorter& sorter);
  std::unique_ptr<HashSorter> make_sorter();
  std::string meta_of(const State& state) const;
  void complain(const SuppressList::Position& position);

  const SuppressPlace& place_;
  const std::string name_;
  FileTasks files_;
  State state_;
  SuppressKinds kinds_;
  uint64_t bytes_ = 0;
  WallTime modified_{};
  // As it was when all of it was last known to be what was read.
  uint64_t verified_bytes_ = 0;
  WallTime verified_modified_{};
  bool unverified_ = false;
  bool reread_ = true;
  uint64_t generation_ = 0;
  std::vector<std::string> retired_;
  uint64_t told_bad_ = 0;
  uint64_t told_line_ = 0;
};

}  // namespace sluice
