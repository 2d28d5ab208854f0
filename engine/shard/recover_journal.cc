// The part of Intake that reads the journal at a restart, and sets aside what cannot be read.
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/record/parser.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = 1UL << 20;

struct JournalRead {
  Status status;
  uint64_t sound_bytes = 0;  // what stands before the damage
  WallTime created{};        // valid when something does
};

Status take_entries(JournalParser& parser, Recovery& recovery) {
  JournalEntry entry;
  while (true) {
    switch (parser.next(entry)) {
      case JournalParser::Step::kEntry:
        RETURN_IF_ERROR(recovery.add(entry));
        break;
      case JournalParser::Step::kMore:
      case JournalParser::Step::kEnd:
        return {};
      case JournalParser::Step::kCorrupt:
        return parser.status();
    }
  }
}

Task<JournalRead> read_journal(Loop& loop, FileTasks& files, std::string path, Recovery& recovery) {
  JournalRead read;
  const StatusOr<Handle> file = loop.io().open_file(path, OpenMode::kRead);
  if (!file.ok()) {
    read.status = file.status();
    co_return read;
  }
  JournalParser parser(path);
  uint64_t offset = 0;
  while (read.status.ok()) {
    const StatusOr<std::string> octets = co_await files.read_part(*file, path, offset, kReadBytes);
    read.status = octets.status();
    if (!read.status.ok()) break;
    if (octets->empty()) {
      parser.end();
      read.status = take_entries(parser, recovery);
      break;
    }
    offset += octets->size();
    parser.feed(*octets);
    read.status = take_entries(parser, recovery);
  }
  loop.io().close(*file);
  read.sound_bytes = parser.sound_bytes();
  if (read.sound_bytes > 0) read.created = parser.header().created;
  co_return read;
}

// Keeps the sound part of a file that was set aside under the name that the file had.
Task<Status> keep_sound_part(Loop& loop, std::string aside, std::string path, uint64_t bytes) {
  const StatusOr<Handle> file = loop.io().open_file(aside, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  const auto files = std::make_unique<FileTasks>(loop);
  StatusOr<std::string> octets = co_await files->read_part(*file, aside, 0, bytes);
  loop.io().close(*file);
  if (!octets.ok()) co_return octets.status();
  if (octets->size() != bytes) co_return io_error(aside + " has become shorter");
  co_return co_await files->write_durably(path, std::move(*octets));
}

// An upper bound of when something was written to it.
WallTime last_written(Io& io, const std::string& path) {
  const StatusOr<FileStat> stat = io.stat(path);
  return stat.ok() && !stat->is_directory ? stat->modified : WallTime::max();
}

}  // namespace

// Everything that can be read goes into `recovery`; what cannot, into unread_.
Task<Status> Intake::read_journals(Recovery& recovery) {
  Io& io = home_.io();
  const std::string& directory = home_.peers().spool.journal;
  const StatusOr<std::vector<std::string>> names = io.list(directory);
  if (!names.ok()) co_return names.status();
  const auto files = std::make_unique<FileTasks>(home_.loop());
  std::map<std::string, WallTime> created;
  for (const std::string& name : *names) {
    const std::optional<std::string> was = parse_damaged_journal_name(name);
    if (!was && !parse_journal_file_name(name)) continue;
    // The very last is empty: this process began it.
    if (defect(Defect::kSkipLastJournal) && &name == &names->back() - 1) continue;
    const std::string path = SpoolPaths::child(directory, name);
    if (was && std::binary_search(names->begin(), names->end(), *was)) {
      log(LogLevel::kError, path + " is still there: jobs that it may tell of are held");
      unread_.push_back({*was, last_written(io, path)});
      continue;
    }
    const JournalRead read = co_await read_journal(home_.loop(), *files, path, recovery);
    if (read.status.ok() && was) {
      const Status back = io.rename(path, SpoolPaths::child(directory, *was));
      if (back.ok()) {
        log(LogLevel::kInfo, path + " can be read again and has its name back");
        continue;
      }
    }
    if (read.status.ok()) {
      created[name] = read.created;
      continue;
    }
    // That is no damage: the next start may read it.
    if (absl::IsResourceExhausted(read.status)) co_return read.status;
    co_await set_journal_aside(was.value_or(name), read.status, read.sound_bytes);
  }
  for (const JournalGap& gap : journal_gaps(*names)) {
    const auto next = created.find(gap.next);
    const bool known = next != created.end() && next->second != WallTime();
    const WallTime until =
        known ? next->second : last_written(io, SpoolPaths::child(directory, gap.next));
    log(LogLevel::kError, "the journal file " + SpoolPaths::child(directory, gap.first_missing) +
                              " is missing, and " + gap.next +
                              " follows it: jobs that it may tell of are held");
    unread_.push_back({gap.first_missing, until});
  }
  co_return Status();
}

// Under another name nothing takes it for whole, and nothing removes it.
Task<> Intake::set_journal_aside(std::string name, Status why, uint64_t sound_bytes) {
  Io& io = home_.io();
  const std::string& directory = home_.peers().spool.journal;
  const std::string path = SpoolPaths::child(directory, name);
  const std::string aside = damaged_journal_name(path);
  const auto files = std::make_unique<FileTasks>(home_.loop());
  Status moved;
  if (!io.stat(aside).ok()) {
    moved = io.rename(path, aside);
    if (moved.ok()) moved = co_await files->sync_directory(directory);
  }
  log(LogLevel::kError,
      "a journal file cannot be read: " + message_of(why) +
          (moved.ok() ? "; it is kept as " + aside : "; it stays: " + message_of(moved)) +
          "; jobs that it may tell of are held");
  unread_.push_back({name, last_written(io, moved.ok() ? aside : path)});
  if (!moved.ok() || sound_bytes <= kFileHeaderBytes || io.stat(path).ok()) co_return;
  const Status kept = co_await keep_sound_part(home_.loop(), aside, path, sound_bytes);
  if (!kept.ok()) {
    log(LogLevel::kWarning, "what can be read of " + aside + " is not kept as " + path + ": " +
                                message_of(kept) + "; the next start tries again");
  }
}

}  // namespace sluice
