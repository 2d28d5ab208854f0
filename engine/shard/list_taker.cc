#include "engine/shard/list_taker.h"

#include <utility>

#include "engine/base/defect.h"
#include "engine/base/digest.h"
#include "engine/base/log.h"
#include "engine/shard/shard.h"
#include "engine/spool/address.h"

namespace sluice {
namespace {

constexpr uint32_t kRowsBetweenYields = 256;
// What cannot be written to the spool is tried again after this: a full disk loses no row.
constexpr Duration kWriteAgain = std::chrono::seconds(1);

}  // namespace

ListTaker::ListTaker(Shard& shard, JobPtr job, Publisher& publisher)
    : shard_(shard),
      job_(std::move(job)),
      publisher_(publisher),
      paths_(job_->directory),
      files_(shard.loop()),
      pause_(shard.loop()),
      list_(shard.loop(), job_->directory + "/" + job_->spec.list.file, job_->spec.list.file,
            shard.limits()) {
  if (job_->spec.list.dedupe) {
    Random& random = shard.io().random();
    dedupe_.emplace(shard.limits().dedupe_entries_max, SipKey{random.next(), random.next()});
  }
}

Task<Status> ListTaker::run(TakenSoFar so_far) {
  Status status = list_.open();
  if (!status.ok()) co_return status;
  rejected_bytes_ = so_far.rejected_bytes;
  meta_.job = job_->id;
  meta_.template_hash = job_->template_hash;
  meta_.number = so_far.next_segment;
  meta_.columns = job_->columns;
  meta_.address_column = job_->address_column;
  if (so_far.position) {
    status = co_await list_.check();
    if (!status.ok()) co_return status;
    list_.resume(*so_far.position);
    meta_.row_begin = so_far.position->row + 1;
  }
  builder_.emplace(static_cast<uint32_t>(job_->columns.size()), job_->address_column,
                   shard_.limits());
  segment_began_ = shard_.now();
  status = co_await take_all();
  if (spool_failed_) co_return status;
  // What was gathered before the list broke is sent all the same.
  const Status flushed = co_await flush();
  if (!flushed.ok()) co_return flushed;
  finished_ = !shard_.draining();
  co_return status;
}

Task<Status> ListTaker::take_all() {
  ListRecord record;
  uint32_t since_yield = 0;
  while (!shard_.draining()) {
    const ListSource::Next got = list_.next(record);
    if (got == ListSource::Next::kEnd) break;
    if (got == ListSource::Next::kFailed) co_return list_.status();
    if (got == ListSource::Next::kMore) {
      const Status filled = co_await list_.fill();
      if (!filled.ok()) co_return filled;
      continue;
    }
    take_record(record);
    if (++since_yield < kRowsBetweenYields) continue;
    since_yield = 0;
    if (segment_is_due()) {
      const Status flushed = co_await flush();
      if (!flushed.ok()) co_return flushed;
    }
    co_await yield();
  }
  co_return Status();
}

bool ListTaker::segment_is_due() const {
  return builder_->full(shard_.limits()) ||
         shard_.now() - segment_began_ >= shard_.limits().segment_age_max;
}

void ListTaker::refuse(const ListRecord& record, std::string_view address,
                       std::string_view reason) {
  append_rejected(rejected_, record.number, record.line, address, reason);
  ++meta_.rejected;
}

void ListTaker::take_record(const ListRecord& record) {
  if (record.error != nullptr) {
    refuse(record, record.raw.substr(0, 200), record.error);
    return;
  }
  const std::string_view given = record.values[job_->address_column];
  const AddressResult parsed = parse_address(given, scratch_);
  if (!parsed.ok()) {
    refuse(record, given, parsed.error);
    return;
  }
  Row row;
  row.number = record.number;
  row.address = parsed.address.address;
  row.local_part = parsed.address.local_part;
  row.domain = parsed.address.domain;
  row.needs_smtputf8 = parsed.address.needs_smtputf8;
  row.values = record.values;
  if (const ComposeResult fits = job_->message->check(row); !fits.ok()) {
    refuse(record, given, fits.refusal.text);
    return;
  }
  if (dedupe_ && !dedupe_->insert(row.address)) {
    ++meta_.duplicate;
    return;
  }
  if (defect(Defect::kLoseLastRow) && builder_->full(shard_.limits())) return;
  builder_->add(row);
}

Task<Status> ListTaker::write_rejected() {
  if (rejected_.empty()) co_return Status();
  if (rejected_bytes_ == 0) rejected_.insert(0, kRejectedHeader);
  Status status = co_await files_.append_durably(paths_.rejected, rejected_, rejected_bytes_);
  while (!status.ok() && !shard_.draining()) {
    co_await wait_to_write_again(status);
    status = co_await files_.append_durably(paths_.rejected, rejected_, rejected_bytes_);
  }
  if (!status.ok()) {
    spool_failed_ = true;
    co_return status;
  }
  rejected_bytes_ += rejected_.size();
  rejected_.clear();
  co_return status;
}

// In steps, so that a drain need not wait for it.
Task<> ListTaker::wait_to_write_again(Status why) {
  log(LogLevel::kError, "job " + job_->id + ": its list waits, the spool cannot be written: " +
                            message_of(why) + "; trying again");
  const Instant until = shard_.now() + kWriteAgain;
  while (shard_.now() < until && !shard_.draining()) {
    co_await pause_.lasting(std::chrono::milliseconds(200));
  }
}

// Makes what was gathered durable, then publishes it.
Task<Status> ListTaker::flush() {
  const ListPosition& position = list_.position();
  meta_.row_end = position.row + 1;
  meta_.resume_offset = position.offset;
  meta_.resume_line = position.line;
  segment_began_ = shard_.now();
  if (meta_.row_end == meta_.row_begin) co_return Status();
  const Status rejected = co_await write_rejected();
  if (!rejected.ok()) co_return rejected;

  builder_->finish(meta_, octets_);
  const std::string path = paths_.segment(meta_.number);
  const std::string_view view = octets_;
  const StatusOr<SegmentTrailer> trailer =
      parse_segment_trailer(view.substr(view.size() - kSegmentTrailerBytes), view.size());
  if (!trailer.ok()) co_return trailer.status();
  StatusOr<SegmentIndex> index =
      SegmentIndex::parse(view.substr(trailer->index_offset, trailer->index_bytes), *trailer);
  if (!index.ok()) co_return index.status();
  Status written = co_await files_.write_durably(path, octets_);
  while (!written.ok() && !shard_.draining()) {
    co_await wait_to_write_again(written);
    written = co_await files_.write_durably(path, octets_);
  }
  octets_.clear();
  if (!written.ok()) {
    spool_failed_ = true;
    co_return written;
  }

  auto segment = std::make_shared<PublishedSegment>();
  segment->job = job_;
  segment->ref = publisher_.next_segment_ref();
  segment->path = path;
  segment->index = std::move(*index);
  count_rows(*segment);
  ++meta_.number;
  meta_.row_begin = meta_.row_end;
  meta_.rejected = meta_.suppressed = meta_.duplicate = 0;
  const bool published = co_await publisher_.publish(segment);
  (void)published;  // a drain: the next start publishes it again
  co_return Status();
}

void ListTaker::count_rows(const PublishedSegment& segment) {
  const SegmentMeta& meta = segment.index.meta();
  const uint32_t shard = shard_.number();
  const auto rows = static_cast<int64_t>(segment.index.row_count());
  job_->open_rows.fetch_add(rows, std::memory_order_acq_rel);
  job_->progress.add(shard, State::kWaiting, rows);
  job_->progress.add(shard, State::kRejected, static_cast<int64_t>(meta.rejected));
  job_->progress.add(shard, State::kDuplicate, static_cast<int64_t>(meta.duplicate));
  job_->progress.add(shard, State::kSuppressed, static_cast<int64_t>(meta.suppressed));
}

}  // namespace sluice
