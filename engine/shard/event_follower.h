// Derives the event record from the journal: one follower a series of journal files.
//
// PURPOSE. Reads behind what is durable in the journal, joins each verdict with its row's address,
//   and appends one JSON line to the record's files. The journal is the truth; this may lag, stop
//   and begin again.
// HOW IT GOES ON. What was read and whose events are synced is kept in
//   journal/SSS.followed: written at most once a second, under another name, synced, renamed. After
//   a crash it goes on from there: events since are written again with the same id, none is missed.
// HOW IT STAYS OUT OF THE WAY. Rests while nothing is new; works in slices of kSlice verdicts and
//   lets all else run between them; begins a second after the start, for recovery comes first.
// HARD BOUNCES. With [suppress] hard_bounces the addresses that a receiver refused with 5.1.1 are
//   left in suppress.index/, in a file of their own that is there whole before the position behind
//   them is durable: who keeps the lists takes them up (suppressor.h).
// OWNERSHIP. What the constructor is given outlives it. run() is started once, in a gate of the
//   owner, which is closed before it goes.
// THREAD. The loop's.
// ERRORS. Log lines: what cannot be read or written is tried again every ten seconds, also while
//   less than 64 MiB are free, which the journal may need; a damaged
//   journal file is left behind at its damage, for recovery judges that. A row whose job is gone
//   has an event without its address.
// LIMITS. RowFinder's; 64 KiB of journal and 512 KiB of events at a time.
// BUGS. The verdicts of a cancelled job's rows that were never attempted are no records of their
//   own in the journal: they have no event.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/strings.h"
#include "engine/model/configuration.h"
#include "engine/record/event.h"
#include "engine/record/event_log.h"
#include "engine/record/journal.h"
#include "engine/record/parser.h"
#include "engine/ring/loop.h"
#include "engine/ring/pause.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/row_finder.h"
#include "engine/spool/job_directory.h"

namespace sluice {

// [record] directory, or its default within the spool.
std::string record_directory(const Configuration& config, const SpoolPaths& spool);

// How far a series of journal files was followed.
struct FollowedTo {
  uint32_t file = 0;    // the journal file's number
  uint64_t offset = 0;  // whole frames up to it are told
  uint64_t events = 0;  // octets of the current event file that were synced then
};
std::string encode_followed(const FollowedTo& position);
std::optional<FollowedTo> parse_followed(std::string_view text);
// "003.followed".
std::string followed_file_name(uint32_t series);

class EventFollower {
 public:
  // A position is durable: `file` and those after it are still needed, those before are not.
  using Listener = std::function<void(uint32_t series, uint32_t file)>;

  // `journal`: the one that writes this series; null when none does, as after a restart with fewer
  // shards: then it ends when all is told.
  EventFollower(Loop& loop, const Configuration& config, const SpoolPaths& spool, uint32_t series,
                Journal* journal, Listener listener);
  EventFollower(const EventFollower&) = delete;
  EventFollower& operator=(const EventFollower&) = delete;

  Task<> run();
  // The journal has ended: tell what is in it, until `deadline` at the latest, and end.
  void finish(Instant deadline);

  struct Stats {
    uint64_t events = 0;
    uint64_t skipped = 0;  // verdicts read again and known to be told
    uint64_t unknown_rows = 0;
    uint64_t saves = 0;
  };
  const Stats& stats() const { return stats_; }

 private:
  enum class Read : uint8_t { kSome, kCaughtUp, kFileEnded };

  Task<Status> follow();
  Task<Status> restore();
  Task<StatusOr<Read>> read_some();
  Task<Status> tell_entries();
  bool tell(const JournalEntry& entry, bool with_address);
  void note_bounce(const JournalEntry& entry, std::string_view recipient);
  Task<Status> hand_over_bounces();
  Task<Status> flush();
  Task<Status> save();
  Status check_room() const;
  Task<> wait_for_more();
  StatusOr<bool> open_next_file();
  void close_file();
  bool is_newest() const {
    return journal_ != nullptr && journal_->durable().file == position_.file;
  }
  std::string_view source_address(const JournalEntry& entry) const;

  Loop& loop_;
  const uint32_t series_;
  const std::string journal_directory_;
  const std::string followed_path_;
  const std::string record_directory_;
  const std::string bounces_directory_;  // empty: hard bounces are not collected
  const uint64_t rotate_bytes_;
  Journal* const journal_;
  const Listener listener_;
  StringMap<std::array<std::string, 2>> source_addresses_;  // IPv4, IPv6; by the source's name
  FileTasks files_;
  RowFinder rows_;
  EventLog log_;
  Pause pause_;

  FollowedTo position_;  // as far as read and appended; durable after save()
  uint64_t told_ = 0;    // of the open file: what is before it was told already
  Handle file_ = kNoHandle;
  std::string path_;
  uint64_t read_bytes_ = 0;
  bool file_ended_ = false;
  std::unique_ptr<JournalParser> parser_;
  uint32_t verdicts_ = 0;  // read of the open file
  std::string lines_;
  std::string bounces_;  // addresses, one a line
  bool unsaved_ = false;
  Instant save_at_{};
  bool stopping_ = false;
  Instant deadline_ = kForever;
  Stats stats_;
};

}  // namespace sluice
