#include "engine/shard/lane.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/base/log.h"
#include "engine/schedule/connections.h"
#include "engine/schedule/retry.h"
#include "engine/shard/delivery.h"
#include "engine/shard/lane_block.h"
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
// The same for refusals that are said to pass (4xx to MAIL).
constexpr Duration kThrottlePause = std::chrono::minutes(1);
constexpr Duration kLearntFor = std::chrono::hours(1);
// When no descriptor was left to read with, or too many reads were on their way.
constexpr Duration kReadAgain = std::chrono::milliseconds(100);

}  // namespace

bool Site::is_rested(const IpAddress& address, Instant now) const {
  return std::any_of(rested.begin(), rested.end(),
                     [&](const Rested& r) { return r.address == address && r.until > now; });
}

void Site::rest(const IpAddress& address, Instant now, Instant until) {
  std::erase_if(rested, [now](const Rested& r) { return r.until <= now; });
  for (Rested& r : rested) {
    if (r.address == address) {
      r.until = until;
      return;
    }
  }
  rested.push_back({address, until});
}

Lane::Lane(Shard& shard, Site& site, uint32_t source)
    : shard_(shard), site_(site), source_(source), pause_(shard.loop()) {
  policy_changed();
}

void Lane::policy_changed() {
  // A rate that stays goes on: a fresh one would begin with a full burst.
  if (paced_by_.max_message_rate != site_.policy.max_message_rate) {
    message_rate_.reset();
    if (site_.policy.max_message_rate) message_rate_.emplace(*site_.policy.max_message_rate);
    permit_at_ = {};
  }
  if (paced_by_.max_connection_rate != site_.policy.max_connection_rate) {
    connection_rate_.reset();
    if (site_.policy.max_connection_rate) {
      connection_rate_.emplace(*site_.policy.max_connection_rate);
    }
    dial_permit_at_ = {};
  }
  paced_by_ = site_.policy;
  nudge();
}

Lane::~Lane() = default;

void Lane::add(const Cursor& cursor, uint8_t priority) {
  if (shard_.job(cursor.job).paused) queue_.pause_job(cursor.job);
  queue_.add(cursor, priority);
  nudge();
}

void Lane::add_due(const DueRow& row, JobIndex job, uint8_t priority) {
  if (shard_.job(job).cancelled) {
    cancel_due(row);
    return;
  }
  if (shard_.job(job).paused) queue_.pause_job(job);
  queue_.add_due(row, job, priority);
  nudge();
}

void Lane::nudge() {
  if (running_) {
    pause_.cut();
  } else if (!is_done() && !shard_.draining()) {
    running_ = true;
    shard_.services().spawn(run());
  }
}

bool Lane::is_done() const {
  return queue_.empty() && loaded_rows_ == 0 && held_.empty() && limited_.empty() && open_ == 0;
}

// --- rows for connections ------------------------------------------------------------------------

bool Lane::may_take(Instant now, Job& job) {
  if (shard_.recorder().full() || shard_.halted() || now < resume_at_) return false;
  Permit of_site;
  if (message_rate_) {
    of_site = message_rate_->take(now);
    if (!of_site.granted && !defect(Defect::kIgnoreRate)) {
      permit_at_ = of_site.at;
      return false;
    }
  }
  if (job.rate) {
    const Permit of_job = job.rate->take(now);
    if (!of_job.granted) {
      if (message_rate_) message_rate_->give_back(of_site);
      hold_limited(job.index, of_job.at);
      return false;
    }
  }
  return true;
}

std::optional<TakenRow> Lane::take_row() { return take_next(true); }

