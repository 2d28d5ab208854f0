// The part of Intake that takes up what was active before a restart: the spool minus the journal.
#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/record/format.h"
#include "engine/record/parser.h"
#include "engine/record/recovery.h"
#include "engine/shard/intake.h"
#include "engine/shard/job_loader.h"
#include "engine/shard/job_transfer.h"
#include "engine/shard/shard.h"
#include "engine/spool/job_directory.h"
#include "engine/spool/job_files.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = 1UL << 20;
constexpr uint64_t kRejectedBytesMax = 1UL << 30;

// All that the tasks below give to the kernel, and what they gather.
struct Workbench {
  explicit Workbench(Loop& loop) : files(loop) {}
  FileTasks files;
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
        return annotate(parser.status(),
                        "restore the file, or move it away if its recipients may get their mail "
                        "again");
    }
  }
}

Task<Status> read_journal(Loop& loop, FileTasks& files, std::string path, Recovery& recovery) {
  const StatusOr<Handle> file = loop.io().open_file(path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  JournalParser parser(path);
  uint64_t offset = 0;
  Status status;
  while (status.ok()) {
    const StatusOr<std::string> octets = co_await files.read_part(*file, path, offset, kReadBytes);
    status = octets.status();
    if (!status.ok()) break;
    if (octets->empty()) {
      parser.end();
      status = take_entries(parser, recovery);
      break;
    }
    offset += octets->size();
    parser.feed(*octets);
    status = take_entries(parser, recovery);
  }
  loop.io().close(*file);
  co_return status;
}

Task<StatusOr<std::shared_ptr<PublishedSegment>>> open_published(Loop& loop, FileTasks& files,
                                                                 std::string path) {
  const StatusOr<FileStat> stat = loop.io().stat(path);
  if (!stat.ok()) co_return stat.status();
  const StatusOr<Handle> file = loop.io().open_file(path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  const uint64_t tail = std::min<uint64_t>(stat->bytes, kSegmentTrailerBytes);
  StatusOr<std::string> octets =
      co_await files.read_part(*file, path, stat->bytes - tail, kSegmentTrailerBytes);
  Status status = octets.status();
  auto segment = std::make_shared<PublishedSegment>();
  if (status.ok()) {
    const StatusOr<SegmentTrailer> trailer = parse_segment_trailer(*octets, stat->bytes);
    status = trailer.status();
    if (status.ok()) {
      octets = co_await files.read_part(*file, path, trailer->index_offset, trailer->index_bytes);
      status = octets.status();
    }
    if (status.ok()) {
      StatusOr<SegmentIndex> index = SegmentIndex::parse(*octets, *trailer);
      status = index.status();
      if (status.ok()) segment->index = std::move(*index);
    }
  }
  loop.io().close(*file);
  if (!status.ok()) co_return annotate(status, path);
  segment->path = path;
  co_return segment;
}

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

// Addresses of a published segment, for deduplication.
Task<Status> remember_addresses(Loop& loop, FileTasks& files, const PublishedSegment& segment,
                                ListTaker& taker) {
  const StatusOr<Handle> file = loop.io().open_file(segment.path, OpenMode::kRead);
  if (!file.ok()) co_return file.status();
  Status status;
  for (uint32_t block = 0; block < segment.index.block_count() && status.ok(); ++block) {
    const BlockEntry entry = segment.index.block(block);
    const StatusOr<std::string> octets =
        co_await files.read_part(*file, segment.path, entry.offset, entry.bytes);
    status = octets.status();
    if (!status.ok()) break;
    BlockReader reader;
    status = reader.open(segment.index, block, *octets);
    Row row;
    while (status.ok() && reader.next(row)) taker.remember(row.address);
    if (status.ok()) status = reader.status();
  }
  loop.io().close(*file);
  co_return status;
}

Counts counts_of(const JobRecovery& known, int64_t rows) {
  Counts counts;
  counts.states = known.states;
  counts.attempts = known.attempts;
  counts.maybe_delivered = known.maybe_delivered;
  counts.bytes = known.bytes;
  int64_t seen = 0;
  for (const int64_t count : counts.states) seen += count;
  counts.states[static_cast<size_t>(State::kWaiting)] += rows - seen;
  return counts;
}

}  // namespace

Task<Status> Intake::recover() {
  const Status paused = co_await load_paused_sites();
  if (!paused.ok()) co_return paused;
  const SpoolPaths& spool = home_.peers().spool;
  StatusOr<std::vector<std::string>> ids = home_.io().list(spool.active);
  if (!ids.ok()) co_return ids.status();
  std::erase_if(*ids, [](const std::string& id) { return id.front() == '.'; });
  const Status taking = co_await recover_taking(*ids);
  if (!taking.ok()) co_return taking;
  if (ids->empty()) co_return Status();
  Recovery recovery(*ids);
  const auto bench = std::make_unique<Workbench>(home_.loop());
  const StatusOr<std::vector<std::string>> journals = home_.io().list(spool.journal);
  if (!journals.ok()) co_return journals.status();
  for (const std::string& name : *journals) {
    if (!parse_journal_file_name(name)) continue;
    // The very last is empty: this process began it.
    if (defect(Defect::kSkipLastJournal) && &name == &journals->back() - 1) continue;
    const Status status =
        co_await read_journal(home_.loop(), bench->files, spool.journal + "/" + name, recovery);
    if (!status.ok()) co_return status;
  }
  recovery.finish();
  for (const std::string& id : *ids) {
    const Status status = co_await recover_job(id, recovery.job(id));
    if (status.ok()) {
      co_await release_taken(id);
      continue;
    }
    const bool refused = co_await refuse_unsent(id, status);
    if (refused) continue;
    log(LogLevel::kError, "job " + id + " cannot go on and stays in active/: " +
                              message_of(status) + "; mend it and start again");
  }
  co_return Status();
}

// What was on its way from incoming/ to active/ goes on. An active job is released after it has
// been taken up: until then its claimed directory tells that it may still be refused.
Task<Status> Intake::recover_taking(const std::vector<std::string>& active_ids) {
  const SpoolPaths& spool = home_.peers().spool;
  StatusOr<std::vector<std::string>> dropped = home_.io().list(spool.incoming);
  if (!dropped.ok()) co_return dropped.status();
  StatusOr<std::vector<std::string>> arrived = home_.io().list(spool.active);
  if (!arrived.ok()) co_return arrived.status();
  std::vector<std::string> ids;
  for (const std::string& name : *dropped) {
    if (const auto id = parse_claimed_name(name)) ids.push_back(*id);
  }
  for (const std::string& name : *arrived) {
    if (const auto id = parse_arriving_name(name)) ids.push_back(*id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const std::string& id : ids) {
    if (std::find(active_ids.begin(), active_ids.end(), id) != active_ids.end()) continue;
    const auto transfer = std::make_unique<JobTransfer>(home_.loop(), spool, id);
    if (home_.io().stat(spool.failed_job(id)).ok()) {
      co_await transfer->finish_setting_aside();
    } else if (home_.io().stat(spool.done_job(id)).ok()) {
      co_await transfer->release();
    } else {
      home_.services().spawn(take_claimed(id));
    }
  }
  co_return Status();
}

// The end of taking an active job, where a process was killed before it came so far.
Task<> Intake::release_taken(std::string id) {
  const auto transfer = std::make_unique<JobTransfer>(home_.loop(), home_.peers().spool, id);
  co_await transfer->release();
}

// A job that was killed between its arrival and its release is new: it may still be refused whole.
Task<bool> Intake::refuse_unsent(std::string id, Status why) {
  const SpoolPaths& spool = home_.peers().spool;
  const bool is_new = home_.io().stat(spool.incoming_job(claimed_name(id))).ok();
  const StatusOr<std::vector<std::string>> segments =
      home_.io().list(JobPaths(spool.active_job(id)).segments);
  const bool unsent = segments.ok() ? segments->empty() : absl::IsNotFound(segments.status());
  if (!is_new || !unsent || !is_of_the_job(why)) co_return false;
  const auto transfer = std::make_unique<JobTransfer>(home_.loop(), spool, id);
  co_await refuse(*transfer, id, why);
  co_return true;
}

Task<Status> Intake::recover_job(std::string id, const JobRecovery* known) {
  const auto bench = std::make_unique<Workbench>(home_.loop());
  const JobPaths paths(home_.peers().spool.active_job(id));
  const std::optional<JobId> parsed = parse_job_id(id);
  if (!parsed) co_return invalid("its directory's name is no job id; move it to incoming/");
  JobLoad load;
  load.directory = paths.root;
  load.id = id;
  load.created = parsed->created;
  load.shards = home_.peers().shard_count;
  StatusOr<JobPtr> job = co_await load_job(home_.loop(), home_.config(), home_.limits(), load);
  if (!job.ok()) co_return job.status();
  const Status made = home_.io().make_directory(paths.segments, 0750);
  if (!made.ok()) co_return made;
  const StatusOr<std::vector<std::string>> names = home_.io().list(paths.segments);
  if (!names.ok()) co_return names.status();

  TakenSoFar so_far;
  std::vector<std::shared_ptr<PublishedSegment>> segments;
  int64_t rows = 0;
  Counts left_out;
  for (const std::string& name : *names) {
    if (!parse_segment_name(name)) continue;
    if (defect(Defect::kSkipLastSegment) && name == names->back()) continue;
    StatusOr<std::shared_ptr<PublishedSegment>> segment =
        co_await open_published(home_.loop(), bench->files, paths.segments + "/" + name);
    if (!segment.ok()) co_return segment.status();
    const SegmentMeta& meta = (*segment)->index.meta();
    (*segment)->job = *job;
    (*segment)->ref = next_segment_ref();
    const SegmentRecovery* seen = known != nullptr ? known->segment(meta.number) : nullptr;
    if (seen != nullptr) (*segment)->recovered = *seen;
    rows += (*segment)->index.row_count();
    left_out.states[static_cast<size_t>(State::kRejected)] += static_cast<int64_t>(meta.rejected);
    left_out.states[static_cast<size_t>(State::kDuplicate)] += static_cast<int64_t>(meta.duplicate);
    left_out.states[static_cast<size_t>(State::kSuppressed)] +=
        static_cast<int64_t>(meta.suppressed);
    if (meta.number + 1 > so_far.next_segment) {
      so_far.next_segment = meta.number + 1;
      so_far.position = {meta.row_end - 1, meta.resume_line, meta.resume_offset};
    }
    segments.push_back(std::move(*segment));
  }
  Counts counts = counts_of(known != nullptr ? *known : JobRecovery(), rows);
  int64_t final_rows = 0;
  for (size_t i = 0; i < kStates; ++i) {
    if (is_final(static_cast<State>(i))) final_rows += counts.states[i];
    counts.states[i] += left_out.states[i];
  }
  (*job)->progress.restore(home_.number(), counts);
  if (known != nullptr) {
    (*job)->cancelled = known->cancelled;
    (*job)->paused = known->paused;
  }
  (*job)->open_rows.fetch_add(rows - final_rows, std::memory_order_acq_rel);

  auto active = std::make_shared<Active>();
  active->job = *job;
  const StatusOr<std::string> progress_file =
      co_await bench->files.read_whole(paths.progress, 1U << 16);
  bool list_taken = false;
  if (progress_file.ok()) {
    const StatusOr<IntakeProgress> progress = parse_progress(*progress_file);
    if (!progress.ok()) co_return annotate(progress.status(), paths.progress);
    list_taken = progress->finished;
  }
  if (!list_taken) {
    const StatusOr<std::string> rejected =
        co_await bench->files.read_whole(paths.rejected, kRejectedBytesMax);
    if (rejected.ok()) {
      const uint64_t row_end = so_far.position ? so_far.position->row + 1 : 1;
      so_far.rejected_bytes = settled_rejections(*rejected, row_end);
    }
    active->taker = std::make_unique<ListTaker>(home_, *job, *this);
    if ((*job)->spec.list.dedupe) {
      for (const auto& segment : segments) {
        const Status status =
            co_await remember_addresses(home_.loop(), bench->files, *segment, *active->taker);
        if (!status.ok()) co_return status;
      }
    }
  }
  const bool enrolled = co_await enroll(*job);
  if (!enrolled) co_return Status();
  log(LogLevel::kInfo, "job " + id + " goes on: " + std::to_string(final_rows) + " of " +
                           std::to_string(rows) + " rows taken so far are final");
  active_.push_back(active);
  for (const auto& segment : segments) {
    const bool published = co_await publish(segment);
    if (!published) co_return Status();
  }
  if (!list_taken) {
    home_.services().spawn(run_job(active, so_far));
    co_return Status();
  }
  active->phase = "sending";
  if ((*job)->open_rows.fetch_sub(1, std::memory_order_acq_rel) == 1) job_ended(*job);
  co_return Status();
}

}  // namespace sluice
