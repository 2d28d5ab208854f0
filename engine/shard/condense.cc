#include "engine/shard/condense.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/base/strings.h"
#include "engine/record/parser.h"
#include "engine/shard/segment_indexes.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = 128UL << 10;
constexpr uint32_t kSlice = 64;
constexpr uint64_t kRowBytes = 64;
// Jobs of fewer rows are not worth the question.
constexpr uint64_t kRoomRows = 10'000;
constexpr Duration kLookAgain = std::chrono::milliseconds(200);

Status stopped_status() {
  return {absl::StatusCode::kAborted, "the process ends; its next start goes on"};
}

}  // namespace

Condenser::Condenser(Loop& loop, const SpoolPaths& spool, JournalJobs& jobs,
                     std::function<bool()> stopped, CondenseLimits limits, CondenseJob job)
    : loop_(loop),
      spool_(spool),
      jobs_(jobs),
      stopped_(std::move(stopped)),
      limits_(limits),
      job_(std::move(job)),
      paths_(job_.directory),
      temporary_(JobPaths::temporary(paths_.outcomes)),
      files_(loop),
      writer_(job_.id),
      rows_(loop) {}

Task<Status> Condenser::run() {
  if (loop_.io().stat(paths_.outcomes).ok()) co_return Status();
  Status status = check_room();
  if (!status.ok()) co_return status;
  if (loop_.io().stat(temporary_).ok()) {
    status = loop_.io().remove_file(temporary_);
    if (!status.ok()) co_return status;
  }
  status = co_await flush();
  if (status.ok()) status = co_await write_all();
  if (status.ok()) status = loop_.io().rename(temporary_, paths_.outcomes);
  if (status.ok()) {
    status = co_await files_.sync_directory(job_.directory);
    co_return status;
  }
  if (loop_.io().stat(temporary_).ok()) (void)loop_.io().remove_file(temporary_);
  co_return status;
}

Status Condenser::check_room() const {
  if (job_.rows < kRoomRows) return {};
  const uint64_t wanted = job_.rows * kRowBytes + job_.reserve;
  const StatusOr<uint64_t> free = loop_.io().free_bytes(job_.directory);
  if (!free.ok() || *free >= wanted) return {};
  return exhausted("its outcomes want " + grouped(wanted) + " octets on the spool's file system, " +
                   "and " + grouped(*free) + " are free: make room");
}

Task<Status> Condenser::write_all() {
  const StatusOr<std::vector<std::string>> names = loop_.io().list(paths_.segments);
  if (!names.ok() && !absl::IsNotFound(names.status())) co_return names.status();
  if (names.ok()) {
    for (const std::string& name : *names) {
      if (const auto number = parse_segment_name(name)) segments_.push_back(*number);
    }
  }
  std::sort(segments_.begin(), segments_.end());
  while (end_ < segments_.size()) {
    Status status = co_await choose_range();
    if (status.ok()) status = co_await gather_range();
    if (!status.ok()) co_return status;
    totals_.texts_left_out += outcomes_->texts_left_out();
    writer_.begin_shapes();
    for (size_t at = first_; at < end_; ++at) {
      status = co_await write_segment(segments_[at]);
      if (!status.ok()) co_return status;
    }
    outcomes_.reset();
  }
  writer_.finish(totals_);
  const Status flushed = co_await flush();
  stats_.rows = writer_.rows();
  co_return flushed;
}

// The segments that come next, with as many rows as a range may have; at least one.
Task<Status> Condenser::choose_range() {
  const uint64_t rows_max = std::max(limits_.rows_min, std::min(job_.rows / 16, limits_.rows_max));
  first_ = end_;
  range_rows_.clear();
  uint64_t rows = 0;
  while (end_ < segments_.size() && rows < rows_max) {
    if (stopped_()) co_return stopped_status();
    const std::string path = paths_.segment(segments_[end_]);
    const StatusOr<IndexPtr> index = co_await read_index(loop_, files_, path);
    if (!index.ok()) co_return index.status();
    range_rows_.push_back((*index)->row_count());
    rows += range_rows_.back();
    ++end_;
  }
  co_return Status();
}

Task<Status> Condenser::gather_range() {
  while (true) {
    const Status gathered = co_await gather();
    if (!gathered.ok()) co_return gathered;
    if (outcomes_->texts_left_out() == 0 || end_ - first_ == 1) co_return Status();
    end_ = first_ + (end_ - first_) / 2;
  }
}