// Without `to_send` only a row of the front block, whose lifetime is known to be over: it needs no
// permit.
std::optional<TakenRow> Lane::take_next(bool to_send) {
  const Instant now = shard_.now();
  while (!loaded_.empty()) {
    LoadedBlock& block = *loaded_.front();
    if (block.rows_left == 0) {
      drop_front();
      continue;
    }
    if (site_.paused) break;
    if (!to_send && (shard_.recorder().full() || shard_.halted())) break;
    if (to_send && !may_take(now, *block.segment->segment->job)) {
      if (loaded_.empty() || loaded_.front().get() == &block) break;
      continue;  // its job waits for its own rate: another's rows may go
    }
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
    if (block.rows_left == 0 && !to_send) break;
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

bool Lane::has_mail() const {
  return loaded_rows_ > 0 || queue_.rows_ready(shard_.peers().clock, shard_.now(), 1) > 0;
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
  ramp_.greeted(open_ - dialling_, site_.policy.connection_limit, shard_.now());
  nudge();
}

void Lane::on_first_answer() {
  ++working_;
  back_off_.succeeded();
}

void Lane::on_used_up(uint32_t accepted) {
  // A single message says little: who takes one and then defers may have meant that one.
  if (accepted > 1 && accepted == last_used_up_) {
    learnt_deliveries_ = accepted;
    learnt_until_ = shard_.now() + kLearntFor;
  }
  last_used_up_ = accepted;
}

uint32_t Lane::deliveries_max() const {
  const uint32_t allowed = site_.policy.max_deliveries_per_connection;
  if (learnt_deliveries_ == 0 || shard_.now() >= learnt_until_) return allowed;
  return allowed == 0 ? learnt_deliveries_ : std::min(allowed, learnt_deliveries_);
}

void Lane::on_unreachable(Instant began, std::string_view reason, bool greeted, bool local) {
  last_failure_ = reason;
  const uint32_t others = open_ - dialling_ - (greeted ? 1 : 0);
  if (!local) ramp_.failed(began, others, shard_.now(), shard_.io().random());
  // A site that takes mail on others is not down: it has a limit.
  if (working_ > 0 && !local) return;
  const bool was_delayed =
      back_off_.delayed(site_.policy.consecutive_connection_failures_before_delay);
  back_off_.failed(began, shard_.now(), site_.policy.consecutive_connection_failures_before_delay,
                   shard_.retry().max_retry_interval, shard_.io().random());
  if (!was_delayed &&
      back_off_.delayed(site_.policy.consecutive_connection_failures_before_delay)) {
    log(LogLevel::kWarning,
        "site " + site_.name + " cannot be reached, its mail waits: " + last_failure_);
  }
}

void Lane::on_connection_end(bool was_greeted, bool worked) {
  CHECK(open_ > 0);
  --open_;
  if (worked) {
    CHECK(working_ > 0);
    --working_;
  }
  if (!was_greeted) {
    CHECK(dialling_ > 0);
    --dialling_;
  }
  nudge();
}

bool Lane::on_answer(const Verdict& verdict) {
  if (verdict.state == State::kDelivered) {
    sender_refusals_ = 0;
    ramp_.accepted(site_.policy.connection_limit);
    return false;
  }
  if (verdict.scope != Scope::kSource) {
    // Who refuses a recipient for its own sake does not refuse the sender.
    if (verdict.state == State::kBounced) sender_refusals_ = 0;
    return false;
  }
  if (++sender_refusals_ < kSenderRefusals || defect(Defect::kBelieveRefusals)) return false;
  if (resume_at_ <= shard_.now()) {
    const bool for_good = verdict.state == State::kBounced;
    log(LogLevel::kError, "site " + site_.name + " refuses mail from source " +
                              shard_.config().sources[source_].name + ", pausing for " +
                              (for_good ? "15 minutes: " : "a minute: ") +
                              std::to_string(verdict.reply.code) + " " + verdict.reply.text);
    resume_at_ = shard_.now() + (for_good ? kSenderPause : kThrottlePause);
  }
  return true;
}

// A job that is over its own rate is set aside, so that the others of the site go on.
void Lane::hold_limited(JobIndex job, Instant until) {
  const auto known = std::find_if(limited_.begin(), limited_.end(),
                                  [job](const LimitedJob& l) { return l.job == job; });
  if (known == limited_.end()) {
    limited_.push_back({job, until});
  } else {
    known->until = until;
  }
  pause_job(job);
}

void Lane::resume_limited() {
  const Instant now = shard_.now();
  for (size_t i = 0; i < limited_.size();) {
    if (limited_[i].until > now) {
      ++i;
      continue;
    }
    const JobIndex index = limited_[i].job;
    limited_.erase(limited_.begin() + static_cast<std::ptrdiff_t>(i));
    const Job* job = shard_.find_job(index);
    if (job == nullptr || !job->paused) resume_job(index);
  }
}

// --- the coroutine -------------------------------------------------------------------------------

Task<> Lane::run() {
  while (!shard_.draining() && !is_done()) {
    expire_waiting();
    // Rows are read for connections that can take them, and for their lifetime's end.
    if (open_ > dialling_ || back_off_.failures() > 0) co_await load_rows();
    resume_limited();
    dial_more();
    wake_idle();
    if (open_ == 0) free_blocks();
    co_await pause_.until(next_wake());
  }
  free_blocks();
  running_ = false;
}

// Without a connection only rows that still wait are kept in memory.
void Lane::free_blocks() {
  spare_.clear();
  while (!loaded_.empty() && loaded_.front()->rows_left == 0) loaded_.pop_front();
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
  if (shard_.now() < read_again_at_) return;
  const uint64_t enough = open_ > dialling_ ? kRowsReady : 1;
  uint64_t rows = loaded_rows_;
  while (reading_.size() < kReadsAtOnce && rows < enough && loaded_.size() < 4 * kReadsAtOnce) {
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
    if (!start_read(*block)) {
      put_back(*block);
      return;
    }
    if (!pick->is_due) shard_.peers().cursors[shard_.number()].value.fetch_sub(1);
    rows += block->rows_left;
    reading_.push_back(std::move(block));
  }
}

// False when no descriptor is left: to be tried again.
bool Lane::start_read(LoadedBlock& block) {
  OpenSegment& segment = *block.segment;
  const Status opened = shard_.begin_read(segment);
  if (absl::IsResourceExhausted(opened)) return false;
  if (!opened.ok()) {
    drop_unreadable(block, opened);
    return true;
  }
  const BlockEntry entry = segment.segment->index.block(block.block);
  block.octets.resize(entry.bytes);
  shard_.io().read(block.read, segment.file, block.octets, entry.offset);
  return true;
}

void Lane::put_back(LoadedBlock& block) {
  const uint8_t priority = block.segment->segment->job->spec.send.priority;
  read_again_at_ = shard_.now() + kReadAgain;
  if (block.pick.is_due) {
    queue_.add_due(block.pick.due, block.pick.job, priority);
  } else {
    queue_.add(block.pick.cursor, priority);
  }
}

void Lane::end_reads() {
  for (std::unique_ptr<LoadedBlock>& block : reading_) {
    Status status;
    if (block->read.done()) {
      shard_.end_read(*block->segment);
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
    if (block->rows_left > 0 && block->segment->segment->job->cancelled) cancel_block(*block);
    if (block->rows_left == 0) {
      keep_spare(std::move(block));
      continue;
    }
    if (block->segment->segment->job->paused) {
      held_.push_back(std::move(block));
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
  nudge();  // others may be readable
}

// While the site cannot be reached rows wait without an attempt: those whose lifetime has ended
// expire here.
void Lane::expire_waiting() {
  if (back_off_.failures() == 0 || open_ > dialling_) return;
  // What ends these wakes the lane: asking before would wake it without end.
  if (shard_.halted() || site_.paused || shard_.recorder().full()) return;
  const WallTime now = shard_.wall_now();
  while (!loaded_.empty()) {
    LoadedBlock& block = *loaded_.front();
    if (block.rows_left == 0) {
      drop_front();
      continue;
    }
    const Job& job = *block.segment->segment->job;
    const bool attempted = block.pick.is_due && block.pick.due.first_at != 0;
    const WallTime since = attempted ? from_unix_seconds(block.pick.due.first_at) : job.created;
    if (!lifetime_over(since, now, job.spec.send.lifetime)) return;
    std::optional<TakenRow> taken = take_next(false);
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
  if (shard_.draining() || shard_.halted() || shard_.recorder().full() || site_.paused) return;
  if (now < back_off_.not_before() || now < resume_at_) return;
  // Under a rate one idle connection is enough, and none is dialled before it may send.
  if (now < permit_at_ || (is_paced() && (!idle_.empty() || dialling_ > 0))) return;
  ConnectionDemand demand;
  demand.connection_limit =
      site_.policy.connection_limit + (defect(Defect::kOneMoreConnection) ? 1 : 0);
  demand.rows_ready =
      loaded_rows_ + queue_.rows_ready(shard_.peers().clock, now, 64 * demand.connection_limit);
  demand.open = open_;
  demand.idle = static_cast<uint32_t>(idle_.size());
  demand.dialling = dialling_;
  demand.ramp_limit = ramp_.limit(demand.connection_limit, now);
  demand.in_flight_max = site_.policy.max_in_flight;
  uint32_t wanted = connections_wanted(demand);
  if (wanted > 0 && site_.route->expires <= now) shard_.refresh_route(site_);
  for (; wanted > 0; --wanted) {
    Permit permit;
    if (!take_dial_permit(permit)) return;
    SlabHandle handle;
    if (shard_.make_connection(&handle) == nullptr) {
      if (connection_rate_) connection_rate_->give_back(permit);
      return;
    }
    ++open_;
    ++dialling_;
    shard_.spawn_delivery(*this, handle);
  }
}

bool Lane::take_dial_permit(Permit& permit) {
  if (!connection_rate_) return true;
  permit = connection_rate_->take(shard_.now());
  if (!permit.granted) dial_permit_at_ = permit.at;
  return permit.granted;
}

bool Lane::may_dial_next() {
  Permit permit;
  return take_dial_permit(permit);
}

bool Lane::is_paced() const {
  if (message_rate_) return true;
  // A block that is used up may outlive its segment: its pointer is not to be followed.
  const auto next = std::find_if(loaded_.begin(), loaded_.end(),
                                 [](const auto& block) { return block->rows_left > 0; });
  return next != loaded_.end() && (*next)->segment->segment->job->rate;
}

void Lane::wake_idle() {
  // Whoever is woken while nothing may be taken asks in vain, which wakes this lane again.
  if (shard_.halted() || site_.paused || shard_.now() < resume_at_) return;
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
  consider(read_again_at_);
  for (const LimitedJob& limited : limited_) consider(limited.until);
  consider(resume_at_);
  consider(back_off_.not_before());
  consider(ramp_.probe_at());
  if (queue_.due_count() > 0) consider(queue_.next_wake(shard_.peers().clock, now));
  return wake;
}

}  // namespace sluice
