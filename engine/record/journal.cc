#include "engine/record/journal.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/record/damage.h"
#include "engine/record/format.h"

namespace sluice {
namespace {

constexpr size_t kSpareBatches = 2;
constexpr uint32_t kBusyRecords = 64;
constexpr uint32_t kEnoughRecords = 512;
constexpr int kBusyIntervals = 4;
constexpr Duration kLookForRoom = std::chrono::seconds(1);
constexpr uint32_t kDirectoryMode = 0750;

std::string parent_of(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return "/";
  const size_t slash = path.rfind('/', end);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

void JournalListener::on_job_event_committed(JobIndex, JobEvent) {}
void JournalListener::on_stalled(const Status&) {}
void JournalListener::on_resumed() {}

Journal::Journal(Loop& loop, JournalOptions options, JournalListener& listener)
    : loop_(loop),
      directory_(std::move(options.directory)),
      shard_(options.shard),
      commit_interval_(options.commit_interval),
      file_bytes_max_(options.file_bytes_max),
      uncommitted_max_(options.uncommitted_max),
      listener_(listener),
      deadline_(wake_),
      operation_(io_done_) {}

Journal::~Journal() {
  CHECK(!running_);
  close_files();
}

void Journal::register_job(JobIndex job, std::string job_id) {
  CHECK(!job_id.empty() && job_id.size() <= kNameBytesMax);
  if (jobs_.size() <= job) jobs_.resize(size_t{job} + 1);
  jobs_[job] = std::move(job_id);
}

// --- gathering ---------------------------------------------------------------------------------

bool Journal::takes_appends() {
  if (!failed_ && (!closing_ || running_)) return true;
  ++stats_.dropped;
  return false;
}

void Journal::append(const RowId& row, const Verdict& verdict, const Attempt& attempt) {
  if (!takes_appends()) return;
  CHECK(gathering_ && row.job < jobs_.size() && !jobs_[row.job].empty());
  encoder_.verdict(gathering_->octets, jobs_[row.job], row, verdict, attempt);
  gathering_->verdicts.push_back({row, verdict.state, attempt.number, attempt.first_at,
                                  attempt.next_at, attempt.size, verdict.maybe_delivered,
                                  attempt.dns_stale, attempt.session != 0});
  count_append();
}

void Journal::append_job_event(JobIndex job, JobEvent event, WallTime at) {
  if (!takes_appends()) return;
  CHECK(gathering_ && job < jobs_.size() && !jobs_[job].empty());
  encoder_.job_event(gathering_->octets, jobs_[job], job, event, at);
  gathering_->job_notes.push_back({job, event});
  count_append();
}

void Journal::count_append() {
  ++stats_.uncommitted;
  if (gathering_->records() == 1) gathering_->began = loop_.now();
  if (gathering_->records() == 1 || gathering_->records() == kEnoughRecords) wake_.notify();
  if (gathering_->octets.size() >= kFrameHeaderBytes + kFrameBytesTarget) {
    seal();
    wake_.notify();
  }
}

// When what is gathered is to be committed.
Instant Journal::due() const {
  const bool wait_for_more = busy_ && gathering_->records() < kEnoughRecords;
  return gathering_->began + commit_interval_ * (wait_for_more ? kBusyIntervals : 1);
}

// What is gathered becomes a frame of the newest file; the next batch begins another file when this
// one fills it. That is decided here, for what is appended next refers to that file's dictionaries.
void Journal::seal() {
  planned_bytes_ += gathering_->octets.size();
  sealed_octets_ += gathering_->octets.size();
  sealed_.push_back(std::move(gathering_));
  gathering_ = fresh_batch();
  if (planned_bytes_ < file_bytes_max_) return;
  gathering_->starts_file = true;
  gathering_->created = loop_.io().wall_now();
  encoder_.begin_file(gathering_->created);
  planned_bytes_ = kFileHeaderBytes;
}

std::unique_ptr<Journal::Batch> Journal::fresh_batch() {
  std::unique_ptr<Batch> batch;
  if (spare_.empty()) {
    batch = std::make_unique<Batch>();
  } else {
    batch = std::move(spare_.back());
    spare_.pop_back();
  }
  batch->octets.assign(kFrameHeaderBytes, '\0');
  batch->verdicts.clear();
  batch->job_notes.clear();
  batch->starts_file = false;
  return batch;
}

void Journal::recycle(std::unique_ptr<Batch> batch) {
  if (spare_.size() < kSpareBatches) spare_.push_back(std::move(batch));
}

// --- the writer --------------------------------------------------------------------------------

Task<Status> Journal::open() {
  CHECK(directory_handle_ == kNoHandle && file_ == kNoHandle);
  const bool made = co_await make_directory();
  if (!made) co_return status_;
  const StatusOr<std::vector<std::string>> names = loop_.io().list(directory_);
  if (!names.ok()) co_return annotate(names.status(), "journal");
  for (const std::string& name : *names) {
    // The number of a file that was set aside is not given again.
    const std::string journal = parse_damaged_journal_name(name).value_or(name);
    const std::optional<JournalFileName> parsed = parse_journal_file_name(journal);
    if (parsed && parsed->shard == shard_) file_number_ = std::max(file_number_, parsed->number);
  }
  const StatusOr<Handle> directory = loop_.io().open_file(directory_, OpenMode::kDirectory);
  if (!directory.ok()) co_return annotate(directory.status(), "journal");
  directory_handle_ = *directory;
  gathering_ = fresh_batch();
  const WallTime created = loop_.io().wall_now();
  encoder_.begin_file(created);
  planned_bytes_ = kFileHeaderBytes;
  const bool begun = co_await begin_file(created);
  failed_ = !begun;
  co_return status_;
}

Task<bool> Journal::make_directory() {
  Io& io = loop_.io();
  if (io.stat(directory_).ok()) co_return true;
  status_ = io.make_directory(directory_, kDirectoryMode);
  if (!status_.ok()) co_return false;
  const std::string parent = parent_of(directory_);
  const StatusOr<Handle> handle = io.open_file(parent, OpenMode::kDirectory);
  if (!handle.ok()) {
    status_ = annotate(handle.status(), "journal");
    co_return false;
  }
  const bool synced = co_await sync(*handle, &directory_);
  io.close(*handle);
  co_return synced;
}

Task<> Journal::run() {
  if (ran_) co_return;  // close() was first
  CHECK(gathering_);
  ran_ = true;
  running_ = true;
  co_await write_batches();
  deadline_.disarm();
  close_files();
  running_ = false;
  ended_.notify();
  committed_.notify();
}

Task<> Journal::close() {
  closing_ = true;
  wake_.notify();
  if (!ran_ && gathering_ && !failed_) co_await run();
  while (running_) co_await ended_;
}

Task<> Journal::write_batches() {
  while (!failed_) {
    if (sealed_.empty() && gathering_->records() > 0) {
      if (closing_ || loop_.now() >= due()) {
        seal();
      } else {
        deadline_.arm(loop_.timers(), due());
      }
    }
    if (sealed_.empty()) {
      if (closing_ && gathering_->records() == 0) co_return;
      co_await wake_;
      continue;
    }
    deadline_.disarm();
    std::unique_ptr<Batch> batch = std::move(sealed_.front());
    sealed_.pop_front();
    busy_ = batch->records() >= kBusyRecords;
    if (defect(Defect::kBelieveEarly)) announce(*batch);
    const bool committed = co_await commit(batch.get());
    if (committed) {
      sealed_octets_ -= batch->octets.size();
      if (!defect(Defect::kBelieveEarly)) announce(*batch);
      recycle(std::move(batch));
    } else {
      fail();
    }
  }
}

Task<bool> Journal::commit(Batch* batch) {
  const Instant began = loop_.now();
  if (batch->starts_file) {
    const bool begun = co_await begin_file(batch->created);
    if (!begun) co_return false;
  }
  std::string& octets = batch->octets;
  put_frame_header(octets.data(), std::string_view(octets).substr(kFrameHeaderBytes), file_seed_,
                   file_bytes_);
  const bool written = co_await write_all(file_, octets, file_bytes_);
  if (!written) co_return false;
  const bool synced = co_await sync(file_, &path_);
  if (!synced) co_return false;
  file_bytes_ += octets.size();
  ++stats_.commits;
  stats_.bytes += octets.size();
  if (std::exchange(stalled_, false)) {
    status_ = Status();
    listener_.on_resumed();
  } else {
    stats_.longest_commit = std::max(stats_.longest_commit, loop_.now() - began);
  }
  co_return true;
}

// The file, its header and its name are durable before the first frame goes there.
Task<bool> Journal::begin_file(WallTime created) {
  Io& io = loop_.io();
  ++file_number_;
  path_ = directory_ + "/" + journal_file_name(shard_, file_number_);
  StatusOr<Handle> created_file = io.open_file(path_, OpenMode::kCreate);
  while (!created_file.ok()) {
    status_ = annotate(created_file.status(), "journal");
    if (created_file.status().code() != absl::StatusCode::kResourceExhausted) co_return false;
    const bool again = co_await wait_for_room();
    if (!again) co_return false;
    created_file = io.open_file(path_, OpenMode::kCreate);
  }
  next_file_ = *created_file;
  file_header_ = encode(JournalFileHeader{shard_, file_number_, created});
  const bool written = co_await write_all(next_file_, file_header_, 0);
  if (!written) co_return false;
  const bool synced = co_await sync(next_file_, &path_);
  if (!synced) co_return false;
  const bool named = co_await sync(directory_handle_, &directory_);
  if (!named) co_return false;
  if (file_ != kNoHandle) io.close(file_);
  file_ = std::exchange(next_file_, kNoHandle);
  file_seed_ = seed_of(file_header_);
  file_bytes_ = kFileHeaderBytes;
  durable_file_ = file_number_;
  ++stats_.files;
  stats_.bytes += kFileHeaderBytes;
  co_return true;
}

Task<bool> Journal::write_all(Handle file, std::string_view octets, uint64_t offset) {
  while (!octets.empty()) {
    piece_.iov_base = const_cast<char*>(octets.data());  // write() only reads it
    piece_.iov_len = octets.size();
    loop_.io().write(operation_, file, std::span<const iovec>(&piece_, 1), offset);
    while (operation_.in_flight()) co_await io_done_;
    const IoResult result = operation_.take();
    if (!result.ok() || result.value <= 0) {
      operation_failed("writing", path_, result);
      if (result.error != IoError::kNoSpace) co_return false;
      const bool again = co_await wait_for_room();
      if (!again) co_return false;
      continue;
    }
    const auto count = std::min(static_cast<size_t>(result.value), octets.size());
    octets.remove_prefix(count);
    offset += count;
  }
  co_return true;
}

// A write that found no room has spoilt nothing: the same octets may be written again. False when
// that is not to be waited for.
Task<bool> Journal::wait_for_room() {
  if (!running_ || closing_) {
    status_ = exhausted(message_of(status_) + "; make room on that file system");
    co_return false;
  }
  if (!std::exchange(stalled_, true)) {
    listener_.on_stalled(exhausted(
        message_of(status_) + "; nothing more is sent until there is room on that file system"));
  }
  const Instant until = loop_.now() + kLookForRoom;
  while (loop_.now() < until && !closing_) {
    deadline_.arm(loop_.timers(), until);
    co_await wake_;
  }
  co_return true;
}

Task<bool> Journal::sync(Handle handle, const std::string* path) {
  if (defect(Defect::kSkipSync) && handle == file_) co_return true;
  loop_.io().sync(operation_, handle);
  while (operation_.in_flight()) co_await io_done_;
  const IoResult result = operation_.take();
  if (result.ok()) co_return true;
  if (defect(Defect::kRetrySync)) co_return co_await sync(handle, path);
  operation_failed("syncing", *path, result);
  co_return false;
}

void Journal::announce(const Batch& batch) {
  CHECK(stats_.uncommitted >= batch.records());
  stats_.uncommitted -= batch.records();
  stats_.records += batch.records();
  committed_.notify();
  if (!batch.verdicts.empty()) listener_.on_committed(batch.verdicts);
  for (const Batch::JobNote& note : batch.job_notes) {
    listener_.on_job_event_committed(note.job, note.event);
  }
}

void Journal::operation_failed(const char* what, const std::string& path, const IoResult& result) {
  const std::string reason =
      result.ok() ? "nothing was written" : std::generic_category().message(result.raw_errno);
  const std::string text = path + ": " + what + " the journal failed: " + reason;
  if (result.error == IoError::kNoSpace) {
    status_ = exhausted(text);
    return;
  }
  status_ = io_error(text +
                     "; no verdict since is believed and nothing more is sent: look at the "
                     "kernel's log and at that disk, then restart sluice");
}

void Journal::fail() {
  failed_ = true;
  sealed_.clear();
  listener_.on_failed(status_);
}

void Journal::close_files() {
  for (Handle* handle : {&file_, &next_file_, &directory_handle_}) {
    if (*handle != kNoHandle) loop_.io().close(std::exchange(*handle, kNoHandle));
  }
}

}  // namespace sluice
