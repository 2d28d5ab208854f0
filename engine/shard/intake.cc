#include "engine/shard/intake.h"

#include <algorithm>
#include <utility>

#include "engine/base/log.h"
#include "engine/shard/job_loader.h"
#include "engine/shard/job_transfer.h"
#include "engine/shard/shard.h"
#include "engine/spool/job_directory.h"
#include "engine/spool/job_files.h"

namespace sluice {
namespace {

constexpr Duration kLookInterval = std::chrono::milliseconds(200);
constexpr Duration kPostAgain = std::chrono::milliseconds(5);
constexpr Duration kFinishAgain = std::chrono::seconds(10);

}  // namespace

void Peers::job_ended(const JobPtr& job) {
  Intake* const target = intake;
  while (!post(0, [target, job] { target->job_ended(job); })) {
    // Shard 0's mailbox is full: it empties it every turn, unless it is this very thread.
    if (Executor::is_current(shards[0]->loop().executor())) {
      target->job_ended(job);
      return;
    }
  }
}

Intake::Intake(Shard& home)
    : home_(home),
      suppressor_(home),
      pause_(home.loop()),
      house_pause_(home.loop()),
      list_room_(home.loop()),
      condensing_(home.loop(), home.peers().spool, [&home] { return home.draining(); }) {
  home.peers().intake = this;
}

Intake::~Intake() { home_.peers().intake = nullptr; }

Status Intake::prepare() {
  Io& io = home_.io();
  const SpoolPaths& spool = home_.peers().spool;
  RETURN_IF_ERROR(io.make_directory(spool.root, 0755));
  if (const StatusOr<FileStat> there = io.stat(spool.incoming); !there.ok()) {
    RETURN_IF_ERROR(io.make_directory(spool.incoming, 02770));
  }
  for (const std::string& path : {spool.active, spool.journal, spool.done, spool.failed}) {
    if (!io.stat(path).ok()) RETURN_IF_ERROR(io.make_directory(path, 0750));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> journals, io.list(spool.journal));
  ran_before_ = !journals.empty();
  return suppressor_.prepare();
}

Task<bool> Intake::post_to(uint32_t shard, std::function<void(Shard&)> message) {
  Shard* target = home_.peers().shards[shard];
  if (target == &home_) {
    message(home_);
    co_return true;
  }
  const auto wait = std::make_unique<Pause>(home_.loop());
  while (!home_.draining()) {
    const bool posted = home_.peers().post(shard, [target, message] { message(*target); });
    if (posted) co_return true;
    co_await wait->lasting(kPostAgain);
  }
  co_return false;
}

// Makes a job known to all shards, before any of its segments.
Task<bool> Intake::enroll(const JobPtr& job) {
  job->index = jobs_made_++;
  if (job->spec.send.rate) {
    job->limits = home_.peers().shared_limits.scope("job " + job->id);
    job->rate = job->limits->message_rate(job->spec.send.rate, home_.now());
  }
  for (uint32_t shard = 0; shard < home_.peers().shard_count; ++shard) {
    std::function<void(Shard&)> message = [job](Shard& s) { s.register_job(job); };
    const bool posted = co_await post_to(shard, std::move(message));
    if (!posted) co_return false;
  }
  co_return true;
}

Task<bool> Intake::publish(SegmentPtr segment, IndexPtr index) {
  for (uint32_t shard = 0; shard < home_.peers().shard_count; ++shard) {
    std::function<void(Shard&)> message = [segment, index](Shard& s) { s.publish(segment, index); };
    const bool posted = co_await post_to(shard, std::move(message));
    if (!posted) co_return false;
  }
  co_return true;
}

Task<> Intake::watch() {
  const std::string& incoming = home_.peers().spool.incoming;
  while (!home_.draining()) {
    const StatusOr<std::vector<std::string>> names = home_.io().list(incoming);
    if (!names.ok()) {
      log(LogLevel::kError, "cannot look into " + incoming + ": " + message_of(names.status()));
    } else {
      for (const std::string& name : *names) {
        if (!is_takeable(name) || active_.size() + taking_.size() >= kActiveMax) continue;
        if (std::find(taking_.begin(), taking_.end(), name) != taking_.end()) continue;
        const JobPaths dropped(SpoolPaths::child(incoming, name));
        const StatusOr<FileStat> complete = home_.io().stat(dropped.job_toml);
        if (!complete.ok()) {
          if (complete.status().code() == absl::StatusCode::kPermissionDenied) {
            complain_of(dropped.root, complete.status());
          }
          continue;
        }
        taking_.push_back(name);
        home_.services().spawn(take(name));
      }
    }
    look_at_paces();
    co_await pause_.lasting(kLookInterval);
  }
}

void Intake::look_at_paces() {
  Peers& peers = home_.peers();
  dns_waits_.resize(peers.shard_count);
  for (uint32_t shard = 0; shard < peers.shard_count; ++shard) {
    const int64_t spent = peers.dns_waits[shard].value.load(std::memory_order_relaxed);
    dns_waits_[shard].add(home_.now(), Duration(spent));
    const double share = dns_waits_[shard].share();
    peers.loads[shard].dns_wait.store(share < 0 ? -1 : static_cast<int32_t>(share * 1'000),
                                      std::memory_order_relaxed);
  }
  for (const auto& active : active_) {
    active->pace.add(sample_of(active->job->progress.snapshot(), home_.now()));
  }
}

// Once for each directory that cannot be looked into.
void Intake::complain_of(const std::string& directory, const Status& why) {
  if (std::find(closed_.begin(), closed_.end(), directory) != closed_.end()) return;
  if (closed_.size() >= kActiveMax) closed_.erase(closed_.begin());
  closed_.push_back(directory);
  log(LogLevel::kWarning, "a job that was dropped cannot be taken: " + message_of(why) +
                              "; let the group that sluice runs as read it: chmod -R g+rX " +
                              directory);
}

// True when a job has, or had, that id: whatever lies under it belongs to that job.
bool Intake::is_known(const std::string& id) const {
  const SpoolPaths& spool = home_.peers().spool;
  for (const std::string& path :
       {spool.active_job(id), spool.active_job(arriving_name(id)), spool.done_job(id),
        spool.failed_job(id), spool.incoming_job(claimed_name(id)),
        spool.incoming_job(released_name(id))}) {
    if (home_.io().stat(path).ok()) return true;
  }
  return false;
}

std::string Intake::fresh_id(const std::string& name) const {
  std::string id = make_job_id(name, home_.wall_now(), home_.io().random().next());
  // Dropped under the id of another job: a copy of what was sent, or refused, before.
  while (is_known(id)) {
    id = make_job_id(parse_job_id(id)->name, home_.wall_now(), home_.io().random().next());
  }
  return id;
}

Task<> Intake::take(std::string name) {
  const std::string id = fresh_id(name);
  const auto transfer = std::make_unique<JobTransfer>(home_.loop(), home_.peers().spool, id);
  const Status claimed = co_await transfer->claim(name);
  if (claimed.ok()) {
    co_await bring_in(*transfer, id);
  } else if (claimed.code() != absl::StatusCode::kNotFound) {
    log(LogLevel::kError, "cannot take " + home_.peers().spool.incoming_job(name) + ": " +
                              message_of(claimed) + "; trying again");
    // Looked at again after a while, not five times a second.
    const auto wait = std::make_unique<Pause>(home_.loop());
    co_await wait_a_while(*wait);
    const bool was_claimed =
        home_.io().stat(home_.peers().spool.incoming_job(claimed_name(id))).ok();
    if (was_claimed && !home_.draining()) co_await bring_in(*transfer, id);
  }
  std::erase(taking_, name);
}

Task<> Intake::take_claimed(std::string id) {
  const auto transfer = std::make_unique<JobTransfer>(home_.loop(), home_.peers().spool, id);
  co_await bring_in(*transfer, id);
}

// A claimed job: into active/ and under way, or into failed/.
Task<> Intake::bring_in(JobTransfer& transfer, std::string id) {
  const auto wait = std::make_unique<Pause>(home_.loop());
  JobTransfer::Result brought = co_await transfer.bring();
  while (brought.fate == JobTransfer::Fate::kFailed) {
    log(LogLevel::kError, "job " + id + " cannot be taken into the spool: " +
                              message_of(brought.status) + "; trying again");
    co_await wait_a_while(*wait);
    if (home_.draining()) co_return;  // the next start goes on
    brought = co_await transfer.bring();
  }
  Status status = brought.status;
  if (status.ok()) {
    status = co_await begin_job(id);
    while (!status.ok() && !is_of_the_job(status)) {
      log(LogLevel::kError,
          "job " + id + " cannot be begun: " + message_of(status) + "; trying again");
      co_await wait_a_while(*wait);
      if (home_.draining()) co_return;
      status = co_await begin_job(id);
    }
  }
  if (status.ok()) {
    co_await transfer.release();
  } else {
    co_await refuse(transfer, id, status);
  }
}

Task<> Intake::refuse(JobTransfer& transfer, std::string id, Status why) {
  log(LogLevel::kWarning, "job " + id + " refused: " + message_of(why));
  const auto wait = std::make_unique<Pause>(home_.loop());
  const WallTime now = home_.wall_now();
  const std::string text = error_text(id, why, now);
  Status moved = co_await transfer.set_aside(text);
  while (!moved.ok() && !home_.draining()) {
    log(LogLevel::kError, "job " + id + " is refused but cannot be moved to failed/: " +
                              message_of(moved) + "; trying again");
    co_await wait_a_while(*wait);
    moved = co_await transfer.set_aside(text);
  }
  JobStatus failed;
  failed.id = id;
  failed.phase = "failed";
  failed.created = failed.finished = now;
  failed.error = message_of(why);
  remember(std::move(failed));
}

// Loads what lies whole in active/ and starts it. OK also when a drain keeps it from starting.
Task<Status> Intake::begin_job(std::string id) {
  JobLoad load;
  load.directory = home_.peers().spool.active_job(id);
  load.id = id;
  load.created = home_.wall_now();
  load.shards = home_.peers().shard_count;
  load.keys = home_.peers().keys;
  StatusOr<JobPtr> job = co_await load_job(home_.loop(), home_.config(), home_.limits(), load);
  if (!job.ok()) co_return job.status();
  const bool enrolled = co_await enroll(*job);
  if (!enrolled) co_return Status();
  log(LogLevel::kInfo, "job " + id + " taken");
  auto active = std::make_shared<Active>();
  active->job = *job;
  active_.push_back(active);
  home_.services().spawn(run_job(active, TakenSoFar()));
  co_return Status();
}

Task<> Intake::run_job(std::shared_ptr<Active> active, TakenSoFar so_far) {
  const JobPtr job = active->job;
  if (job->spec.send.start && *job->spec.send.start > home_.wall_now()) {
    active->phase = "scheduled";
    const auto wait = std::make_unique<Pause>(home_.loop());
    // In steps, so that a clock that is set does not matter for long, nor a drain.
    while (*job->spec.send.start > home_.wall_now() && !home_.draining() && !job->cancelled) {
      const Duration left = *job->spec.send.start - home_.wall_now();
      co_await wait->lasting(std::min<Duration>(left, std::chrono::milliseconds(200)));
    }
    active->phase = "taking";
  }
  while (lists_open_ >= kListsMax && !home_.draining()) {
    const Instant look_again = home_.now() + kLookInterval;
    co_await list_room_.wait(look_again);
  }
  ++lists_open_;
  if (!active->taker) active->taker = std::make_unique<ListTaker>(home_, job, *this);
  const Status status = co_await active->taker->run(so_far);
  const bool finished = active->taker->finished();
  active->taker.reset();
  --lists_open_;
  list_room_.notify_one();
  if (!status.ok()) {
    log(LogLevel::kError, "job " + job->id + ": its list could not be read to the end: " +
                              message_of(status) + "; what was taken is sent");
  }
  if (!finished) co_return;
  active->phase = "sending";
  IntakeProgress progress;
  progress.job = job->id;
  progress.finished = true;
  const auto files = std::make_unique<FileTasks>(home_.loop());
  const Status written =
      co_await files->write_durably(JobPaths(job->directory).progress, progress_text(progress));
  if (!written.ok()) log(LogLevel::kError, "job " + job->id + ": " + message_of(written));
  if (job->open_rows.fetch_sub(1, std::memory_order_acq_rel) == 1) job_ended(job);
}

void Intake::job_ended(const JobPtr& job) { home_.services().spawn(finish(job)); }

// In steps: a drain need not wait for it.
Task<> Intake::wait_a_while(Pause& pause) {
  const Instant until = home_.now() + kFinishAgain;
  while (home_.now() < until && !home_.draining()) co_await pause.lasting(kLookInterval);
}

Task<> Intake::finish(JobPtr job) {
  const auto files = std::make_unique<FileTasks>(home_.loop());
  const auto wait = std::make_unique<Pause>(home_.loop());
  JobSummary summary;
  summary.job = job->id;
  summary.name = job->spec.name;
  summary.counts = job->progress.snapshot();
  summary.created = job->created;
  summary.finished = home_.wall_now();
  const std::string done = home_.peers().spool.done_job(job->id);
  bool condensed = false;
  bool moved = false;
  while (!home_.draining()) {
    Status status;
    if (!condensed) {
      status = co_await condense(job);
      if (absl::IsAborted(status)) break;
      condensed = status.ok();
    }
    if (status.ok() && !moved) {
      status =
          co_await files->write_durably(JobPaths(job->directory).summary, summary_json(summary));
      if (status.ok()) status = home_.io().rename(job->directory, done);
      moved = status.ok();
    }
    if (status.ok()) status = co_await files->sync_directory(home_.peers().spool.done);
    if (status.ok()) break;
    log(LogLevel::kError, "job " + job->id + " is finished but cannot be moved to done/: " +
                              message_of(status) + "; trying again");
    co_await wait_a_while(*wait);
  }
  if (!moved) co_return;  // the next start finishes it
  log(LogLevel::kInfo, "job " + job->id + " done");
  const JobStatus status{job->id,         summary.name,     "done", summary.counts,
                         summary.created, summary.finished, {}};
  remember(status);
  std::erase_if(active_, [&](const auto& active) { return active->job == job; });
  house_pause_.cut();
  for (uint32_t shard = 0; shard < home_.peers().shard_count; ++shard) {
    std::function<void(Shard&)> message = [index = job->index](Shard& s) { s.forget_job(index); };
    const bool posted = co_await post_to(shard, std::move(message));
    if (!posted) co_return;
  }
}

void Intake::remember(JobStatus status) {
  remembered_.push_back(std::move(status));
  if (remembered_.size() > kRememberedMax) remembered_.pop_front();
}

JobStatus Intake::status_of(const Active& active) const {
  const Job& job = *active.job;
  const std::string phase = job.cancelled ? "cancelling" : job.paused ? "paused" : active.phase;
  JobStatus status{job.id, job.spec.name, phase, job.progress.snapshot(), job.created, {}, {}};
  status.pace.lately = active.pace.figures();
  status.error = active.error;
  if (active.taker) status.pace.list_read = active.taker->list_read();
  status.pace.as_of = home_.wall_now();
  return status;
}

std::vector<JobStatus> Intake::status() const {
  std::vector<JobStatus> out;
  for (const auto& active : active_) out.push_back(status_of(*active));
  for (const Held& held : held_) out.push_back(held.status);
  out.insert(out.end(), remembered_.begin(), remembered_.end());
  return out;
}

}  // namespace sluice
