#include "engine/shard/event_follower.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/record/format.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = 64UL << 10;
constexpr size_t kLinesBytes = 512UL << 10;
constexpr uint32_t kSlice = 32;
constexpr uint64_t kFollowedBytesMax = 256;
constexpr Duration kHeadStart = std::chrono::seconds(1);
constexpr Duration kSaveInterval = std::chrono::seconds(1);
constexpr Duration kRest = std::chrono::milliseconds(50);
constexpr Duration kTryAgain = std::chrono::seconds(10);
// The journal comes first: without it nothing is sent, and it may be on the same file system.
constexpr uint64_t kFreeBytesMin = 64UL << 20;
constexpr std::string_view kFollowedMark = "followed-1";
constexpr EnhancedCode kNoSuchMailbox{5, 1, 1};

}  // namespace

std::string record_directory(const Configuration& config, const SpoolPaths& spool) {
  if (config.record.directory.empty()) return SpoolPaths::child(spool.root, "record");
  return config.record.directory;
}

std::string followed_file_name(uint32_t series) {
  std::string digits = std::to_string(series);
  if (digits.size() < 3) digits.insert(0, 3 - digits.size(), '0');
  return digits + ".followed";
}

std::string encode_followed(const FollowedTo& position) {
  return std::string(kFollowedMark) + " " + std::to_string(position.file) + " " +
         std::to_string(position.offset) + " " + std::to_string(position.events) + "\n";
}

std::optional<FollowedTo> parse_followed(std::string_view text) {
  if (!text.ends_with('\n')) return std::nullopt;
  text.remove_suffix(1);
  const std::vector<std::string_view> words = split(text, ' ');
  if (words.size() != 4 || words[0] != kFollowedMark) return std::nullopt;
  const auto file = parse_decimal(words[1]);
  const auto offset = parse_decimal(words[2]);
  const auto events = parse_decimal(words[3]);
  if (!file || !offset || !events || *file > UINT32_MAX) return std::nullopt;
  return FollowedTo{static_cast<uint32_t>(*file), *offset, *events};
}

EventFollower::EventFollower(Loop& loop, const Configuration& config, const SpoolPaths& spool,
                             uint32_t series, Journal* journal, Listener listener)
    : loop_(loop),
      series_(series),
      journal_directory_(spool.journal),
      followed_path_(SpoolPaths::child(spool.journal, followed_file_name(series))),
      record_directory_(record_directory(config, spool)),
      bounces_directory_(config.suppress.hard_bounces ? spool.suppress_index : std::string()),
      rotate_bytes_(config.record.rotate_bytes),
      journal_(journal),
      listener_(std::move(listener)),
      files_(loop),
      rows_(loop, spool),
      log_(loop, record_directory_, series),
      pause_(loop) {
  for (const Source& source : config.sources) {
    std::array<std::string, 2>& texts = source_addresses_[source.name];
    for (const IpAddress& address : source.addresses) {
      texts[address.family == Family::kIpv4 ? 0 : 1] = to_string(address);
    }
  }
}

void EventFollower::finish(Instant deadline) {
  stopping_ = true;
  deadline_ = deadline;
  pause_.cut();
  if (journal_ != nullptr) journal_->committed().notify();
}

Task<> EventFollower::run() {
  if (!stopping_) co_await pause_.lasting(kHeadStart);
  while (true) {
    const Status status = co_await follow();
    close_file();
    rows_.clear();
    log_.close();
    lines_.clear();
    bounces_.clear();
    unsaved_ = false;
    if (status.ok()) break;
    log(LogLevel::kWarning, "the event record stands still: " + message_of(status) +
                                "; nothing is lost, it goes on where it was");
    if (stopping_) break;
    co_await pause_.lasting(kTryAgain);
  }
}

Task<Status> EventFollower::follow() {
  Status status = co_await restore();
  if (!status.ok()) co_return status;
  while (true) {
    const bool out_of_time = stopping_ && loop_.now() >= deadline_;
    if (unsaved_ && (out_of_time || loop_.now() >= save_at_)) {
      status = co_await save();
      if (!status.ok()) co_return status;
    }
    if (out_of_time) co_return Status();
    const StatusOr<Read> read = co_await read_some();
    if (!read.ok()) co_return read.status();
    if (*read == Read::kSome) continue;
    bool more = false;
    if (*read == Read::kFileEnded) {
      const StatusOr<bool> opened = open_next_file();
      if (!opened.ok()) co_return opened.status();
      more = *opened;
    }
    if (more) continue;
    if (stopping_ || journal_ == nullptr) break;
    co_await wait_for_more();
  }
  if (unsaved_) status = co_await save();
  co_return status;
}