Task<Status> Condenser::gather() {
  outcomes_.reset();
  outcomes_ = std::make_unique<Outcomes>(job_.id, limits_.text_bytes_max);
  outcomes_->only_segments(segments_[first_], segments_[end_ - 1] + 1);
  // Known from the first pass; the file that says so may be skipped in the others.
  if (cancelled_) outcomes_->cancel();
  for (size_t at = first_; at < end_; ++at) {
    outcomes_->expect(segments_[at], range_rows_[at - first_]);
  }
  ++stats_.passes;
  const StatusOr<std::vector<std::string>> names = loop_.io().list(spool_.journal);
  if (!names.ok()) co_return names.status();
  std::map<uint32_t, uint32_t> newest;
  for (const std::string& name : *names) {
    const auto file = parse_journal_file_name(name);
    if (!file) continue;
    uint32_t& number = newest[file->shard];
    number = std::max(number, file->number);
  }
  for (const std::string& name : *names) {
    const auto file = parse_journal_file_name(name);
    if (!file) continue;
    const JournalPlace place{file->shard, file->number};
    const auto span = spans_.find(place);
    const bool elsewhere = span != spans_.end() && (span->second.last < segments_[first_] ||
                                                    span->second.first > segments_[end_ - 1]);
    if (elsewhere || !jobs_.may_hold(place, job_.id)) continue;
    const bool grows = newest[file->shard] == file->number;
    const Status read = co_await read_journal_file(place, grows);
    if (!read.ok()) co_return read;
  }
  cancelled_ = outcomes_->cancelled();
  co_return Status();
}

// Of a file that grows, what is there now: the job's last entry is durable since long.
Task<Status> Condenser::read_journal_file(JournalPlace place, bool grows) {
  const std::string path =
      SpoolPaths::child(spool_.journal, journal_file_name(place.shard, place.number));
  const StatusOr<FileStat> stat = loop_.io().stat(path);
  if (!stat.ok()) co_return stat.status();
  const StatusOr<Handle> file = loop_.io().open_file(path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  const bool first_pass = !spans_.contains(place);
  const auto seen = std::make_unique<std::set<std::string>>();
  parser_ = std::make_unique<JournalParser>(path);
  parser_->only(job_.id, segments_[first_], segments_[end_ - 1] + 1);
  if (first_pass && !grows) parser_->name_jobs(seen.get());
  uint64_t offset = 0;
  Status status;
  bool whole = false;
  while (status.ok() && !whole) {
    if (stopped_()) {
      status = stopped_status();
      break;
    }
    const size_t size = std::min<uint64_t>(kReadBytes, stat->bytes - offset);
    const StatusOr<std::string> octets = co_await files_.read_part(*file, path, offset, size);
    status = octets.status();
    if (!status.ok()) break;
    offset += octets->size();
    whole = octets->empty();
    if (whole) {
      parser_->end();
    } else {
      parser_->feed(*octets);
    }
    status = co_await take_entries();
    co_await yield();
  }
  loop_.io().close(*file);
  if (status.ok()) spans_[place] = parser_->span();
  if (status.ok() && first_pass && !grows) jobs_.set(place, std::move(*seen));
  parser_.reset();
  co_return status;
}

Task<Status> Condenser::take_entries() {
  JournalEntry entry;
  for (uint32_t taken = 1;; ++taken) {
    const JournalParser::Step step = parser_->next(entry);
    if (step == JournalParser::Step::kCorrupt) co_return parser_->status();
    if (step != JournalParser::Step::kEntry) co_return Status();
    const Status added = outcomes_->add(entry);
    if (!added.ok()) co_return added;
    if (taken % kSlice == 0) co_await yield();
  }
}

Task<Status> Condenser::write_segment(SegmentNumber number) {
  if (stopped_()) co_return stopped_status();
  Status status = co_await rows_.load(paths_.segment(number));
  if (!status.ok()) co_return status;
  totals_.rejected += rows_.meta().rejected;
  totals_.suppressed += rows_.meta().suppressed;
  totals_.duplicate += rows_.meta().duplicate;
  SegmentRowsInOrder::Entry entry;
  for (uint32_t taken = 1; rows_.next(entry); ++taken) {
    writer_.add(entry.number, entry.address, outcomes_->find_packed(number, entry.row));
    if (writer_.octets().size() >= limits_.write_bytes) {
      status = co_await flush();
      if (!status.ok()) co_return status;
    }
    if (taken % kSlice == 0) co_await yield();
  }
  co_return status;
}

Task<Status> Condenser::flush() {
  std::string octets = std::move(writer_.octets());
  writer_.octets().clear();
  const size_t size = octets.size();
  const Status written =
      co_await files_.append_durably(temporary_, std::move(octets), stats_.bytes);
  stats_.bytes += size;
  co_return written;
}

Task<Status> Condensing::condense(CondenseJob job) {
  bool& busy = job.rows > kFewRows ? many_rows_ : few_rows_;
  while (busy) {
    if (stopped_()) co_return stopped_status();
    const Instant look_again = loop_.now() + kLookAgain;
    co_await turn_.wait(look_again);
  }
  busy = true;
  const auto condenser =
      std::make_unique<Condenser>(loop_, spool_, jobs_, stopped_, CondenseLimits(), job);
  const Status status = co_await condenser->run();
  busy = false;
  turn_.notify_all();
  co_return status;
}

}  // namespace sluice
