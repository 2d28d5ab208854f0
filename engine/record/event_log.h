// The files of the event record: lines are appended, files are rotated, old ones removed.
//
// PURPOSE. One EventLog writes one series of files, `events.SSS.jsonl` and, once full,
//   `events.SSS-YYYYMMDDTHHMMSSZ-NNNN.jsonl` (FORMAT.md); somebody else may compress those into
//   `….jsonl.zst`. The caller says when to sync and when a
//   file is full is a good moment to rotate.
// OWNERSHIP. The loop outlives it; no task of it is under way when it goes. What is given to the
//   kernel lives here.
// THREAD. The loop's. One task at a time.
// ERRORS. A Status with the path; after one, close() and open() again: nothing is assumed of what
//   was not synced.
// LIMITS. None of its own: the disk's.
// BUGS. Two writers of one series in one directory spoil each other's lines: two spools need two
//   directories.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/ring/io.h"
#include "engine/ring/loop.h"
#include "engine/ring/signal.h"
#include "engine/ring/task.h"

namespace sluice {

// "events.003.jsonl".
std::string event_file_name(uint32_t series);
struct EventFileName {
  uint32_t series = 0;
  std::string_view rotated;  // "20261122T101500Z-0001": sorts by time; empty: the current file
  bool compressed = false;   // a rotated one only
};
// The views point into `name`.
std::optional<EventFileName> parse_event_file_name(std::string_view name);

// The name, or path, of a rotated file once it is compressed.
std::string compressed_event_file_name(std::string_view plain);

// Removes rotated files, of any series, that were last written before `before`. Their number.
uint32_t remove_event_files(Io& io, const std::string& directory, WallTime before);

class EventLog {
 public:
  EventLog(Loop& loop, std::string directory, uint32_t series);
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;
  ~EventLog() { close(); }

  // Opens the current file, making it and the directory (not its parent) where missing. Of what
  // stands behind `synced_bytes`, whole lines stay when `lines_stay`; a line that was cut short,
  // and what follows one, is removed. A file shorter than that is another one: all of it is looked
  // at. REQUIRES: not open.
  Task<Status> open(uint64_t synced_bytes, bool lines_stay);
  // Appends whole lines and leaves `lines` empty with its memory.
  Task<Status> append(std::string& lines);
  Task<Status> sync();
  // Syncs the current file, gives it its final name and begins the next. REQUIRES: not empty.
  Task<Status> rotate();
  void close();

  // Octets of the current file.
  uint64_t bytes() const { return bytes_; }
  // A sync failed: what was written since the last good one may be gone, whatever a read shows.
  bool sync_failed() const { return sync_failed_; }

 private:
  Task<IoResult> finish();
  Task<Status> make_directory();
  Task<Status> begin_file();
  Task<Status> cut_tail(uint64_t from, uint64_t size);
  Task<Status> sync_directory(std::string path);
  StatusOr<std::string> free_name();

  Loop& loop_;
  const std::string directory_;
  const uint32_t series_;
  const std::string path_;
  Signal done_;
  Operation op_{done_};
  std::string octets_;
  iovec piece_{};
  Handle file_ = kNoHandle;
  Handle reader_ = kNoHandle;
  uint64_t bytes_ = 0;
  bool sync_failed_ = false;
};

}  // namespace sluice