Task<Status> EventFollower::restore() {
  position_ = {};
  if (loop_.io().stat(followed_path_).ok()) {
    const StatusOr<std::string> text =
        co_await files_.read_whole(followed_path_, kFollowedBytesMax);
    const std::optional<FollowedTo> known = text.ok() ? parse_followed(*text) : std::nullopt;
    if (known) {
      position_ = *known;
    } else {
      log(LogLevel::kWarning, followed_path_ +
                                  " cannot be read: the events of all journal files that are left "
                                  "are written again, with the same ids");
    }
  }
  const bool lines_stay = !log_.sync_failed();
  const Status opened = co_await log_.open(position_.events, lines_stay);
  if (!opened.ok()) co_return opened;
  if (position_.file > 0) listener_(series_, position_.file);
  const Status room = check_room();
  if (!room.ok()) co_return room;
  const StatusOr<bool> found = open_next_file();
  co_return found.status();
}

// Opens the file that stands at position_, or else the first behind it; false when there is none
// yet. A file that was read to its end is not opened again.
StatusOr<bool> EventFollower::open_next_file() {
  const uint32_t from = file_ended_ ? position_.file + 1 : position_.file;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, loop_.io().list(journal_directory_));
  std::optional<uint32_t> next;
  for (const std::string& name : names) {
    const auto file = parse_journal_file_name(name);
    if (!file || file->shard != series_ || file->number < from) continue;
    if (journal_ != nullptr && file->number > journal_->durable().file) continue;
    if (!next || file->number < *next) next = file->number;
  }
  if (!next) return false;
  close_file();
  path_ = SpoolPaths::child(journal_directory_, journal_file_name(series_, *next));
  ASSIGN_OR_RETURN(file_, loop_.io().open_file(path_, OpenMode::kRead));
  told_ = *next == position_.file ? position_.offset : 0;
  if (*next != position_.file) {
    position_.file = *next;
    position_.offset = 0;
    if (!unsaved_) save_at_ = loop_.now() + kSaveInterval;
    unsaved_ = true;
  }
  parser_ = std::make_unique<JournalParser>(path_);
  return true;
}

void EventFollower::close_file() {
  if (file_ != kNoHandle) loop_.io().close(std::exchange(file_, kNoHandle));
  parser_.reset();
  read_bytes_ = 0;
  verdicts_ = 0;
  file_ended_ = false;
}

Task<StatusOr<EventFollower::Read>> EventFollower::read_some() {
  if (file_ == kNoHandle || file_ended_) co_return Read::kFileEnded;
  size_t size = kReadBytes;
  if (is_newest()) {
    // Only what is durable may be told.
    size = std::min<uint64_t>(size, journal_->durable().bytes - read_bytes_);
    if (size == 0) co_return Read::kCaughtUp;
  }
  const StatusOr<std::string> octets = co_await files_.read_part(file_, path_, read_bytes_, size);
  if (!octets.ok()) co_return octets.status();
  read_bytes_ += octets->size();
  if (octets->empty()) {
    if (is_newest()) co_return io_error(path_ + " is shorter than what was written to it");
    parser_->end();
    file_ended_ = true;
  } else {
    parser_->feed(*octets);
  }
  const Status told = co_await tell_entries();
  if (!told.ok()) co_return told;
  co_return Read::kSome;
}

Task<Status> EventFollower::tell_entries() {
  JournalEntry entry;
  for (uint32_t taken = 1;; ++taken) {
    const JournalParser::Step step = parser_->next(entry);
    if (step != JournalParser::Step::kEntry) {
      if (step == JournalParser::Step::kCorrupt) {
        log(LogLevel::kError, "events are missing: " + message_of(parser_->status()));
        file_ended_ = true;
      }
      break;
    }
    if (!tell(entry, /*with_address=*/true)) {
      const Status loaded = co_await rows_.load(std::string(entry.job), entry.segment, entry.row);
      if (!loaded.ok()) {
        log(LogLevel::kWarning, "events without an address: " + message_of(loaded));
      }
      if (!tell(entry, true)) (void)tell(entry, false);
    }
    if (lines_.size() >= kLinesBytes) {
      const Status flushed = co_await flush();
      if (!flushed.ok()) co_return flushed;
    }
    if (taken % kSlice == 0) co_await yield();
  }
  if (defect(Defect::kEventsBehind)) {
    position_.offset = std::max(told_, parser_->whole_bytes());
    const Status saved = co_await save();
    if (!saved.ok()) co_return saved;
  }
  const Status flushed = co_await flush();
  if (!flushed.ok()) co_return flushed;
  // Behind the last whole frame nothing was given.
  position_.offset = std::max(told_, parser_->whole_bytes());
  co_return Status();
}

