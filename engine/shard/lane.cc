#include "engine/shard/lane.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/schedule/connections.h"
#include "engine/schedule/retry.h"
#include "engine/shard/delivery.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

constexpr size_t kReadsAtOnce = 16;
// Rows held ready for connections; more are read when fewer are left.
constexpr uint64_t kRowsReady = 128;
// Blocks kept for reuse; each may hold Limits::block_bytes_target octets.
constexpr size_t kSpareBlocksMax = 2;
constexpr uint32_t kSenderRefusals = 20;
constexpr Duration kSenderPause = std::chrono::minutes(15);

}  // namespace

bool Site::is_rested(const IpAddress& address, Instant now) const {
  return std::any_of(rested.begin(), rested.end(),
                     [&](const Rested& r) { return r.address == address && r.until > now; });
}

void Site::rest(const IpAddress& address, Instant until) {
  for (Rested& r : rested) {
    if (r.address == address) {
      r.until = until;
      return;
    }
  }
  rested.push_back({address, until});
}

// A block on its way from the disk, or its rows being handed out.
struct Lane::LoadedBlock {
  explicit LoadedBlock(Signal& done) : read(done) {}

  Pick pick;
  OpenSegment* segment = nullptr;
  uint32_t block = 0;
  std::string octets;
  Operation read;
  BlockReader reader;
  uint64_t rows_left = 0;
};

Lane::Lane(Shard& shard, Site& site, uint32_t source)
    : shard_(shard), site_(site), source_(source), pause_(shard.loop()) {
  policy_changed();
}

void Lane::policy_changed() {
  message_rate_.reset();
  connection_rate_.reset();
  if (site_.policy.max_message_rate) message_rate_.emplace(*site_.policy.max_message_rate);
  if (site_.policy.max_connection_rate) connection_rate_.emplace(*site_.policy.max_connection_rate);
  permit_at_ = {};
  dial_permit_at_ = {};
  nudge();
}

Lane::~Lane() = default;

void Lane::add(const Cursor& cursor, uint8_t priority) {
  queue_.add(cursor, priority);
  nudge();
}

void Lane::add_due(const DueRow& row, JobIndex job, uint8_t priority) {
  queue_.add_due(row, job, priority);
  nudge();
}

void Lane::nudge() { pause_.cut(); }

// --- rows for connections ------------------------------------------------------------------------

bool Lane::may_take(Instant now, Job& job) {
  if (shard_.recorder().full() || shard_.halted() || now < resume_at_) return false;
  Permit of_site;
  if (message_rate_) {
    of_site = message_rate_->take(now);
    if (!of_site.granted) {
      permit_at_ = of_site.at;
      return false;
    }
  }
  if (job.rate) {
    const Permit of_job = job.rate->take(now);
    if (!of_job.granted) {
      if (message_rate_) message_rate_->give_back(of_site);
      permit_at_ = of_job.at;
      return false;
    }
  }
  return true;
}

std::optional<TakenRow> Lane::take_row() {
  const Instant now = shard_.now();
  while (!loaded_.empty()) {
    LoadedBlock& block = *loaded_.front();
    if (block.rows_left == 0) {
      drop_front();
      continue;
    }
    if (!may_take(now, *block.segment->segment->job)) break;
    TakenRow taken;
    taken.segment = block.segment;
    while (true) {
      taken.number = block.reader.position();
      if (!block.reader.next(taken.row)) {
        drop_unreadable(block, block.reader.status());
        break;
      }
      if (block.pick.is_due || block.segment->segment->is_waiting(taken.number)) break;
    }
    if (block.rows_left == 0) continue;
    --block.rows_left;
    --loaded_rows_;
    if (block.pick.is_due) {
      taken.attempts = block.pick.due.attempts();
      taken.first_at =
          block.pick.due.first_at == 0 ? WallTime{} : from_unix_seconds(block.pick.due.first_at);
    } else if (block.segment->is_deferred(block.reader.entry().domain_index)) {
      taken.first_at = block.segment->segment->job->created;
    }
    if (loaded_rows_ < kRowsReady / 2 || (is_paced() && !idle_.empty())) nudge();
    return taken;
  }
  nudge();
  return std::nullopt;
}

void Lane::keep_spare(std::unique_ptr<LoadedBlock> block) {
  if (spare_.size() < kSpareBlocksMax) spare_.push_back(std::move(block));
}

void Lane::drop_front() {
  keep_spare(std::move(loaded_.front()));
  loaded_.pop_front();
}

void Lane::add_idle(Connection& connection) {
  if (connection.idle) return;
  connection.idle = true;
  idle_.push_back(&connection);
}

void Lane::remove_idle(Connection& connection) {
  if (!connection.idle) return;
  connection.idle = false;
  idle_.erase(std::find(idle_.begin(), idle_.end(), &connection));
}

