// The part of Intake that takes up what was active before a restart: the spool minus the journal.
#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/log.h"
#include "engine/record/recovery.h"
#include "engine/shard/intake.h"
#include "engine/shard/job_stock.h"
#include "engine/shard/job_transfer.h"
#include "engine/shard/shard.h"
#include "engine/spool/job_directory.h"

namespace sluice {
Task<Status> Intake::recover() {
  const Status durable = co_await sync_spool();
  if (!durable.ok()) co_return durable;
  co_await load_policies();
  const Status limits = co_await load_limits();
  if (!limits.ok()) co_return limits;
  const Status paused = co_await load_paused_sites();
  if (!paused.ok()) co_return paused;
  const Status suppressed = co_await suppressor_.load();
  if (!suppressed.ok()) co_return suppressed;
  home_.services().spawn(suppressor_.watch());
  const SpoolPaths& spool = home_.peers().spool;
  StatusOr<std::vector<std::string>> ids = home_.io().list(spool.active);
  if (!ids.ok()) co_return ids.status();
  std::erase_if(*ids, [](const std::string& id) { return id.front() == '.'; });
  const Status taking = co_await recover_taking(*ids);
  if (!taking.ok()) co_return taking;
  if (ids->empty()) co_return Status();
  const auto recovery = std::make_shared<Recovery>(*ids);
  const Status read = co_await read_journals(*recovery);
  if (!read.ok()) co_return read;
  recovery->finish();
  for (const std::string& id : *ids) {
    const Status status = co_await take_up(id, recovery, false);
    if (status.ok()) {
      co_await release_taken(id);
      continue;
    }
    const bool refused = co_await refuse_unsent(id, status);
    if (refused) continue;
    std::string words = "job " + id;
    words += " cannot go on and stays in active/: " + message_of(status);
    words += "; mend it, then: sluice resume " + id;
    log(LogLevel::kError, words);
    hold_broken(id, status, recovery);
  }
  co_return Status();
}

// What prepare() made is there after a power cut too, and so is what will lie in it.
Task<Status> Intake::sync_spool() {
  const std::string& root = home_.peers().spool.root;
  const auto files = std::make_unique<FileTasks>(home_.loop());
  // That one may be closed to us: then somebody else made the spool.
  (void)co_await files->sync_directory(parent_of(root));
  co_return co_await files->sync_directory(root);
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

// An active job goes on, or is held; not OK: it cannot, as it lies there.
Task<Status> Intake::take_up(std::string id, std::shared_ptr<const Recovery> recovery,
                             bool cancel) {
  const auto stock = std::make_unique<JobStock>();
  const JobRecovery* known = recovery->job(id);
  const Status status = co_await take_stock(home_, id, known, cancel, stock.get());
  if (!status.ok()) co_return status;
  std::vector<std::string> unread = co_await unread_by(id, stock->job->created);
  if (unread.empty() || stock->job->cancelled) {
    co_return co_await go_on(*stock);
  }
  JobStatus held;
  held.id = id;
  held.name = stock->job->spec.name;
  held.created = stock->job->created;
  held.counts = stock->counts;
  hold(std::move(held), std::move(unread), std::move(recovery));
  co_return Status();
}

Task<Status> Intake::go_on(JobStock& stock) {
  const JobPtr job = stock.job;
  job->progress.restore(home_.number(), stock.counts);
  job->open_rows.fetch_add(stock.rows - stock.final_rows, std::memory_order_acq_rel);
  auto active = std::make_shared<Active>();
  active->job = job;
  active->error = stock.damage;
  if (!stock.list_taken) {
    active->taker = std::make_unique<ListTaker>(home_, job, *this);
    const auto files = std::make_unique<FileTasks>(home_.loop());
    for (const auto& segment : stock.segments) {
      if (!job->spec.list.dedupe) break;
      const Status status =
          co_await remember_addresses(home_.loop(), *files, *segment, *active->taker);
      co_await active->taker->make_room();
      if (!status.ok()) {
        stock.list_stalled = true;
        log(LogLevel::kError, "job " + job->id + ": " + message_of(status));
      }
    }
    if (stock.list_stalled) {
      const std::string words =
          "its list is not read on: which rows were taken is in a segment that cannot be read";
      log(LogLevel::kError, "job " + job->id + ": " + words + "; restore it and start again");
      active->error += (active->error.empty() ? "" : "; ") + words;
      active->taker.reset();
    }
  }
  const bool enrolled = co_await enroll(job);
  if (!enrolled) co_return Status();
  log(LogLevel::kInfo, "job " + job->id + " goes on: " + std::to_string(stock.final_rows) + " of " +
                           std::to_string(stock.rows) + " rows taken so far are final");
  active_.push_back(active);
  for (const auto& segment : stock.segments) {
    segment->ref = next_segment_ref();
    const bool published = co_await publish(segment, nullptr);
    if (!published) co_return Status();
  }
  if (stock.list_stalled && !job->cancelled) {
    // What is left of the list keeps the job open.
    active->phase = "sending";
    co_return Status();
  }
  if (!stock.list_taken && !stock.list_stalled) {
    home_.services().spawn(run_job(active, stock.so_far));
    co_return Status();
  }
  active->phase = "sending";
  if (job->open_rows.fetch_sub(1, std::memory_order_acq_rel) == 1) job_ended(job);
  co_return Status();
}

}  // namespace sluice