// False: its row must be loaded first.
bool EventFollower::tell(const JournalEntry& entry, bool with_address) {
  if (entry.kind != JournalEntry::Kind::kVerdict) return true;
  if (parser_->whole_bytes() <= told_) {
    ++verdicts_;
    ++stats_.skipped;
    return true;
  }
  EventContext context;
  Row row;
  RowFinder::Found found = RowFinder::Found::kGone;
  if (with_address) found = rows_.find(entry.job, entry.segment, entry.row, row);
  if (found == RowFinder::Found::kLoad) return false;
  if (found == RowFinder::Found::kRow) {
    context.row = row.number;
    context.recipient = row.address;
    context.queue = row.domain;
    note_bounce(entry, row.address);
  } else {
    ++stats_.unknown_rows;
  }
  context.place = {parser_->header().created, series_, position_.file, verdicts_++};
  context.source_address = source_address(entry);
  append_event(lines_, entry, context);
  ++stats_.events;
  return true;
}

// What a receiver said of the mailbox, not what was decided here.
void EventFollower::note_bounce(const JournalEntry& entry, std::string_view recipient) {
  if (bounces_directory_.empty() || entry.state != State::kBounced || entry.code == 0) return;
  if (!(entry.enhanced == kNoSuchMailbox)) return;
  bounces_ += recipient;
  bounces_ += '\n';
}

// The name says up to where: after a crash the same file is written again.
Task<Status> EventFollower::hand_over_bounces() {
  if (bounces_.empty()) co_return Status();
  const std::string name = followed_file_name(series_) + "-" + std::to_string(position_.file) +
                           "-" + std::to_string(position_.offset) + ".bounced";
  const std::string path = SpoolPaths::child(bounces_directory_, name);
  const Status written = co_await files_.write_durably(path, bounces_);
  if (written.ok()) bounces_.clear();
  co_return written;
}

std::string_view EventFollower::source_address(const JournalEntry& entry) const {
  if (entry.peer.port == 0) return {};
  const auto found = source_addresses_.find(entry.source);
  if (found == source_addresses_.end()) return {};
  return found->second[entry.peer.ip.family == Family::kIpv4 ? 0 : 1];
}

Task<Status> EventFollower::flush() {
  if (lines_.empty()) co_return Status();
  if (!unsaved_) save_at_ = loop_.now() + kSaveInterval;
  unsaved_ = true;
  const Status appended = co_await log_.append(lines_);
  co_return appended;
}

Task<Status> EventFollower::save() {
  Status status;
  if (log_.bytes() >= rotate_bytes_) {
    status = co_await log_.rotate();
  } else {
    status = co_await log_.sync();
  }
  if (!status.ok()) co_return status;
  status = co_await hand_over_bounces();
  if (!status.ok()) co_return status;
  position_.events = log_.bytes();
  status = co_await files_.write_durably(followed_path_, encode_followed(position_));
  if (!status.ok()) co_return status;
  unsaved_ = false;
  ++stats_.saves;
  listener_(series_, position_.file);
  co_return check_room();
}

Status EventFollower::check_room() const {
  const StatusOr<uint64_t> free = loop_.io().free_bytes(record_directory_);
  if (!free.ok() || *free >= kFreeBytesMin) return {};
  return exhausted(record_directory_ + ": only " + grouped(*free) +
                   " octets are free on that file system, and the journal needs them first: make "
                   "room");
}

Task<> EventFollower::wait_for_more() {
  if (unsaved_) {
    co_await pause_.until(std::min(save_at_, loop_.now() + kRest));
    co_return;
  }
  co_await journal_->committed();
  // Commits come many a second: several are told together.
  if (!stopping_) co_await pause_.lasting(kRest);
}

}  // namespace sluice
