#include "engine/shard/list_taker.h"

#include <utility>

#include "engine/base/defect.h"
#include "engine/base/digest.h"
#include "engine/base/log.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"
#include "engine/spool/address.h"

namespace sluice {
namespace {

constexpr uint32_t kRowsBetweenYields = 256;
// What cannot be written to the spool is tried again after this: a full disk loses no row.
constexpr Duration kWriteAgain = std::chrono::seconds(1);
constexpr Duration kLookForRoom = std::chrono::milliseconds(200);

}  // namespace

ListTaker::ListTaker(Shard& shard, JobPtr job, Publisher& publisher)
    : shard_(shard),
      job_(std::move(job)),
      publisher_(publisher),
      paths_(job_->directory),
      files_(shard.loop()),
      pause_(shard.loop()),
      runs_(shard.loop()),
      list_(shard.loop(), job_->directory + "/" + job_->spec.list.file, job_->spec.list.file,
            shard.limits()) {
  if (job_->spec.list.dedupe) {
    Random& random = shard.io().random();
    const SipKey key{random.next(), random.next()};
    dedupe_.emplace(shard.loop(), job_->directory + "/dedupe", key, shard.limits(),
                    [&shard] { return shard.draining(); });
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
    const bool taken = take_record(record, Known::kNothing);
    if (!taken) {
      const Known known = co_await look_up(record);
      if (known == Known::kNothing) {
        spool_failed_ = true;  // the next start reads this row, and those gathered with it, again
        co_return unavailable("stopped while a row was being looked up");
      }
      (void)take_record(record, known);
    }
    if (++since_yield < kRowsBetweenYields) continue;
    since_yield = 0;
    co_await make_room();
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

// Addresses seen so far go to the disk when they are too many.
Task<> ListTaker::make_room() {
  while (dedupe_ && dedupe_->full() && !shard_.draining()) {
    const Status spilled = co_await dedupe_->spill();
    if (!spilled.ok() && !shard_.draining()) co_await wait_to_write_again(spilled);
  }
}

// What the set in force, and the rows before, say of the record's address, the disk included.
// Nothing when a drain cuts it short.
Task<ListTaker::Known> ListTaker::look_up(const ListRecord& record) {
  const std::string given(record.values[job_->address_column]);
  std::string scratch;
  const AddressResult parsed = parse_address(given, scratch);
  while (!shard_.draining()) {
    const SuppressionSetPtr set = shard_.peers().intake->suppressor().in_force(shard_.number());
    const SuppressionSet::Keys keys = set->keys_of(parsed.address.address, parsed.address.domain);
    SuppressionSet::Keys unsure;
    const SuppressionSet::Answer answer = set->ask(keys, unsure);
    if (answer == SuppressionSet::Answer::kSuppressed) co_return Known::kSuppressed;
    if (answer == SuppressionSet::Answer::kClear) {
      co_return co_await look_for_duplicate(parsed.address.address);
    }
    const StatusOr<bool> there = co_await runs_hold(runs_, set, unsure);
    if (there.ok() && *there) co_return Known::kSuppressed;
    if (there.ok()) co_return co_await look_for_duplicate(parsed.address.address);
    if (set != shard_.peers().intake->suppressor().in_force(shard_.number())) continue;
    shard_.peers().intake->suppressor().distrust_runs();
    co_await wait_to_write_again(there.status());
  }
  co_return Known::kNothing;
}

Task<ListTaker::Known> ListTaker::look_for_duplicate(std::string_view address) {
  if (!dedupe_) co_return Known::kClear;
  const JobDedupe::Seen seen = dedupe_->see(address);
  if (seen == JobDedupe::Seen::kNew) co_return Known::kClear;
  if (seen == JobDedupe::Seen::kBefore) co_return Known::kDuplicate;
  const std::string copy(address);
  while (!shard_.draining()) {
    const StatusOr<bool> before = co_await dedupe_->look_up(copy);
    if (before.ok()) co_return *before ? Known::kDuplicate : Known::kClear;
    co_await wait_to_write_again(before.status());
  }
  co_return Known::kNothing;
}

bool ListTaker::take_record(const ListRecord& record, Known known) {
  if (record.error != nullptr) {
    refuse(record, record.raw.substr(0, 200), record.error);
    return true;
  }
  const std::string_view given = record.values[job_->address_column];
  const AddressResult parsed = parse_address(given, scratch_);
  if (!parsed.ok()) {
    refuse(record, given, parsed.error);
    return true;
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
    return true;
  }
  if (known == Known::kNothing) {
    const SuppressionSet::Answer answer =
        shard_.peers().intake->suppressor().ask(shard_.number(), row.address, row.domain);
    if (answer == SuppressionSet::Answer::kUnsure) return false;
    if (answer == SuppressionSet::Answer::kSuppressed) known = Known::kSuppressed;
  }
  if (known == Known::kSuppressed) {
    ++meta_.suppressed;
    return true;
  }
  if (known == Known::kNothing && dedupe_) {
    const JobDedupe::Seen seen = dedupe_->see(row.address);
    if (seen == JobDedupe::Seen::kUnsure) return false;
    if (seen == JobDedupe::Seen::kBefore) known = Known::kDuplicate;
  }
  if (known == Known::kDuplicate) {
    ++meta_.duplicate;
    return true;
  }
  if (defect(Defect::kLoseLastRow) && builder_->full(shard_.limits())) return true;
  builder_->add(row);
  return true;
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

// The journal needs it more: mail that was taken goes on. False: the engine drains before there is.
Task<bool> ListTaker::wait_for_room(uint64_t bytes) {
  const uint64_t reserve = shard_.config().spool.reserve;
  bool waited = false;
  while (!shard_.draining()) {
    const StatusOr<uint64_t> free = shard_.io().free_bytes(paths_.root);
    if (!free.ok() || *free >= reserve + bytes) {
      if (waited) {
        log(LogLevel::kInfo,
            "job " + job_->id + ": there is room on the disk again: its list goes on");
      }
      co_return true;
    }
    if (!std::exchange(waited, true)) {
      log(LogLevel::kError,
          "job " + job_->id + ": its list waits: only " + std::to_string(*free >> 20) +
              " MiB are free on the spool's disk, " + std::to_string(reserve >> 20) +
              " MiB are kept for the journal ([spool] reserve); make room, and "
              "it goes on by itself");
    }
    co_await pause_.lasting(kLookForRoom);
  }
  co_return !waited;
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
  const bool has_room = co_await wait_for_room(octets_.size());
  if (!has_room) {  // not begun: the next start reads these rows again
    octets_.clear();
    spool_failed_ = true;
    co_return exhausted("stopped while its list waited for room on the disk");
  }
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
  segment->number = meta_.number;
  segment->path = path;
  segment->rows = index->row_count();
  count_rows(*index);
  ++meta_.number;
  meta_.row_begin = meta_.row_end;
  meta_.rejected = meta_.suppressed = meta_.duplicate = 0;
  const auto in_memory = std::make_shared<const SegmentIndex>(std::move(*index));
  const bool published = co_await publisher_.publish(segment, in_memory);
  (void)published;  // a drain: the next start publishes it again
  co_return Status();
}

void ListTaker::count_rows(const SegmentIndex& index) {
  const SegmentMeta& meta = index.meta();
  const uint32_t shard = shard_.number();
  const auto rows = static_cast<int64_t>(index.row_count());
  job_->open_rows.fetch_add(rows, std::memory_order_acq_rel);
  job_->progress.add(shard, State::kWaiting, rows);
  job_->progress.add(shard, State::kRejected, static_cast<int64_t>(meta.rejected));
  job_->progress.add(shard, State::kDuplicate, static_cast<int64_t>(meta.duplicate));
  job_->progress.add(shard, State::kSuppressed, static_cast<int64_t>(meta.suppressed));
}

}  // namespace sluice