void Lane::on_greeted(Connection& connection) {
  CHECK(dialling_ > 0 && !connection.greeted);
  connection.greeted = true;
  --dialling_;
  back_off_.succeeded();
  ramp_.succeeded(site_.policy.connection_limit);
  nudge();
}

void Lane::on_unreachable(Instant began, std::string_view reason) {
  last_failure_ = reason;
  ramp_.failed();
  const bool was_delayed =
      back_off_.delayed(site_.policy.consecutive_connection_failures_before_delay);
  back_off_.failed(began, shard_.now(), site_.policy.consecutive_connection_failures_before_delay,
                   shard_.config().retry.max_retry_interval, shard_.io().random());
  if (!was_delayed &&
      back_off_.delayed(site_.policy.consecutive_connection_failures_before_delay)) {
    log(LogLevel::kWarning,
        "site " + site_.name + " cannot be reached, its mail waits: " + last_failure_);
  }
}

void Lane::on_connection_end(bool was_greeted) {
  CHECK(open_ > 0);
  --open_;
  if (!was_greeted) {
    CHECK(dialling_ > 0);
    --dialling_;
  }
  nudge();
}

bool Lane::on_answer(const Verdict& verdict) {
  if (verdict.state == State::kDelivered) {
    sender_refusals_ = 0;
    ramp_.succeeded(site_.policy.connection_limit);
    return false;
  }
  if (verdict.scope != Scope::kSource || verdict.state != State::kBounced) return false;
  if (++sender_refusals_ < kSenderRefusals) return false;
  if (resume_at_ <= shard_.now()) {
    log(LogLevel::kError, "site " + site_.name + " refuses mail from source " +
                              shard_.config().sources[source_].name + ", pausing for 15 minutes: " +
                              std::to_string(verdict.reply.code) + " " + verdict.reply.text);
    resume_at_ = shard_.now() + kSenderPause;
  }
  return true;
}

// --- the coroutine -------------------------------------------------------------------------------

Task<> Lane::run() {
  while (!shard_.draining()) {
    expire_waiting();
    if (loaded_rows_ < kRowsReady) co_await load_rows();
    dial_more();
    wake_idle();
    co_await pause_.until(next_wake());
  }
}

std::unique_ptr<Lane::LoadedBlock> Lane::spare_block() {
  if (spare_.empty()) return std::make_unique<LoadedBlock>(read_done_);
  std::unique_ptr<LoadedBlock> block = std::move(spare_.back());
  spare_.pop_back();
  return block;
}

// Picks what goes next and reads the blocks, several at a time.
Task<> Lane::load_rows() {
  begin_reads();
  if (reading_.empty()) co_return;
  while (std::any_of(reading_.begin(), reading_.end(),
                     [](const auto& block) { return block->read.in_flight(); })) {
    co_await read_done_;
  }
  end_reads();
}

void Lane::begin_reads() {
  uint64_t rows = loaded_rows_;
  while (reading_.size() < kReadsAtOnce && rows < kRowsReady && loaded_.size() < 4 * kReadsAtOnce) {
    const std::optional<Pick> pick = queue_.next(shard_.peers().clock, shard_.now());
    if (!pick) return;
    std::unique_ptr<LoadedBlock> block = spare_block();
    block->pick = *pick;
    const uint32_t ref = pick->is_due ? pick->due.segment_ref : pick->cursor.segment_ref;
    block->segment = shard_.find_segment(ref);
    CHECK(block->segment != nullptr);
    block->block = pick->is_due ? block->segment->segment->index.find_row(pick->due.row())
                                : pick->cursor.block;
    block->rows_left = pick->is_due ? 1 : pick->cursor.rows;
    if (!pick->is_due) shard_.peers().cursors[shard_.number()].value.fetch_sub(1);
    rows += block->rows_left;
    start_read(*block);
    reading_.push_back(std::move(block));
  }
}

void Lane::start_read(LoadedBlock& block) {
  OpenSegment& segment = *block.segment;
  if (segment.file == kNoHandle) {
    const StatusOr<Handle> file = shard_.io().open_file(segment.segment->path, OpenMode::kRead);
    if (!file.ok()) {
      drop_unreadable(block, file.status());
      return;
    }
    segment.file = *file;
  }
  const BlockEntry entry = segment.segment->index.block(block.block);
  block.octets.resize(entry.bytes);
  shard_.io().read(block.read, segment.file, block.octets, entry.offset);
}

