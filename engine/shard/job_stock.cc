#include "engine/shard/job_stock.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/base/strings.h"
#include "engine/shard/job_loader.h"
#include "engine/shard/segment_indexes.h"
#include "engine/shard/shard.h"
#include "engine/spool/job_directory.h"
#include "engine/spool/job_files.h"

namespace sluice {
namespace {

constexpr uint64_t kRejectedBytesMax = 1UL << 30;
constexpr uint64_t kProgressBytesMax = 1UL << 16;
constexpr size_t kDamagesTold = 3;

int64_t& state_of(Counts& counts, State state) { return counts.states[static_cast<size_t>(state)]; }

// Octets of rejected.csv that belong to rows before `row_end`; the rest is written again.
uint64_t settled_rejections(std::string_view text, uint64_t row_end) {
  uint64_t settled = 0;
  size_t line = 0;
  while (line < text.size()) {
    size_t end = text.find('\n', line);
    if (end == std::string_view::npos) break;
    ++end;
    const std::string_view row = text.substr(line, text.find(',', line) - line);
    const auto number = parse_decimal(row);
    if (number && *number >= row_end) break;
    settled = line = end;
  }
  return settled;
}

Counts counts_of(const JobRecovery& known, int64_t rows) {
  Counts counts;
  counts.states = known.states;
  counts.attempts = known.attempts;
  counts.maybe_delivered = known.maybe_delivered;
  counts.stale = known.stale;
  counts.bytes = known.bytes;
  int64_t seen = 0;
  for (const int64_t count : counts.states) seen += count;
  state_of(counts, State::kWaiting) += rows - seen;
  return counts;
}

// The segments of a job, as they are met.
class SegmentStock {
 public:
  SegmentStock(JobStock& stock, const JobRecovery* known) : stock_(stock), known_(known) {}

  void add(const SegmentIndex& index, std::string path);
  void add_unreadable(SegmentNumber number, const Status& why) {
    unreadable_[number] = segment_name(number) + " cannot be read (" + message_of(why) + ")";
  }
  void add_missing(const std::string& directory);
  // What is hidden in those that cannot be read counts too.
  void count_hidden(bool is_cancelled);
  const Counts& left_out() const { return left_out_; }
  // From one state to another: what a cancel means for rows that cannot be read.
  const Counts& moved() const { return moved_; }
  bool is_readable(SegmentNumber number) const { return stretches_.count(number) != 0; }

 private:
  struct Stretch {
    uint64_t row_begin = 0;
    uint64_t row_end = 0;
  };
  std::optional<uint64_t> rows_between_neighbours(SegmentNumber number) const;
  const SegmentRecovery* seen(SegmentNumber number) const {
    return known_ == nullptr ? nullptr : known_->segment(number);
  }

  JobStock& stock_;
  const JobRecovery* known_;
  std::map<SegmentNumber, Stretch> stretches_;
  std::map<SegmentNumber, std::string> unreadable_;  // with the reason
  Counts left_out_;
  Counts moved_;
};

void SegmentStock::add(const SegmentIndex& index, std::string path) {
  const SegmentMeta& meta = index.meta();
  const auto segment = std::make_shared<PublishedSegment>();
  segment->job = stock_.job;
  segment->number = meta.number;
  segment->rows = index.row_count();
  segment->path = std::move(path);
  if (const SegmentRecovery* known = seen(meta.number)) segment->recovered = *known;
  stock_.rows += segment->rows;
  state_of(left_out_, State::kRejected) += static_cast<int64_t>(meta.rejected);
  state_of(left_out_, State::kDuplicate) += static_cast<int64_t>(meta.duplicate);
  state_of(left_out_, State::kSuppressed) += static_cast<int64_t>(meta.suppressed);
  if (meta.number + 1 > stock_.so_far.next_segment) {
    stock_.so_far.next_segment = meta.number + 1;
    stock_.so_far.position = {meta.row_end - 1, meta.resume_line, meta.resume_offset};
  }
  stretches_[meta.number] = {meta.row_begin, meta.row_end};
  stock_.segments.push_back(segment);
}

// Between those that are there, and those that the journal has verdicts of.
void SegmentStock::add_missing(const std::string& directory) {
  SegmentNumber end = stock_.so_far.next_segment;
  if (!unreadable_.empty()) end = std::max(end, unreadable_.rbegin()->first + 1);
  if (known_ != nullptr && !known_->segments.empty()) {
    end = std::max(end, known_->segments.rbegin()->first + 1);
  }
  for (SegmentNumber number = 0; number < end; ++number) {
    if (is_readable(number) || unreadable_.count(number) != 0) continue;
    unreadable_[number] = SpoolPaths::child(directory, segment_name(number)) + " is missing";
  }
}

std::optional<uint64_t> SegmentStock::rows_between_neighbours(SegmentNumber number) const {
  const auto next = stretches_.find(number + 1);
  if (next == stretches_.end()) return std::nullopt;
  uint64_t begin = 1;
  if (number > 0) {
    const auto before = stretches_.find(number - 1);
    if (before == stretches_.end()) return std::nullopt;
    begin = before->second.row_end;
  }
  return next->second.row_begin - begin;
}

void SegmentStock::count_hidden(bool is_cancelled) {
  std::vector<std::string> told;
  size_t untold = 0;
  for (const auto& [number, what] : unreadable_) {
    const HiddenRows rows = hidden_rows(seen(number), rows_between_neighbours(number));
    stock_.rows += rows.rows;
    const int64_t open = rows.rows - rows.final;
    if (is_cancelled) {
      state_of(moved_, State::kCancelled) += open;
      state_of(moved_, State::kDeferred) -= rows.deferred;
      state_of(moved_, State::kWaiting) -= open - rows.deferred;
      continue;
    }
    const std::string words = what + ": " + grouped(static_cast<uint64_t>(open)) +
                              " rows or more wait in it and stay where they are";
    log(LogLevel::kError,
        "job " + stock_.job->id + ": " + words + "; restore the file and start again");
    if (told.size() < kDamagesTold) {
      told.push_back(words);
    } else {
      ++untold;
    }
  }
  if (!unreadable_.empty() && unreadable_.rbegin()->first + 1 > stock_.so_far.next_segment) {
    // The number is taken, and the place to go on is in that file.
    stock_.so_far.next_segment = unreadable_.rbegin()->first + 1;
    stock_.list_stalled = true;
  }
  if (told.empty()) return;
  if (untold > 0) told.push_back("and so do " + std::to_string(untold) + " more segments");
  stock_.damage = join(told, "; ") + "; restore and start again";
}

}  // namespace

HiddenRows hidden_rows(const SegmentRecovery* seen, std::optional<uint64_t> stretch) {
  HiddenRows hidden;
  if (seen != nullptr) {
    hidden.final = seen->final_count();
    hidden.deferred = static_cast<int64_t>(seen->deferred().size());
  }
  hidden.rows = hidden.final + hidden.deferred;
  if (stretch) {
    hidden.rows = std::max(hidden.rows, static_cast<int64_t>(*stretch));
  } else {
    ++hidden.rows;  // nothing says that there is none
  }
  return hidden;
}

Task<Status> remember_addresses(Loop& loop, FileTasks& files, const PublishedSegment& segment,
                                ListTaker& taker) {
  const StatusOr<IndexPtr> index = co_await read_index(loop, files, segment.path);
  if (!index.ok()) co_return index.status();
  const StatusOr<Handle> file = loop.io().open_file(segment.path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  Status status;
  for (uint32_t block = 0; block < (*index)->block_count() && status.ok(); ++block) {
    const BlockEntry entry = (*index)->block(block);
    const StatusOr<std::string> octets =
        co_await files.read_part(*file, segment.path, entry.offset, entry.bytes);
    status = octets.status();
    if (!status.ok()) break;
    BlockReader reader;
    status = reader.open(**index, block, *octets);
    Row row;
    while (status.ok() && reader.next(row)) taker.remember(row.address);
    if (status.ok()) status = reader.status();
  }
  loop.io().close(*file);
  co_return status.ok() ? status : annotate(status, segment.path);
}

Task<Status> take_stock(Shard& home, std::string id, const JobRecovery* known, bool cancel,
                        JobStock* stock) {
  const auto files = std::make_unique<FileTasks>(home.loop());
  const JobPaths paths(home.peers().spool.active_job(id));
  const std::optional<JobId> parsed = parse_job_id(id);
  if (!parsed) co_return invalid("its directory's name is no job id; move it to incoming/");
  JobLoad load;
  load.directory = paths.root;
  load.id = id;
  load.created = parsed->created;
  load.shards = home.peers().shard_count;
  load.keys = home.peers().keys;
  StatusOr<JobPtr> job = co_await load_job(home.loop(), home.config(), home.limits(), load);
  if (!job.ok()) co_return job.status();
  stock->job = *job;
  stock->job->cancelled = cancel || (known != nullptr && known->cancelled);
  stock->job->paused = known != nullptr && known->paused;
  const Status made = home.io().make_directory(paths.segments, 0750);
  if (!made.ok()) co_return made;
  const StatusOr<std::vector<std::string>> names = home.io().list(paths.segments);
  if (!names.ok()) co_return names.status();

  SegmentStock segments(*stock, known);
  for (const std::string& name : *names) {
    const std::optional<SegmentNumber> number = parse_segment_name(name);
    if (!number) continue;
    if (defect(Defect::kSkipLastSegment) && name == names->back()) continue;
    const std::string path = SpoolPaths::child(paths.segments, name);
    const StatusOr<IndexPtr> index = co_await read_index(home.loop(), *files, path);
    if (absl::IsResourceExhausted(index.status())) co_return index.status();
    if (!index.ok()) {
      segments.add_unreadable(*number, index.status());
    } else if ((*index)->meta().number != *number) {
      segments.add_unreadable(*number, io_error(path + " is another segment's file"));
    } else {
      segments.add(**index, path);
    }
  }
  if (!defect(Defect::kSkipLastSegment)) segments.add_missing(paths.segments);
  segments.count_hidden(stock->job->cancelled);
  Counts counts = counts_of(known != nullptr ? *known : JobRecovery(), stock->rows);
  for (size_t i = 0; i < kStates; ++i) {
    counts.states[i] += segments.moved().states[i];
    if (is_final(static_cast<State>(i))) stock->final_rows += counts.states[i];
    counts.states[i] += segments.left_out().states[i];
  }
  stock->counts = counts;

  const StatusOr<std::string> text = co_await files->read_whole(paths.progress, kProgressBytesMax);
  const StatusOr<IntakeProgress> progress =
      text.ok() ? parse_progress(*text) : StatusOr<IntakeProgress>(text.status());
  if (progress.ok()) {
    stock->list_taken = progress->finished;
  } else if (!absl::IsNotFound(text.status())) {
    log(LogLevel::kWarning, paths.progress + " cannot be read: " + message_of(progress.status()) +
                                "; the list is read on from where the last segment ends");
  }
  if (stock->list_taken) {
    stock->list_stalled = false;
    co_return Status();
  }
  const StatusOr<std::string> rejected =
      co_await files->read_whole(paths.rejected, kRejectedBytesMax);
  if (rejected.ok()) {
    const uint64_t row_end = stock->so_far.position ? stock->so_far.position->row + 1 : 1;
    stock->so_far.rejected_bytes = settled_rejections(*rejected, row_end);
  }
  co_return Status();
}

}  // namespace sluice