void Lane::end_reads() {
  for (std::unique_ptr<LoadedBlock>& block : reading_) {
    Status status;
    if (block->read.done()) {
      const IoResult result = block->read.take();
      if (!result.ok()) {
        status =
            io_error(block->segment->segment->path + ": " + std::string(name_of(result.error)));
      } else {
        // A short read fails the length and checksum test of open().
        const auto got = static_cast<size_t>(result.value);
        status = block->reader.open(block->segment->segment->index, block->block,
                                    std::string_view(block->octets).substr(0, got));
      }
      if (status.ok() && block->pick.is_due) status = block->reader.seek(block->pick.due.row());
      if (!status.ok()) drop_unreadable(*block, status);
    }
    if (block->rows_left == 0) {
      keep_spare(std::move(block));
      continue;
    }
    loaded_rows_ += block->rows_left;
    loaded_.push_back(std::move(block));
  }
  reading_.clear();
}

// Rows that cannot be read stay open in the counts and are never sent: only the operator may
// decide.
void Lane::drop_unreadable(LoadedBlock& block, const Status& why) {
  log(LogLevel::kError, "rows of " + block.segment->segment->path +
                            " cannot be read and stay where they are: " + message_of(why) +
                            "; restore the file and start again");
  if (std::find_if(loaded_.begin(), loaded_.end(),
                   [&](const auto& b) { return b.get() == &block; }) != loaded_.end()) {
    loaded_rows_ -= block.rows_left;
  }
  block.rows_left = 0;
}

// While the site cannot be reached rows wait without an attempt: those whose lifetime has ended
// expire here.
void Lane::expire_waiting() {
  if (back_off_.failures() == 0 || open_ > dialling_) return;
  const WallTime now = shard_.wall_now();
  while (!loaded_.empty()) {
    LoadedBlock& block = *loaded_.front();
    const Job& job = *block.segment->segment->job;
    if (block.rows_left == 0) {
      drop_front();
      continue;
    }
    const bool attempted = block.pick.is_due && block.pick.due.first_at != 0;
    const WallTime since = attempted ? from_unix_seconds(block.pick.due.first_at) : job.created;
    if (!lifetime_over(since, now, job.spec.send.lifetime)) return;
    std::optional<TakenRow> taken = take_row();
    if (!taken) return;
    shard_.recorder().take(*taken->segment, taken->first_at);
    Verdict expired;
    expired.state = State::kExpired;
    expired.scope = Scope::kSite;
    expired.reply.enhanced = {4, 4, 7};
    expired.reply.text = "lifetime ended before the site could be reached: " + last_failure_;
    Attempt attempt;
    attempt.site = site_.name;
    attempt.source = shard_.config().sources[source_].name;
    shard_.recorder().record({.segment = taken->segment,
                              .number = taken->number,
                              .lane = this,
                              .attempts = taken->attempts,
                              .first_at = taken->first_at,
                              .in_flight = true},
                             std::move(expired), attempt);
    nudge();  // more may have to be read
  }
}

void Lane::dial_more() {
  const Instant now = shard_.now();
  if (shard_.draining() || shard_.halted() || shard_.recorder().full()) return;
  if (now < back_off_.not_before() || now < resume_at_) return;
  ConnectionDemand demand;
  demand.connection_limit = site_.policy.connection_limit;
  demand.rows_ready =
      loaded_rows_ + queue_.rows_ready(shard_.peers().clock, now, 64 * demand.connection_limit);
  demand.open = open_;
  demand.idle = static_cast<uint32_t>(idle_.size());
  demand.dialling = dialling_;
  demand.ramp_limit = ramp_.limit(demand.connection_limit);
  demand.in_flight_max = site_.policy.max_in_flight;
  uint32_t wanted = connections_wanted(demand);
  if (wanted > 0 && site_.route->expires <= now) shard_.refresh_route(site_);
  for (; wanted > 0; --wanted) {
    if (connection_rate_) {
      const Permit permit = connection_rate_->take(now);
      if (!permit.granted) {
        dial_permit_at_ = permit.at;
        return;
      }
    }
    SlabHandle handle;
    if (shard_.make_connection(&handle) == nullptr) return;
    ++open_;
    ++dialling_;
    shard_.spawn_delivery(*this, handle);
  }
}

bool Lane::is_paced() const {
  return message_rate_ || (!loaded_.empty() && loaded_.front()->segment->segment->job->rate);
}

void Lane::wake_idle() {
  if (loaded_rows_ == 0 || shard_.recorder().full() || shard_.now() < permit_at_) return;
  // Under a rate one at a time: each that takes a row asks for the next to be woken.
  uint64_t wake = is_paced() ? 1 : loaded_rows_;
  for (Connection* connection : idle_) {
    if (wake == 0) return;
    --wake;
    connection->channel.changed().notify();
  }
}

Instant Lane::next_wake() const {
  const Instant now = shard_.now();
  Instant wake = kForever;
  const auto consider = [&](Instant at) {
    if (at > now) wake = std::min(wake, at);
  };
  consider(permit_at_);
  consider(dial_permit_at_);
  consider(resume_at_);
  consider(back_off_.not_before());
  if (queue_.due_count() > 0) consider(queue_.next_wake(shard_.peers().clock, now));
  return wake;
}

}  // namespace sluice
