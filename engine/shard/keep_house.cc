// The part of Intake that removes what nobody needs any more, once a job's outcomes are condensed.
#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/log.h"
#include "engine/shard/condense_events.h"
#include "engine/shard/event_follower.h"
#include "engine/shard/housekeeping.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// Lists leave room that outcomes may use in part: they make room for the journal's files.
constexpr uint64_t kReserveShare = 4;
constexpr Duration kSweepInterval = std::chrono::hours(1);
// Many jobs that end together are tidied up after together.
constexpr Duration kTidyInterval = std::chrono::seconds(1);
// Whoever follows the record reads a rotated file to its end first.
constexpr Duration kRotatedRest = std::chrono::seconds(10);
constexpr Duration kCompressInterval = std::chrono::seconds(10);

}  // namespace

// Not OK: no room on the disk (try again), or the process ends.
Task<Status> Intake::condense(JobPtr job) {
  CondenseJob what;
  what.id = job->id;
  what.directory = job->directory;
  what.rows = static_cast<uint64_t>(job->progress.snapshot().total());
  what.reserve = home_.config().spool.reserve / kReserveShare;
  const Status status = co_await condensing_.condense(what);
  if (status.ok() || absl::IsAborted(status) || absl::IsResourceExhausted(status)) co_return status;
  log(LogLevel::kError, "job " + job->id + ": its outcomes stay in its segments and the journal, " +
                            "for they cannot be condensed: " + message_of(status));
  without_outcomes_.insert(job->id);
  co_return Status();
}

void Intake::journal_told(uint32_t series, uint32_t file) {
  uint32_t& told = told_[series];
  const bool more = told != 0 && file != told;
  told = file;
  if (more) house_pause_.cut();
}

Task<> Intake::keep_house() {
  const SpoolPaths& spool = home_.peers().spool;
  without_outcomes_ = jobs_without_outcomes(home_.io(), spool);
  begin_tls_reports();
  Instant next_sweep = home_.now();
  while (!home_.draining()) {
    if (home_.now() >= next_sweep) {
      next_sweep = home_.now() + kSweepInterval;
      const Swept swept = sweep_spool(home_.io(), spool,
                                      {.keep_done = home_.config().spool.keep_done,
                                       .keep_events = home_.config().record.keep,
                                       .record_directory = record_directory(home_.config(), spool)},
                                      home_.wall_now());
      if (swept.jobs + swept.event_files > 0) {
        log(LogLevel::kInfo, "removed " + std::to_string(swept.jobs) + " finished jobs and " +
                                 std::to_string(swept.event_files) + " event files");
      }
      std::erase_if(without_outcomes_, [&](const std::string& id) {
        return !home_.io().stat(spool.done_job(id)).ok() &&
               !home_.io().stat(spool.active_job(id)).ok();
      });
    }
    co_await tidy_journal();
    if (home_.draining()) break;
    co_await compress_events();
    if (home_.draining()) break;
    (void)co_await save_policies();
    if (home_.draining()) break;
    co_await house_pause_.lasting(kTidyInterval);
    if (home_.draining()) break;
    const Instant next_look = home_.now() + kCompressInterval;
    co_await house_pause_.until(std::min(next_sweep, next_look));
  }
}

Task<> Intake::compress_events() {
  const std::string directory = record_directory(home_.config(), home_.peers().spool);
  const WallTime before = home_.wall_now() - kRotatedRest;
  const std::function<bool()> stopped = [this] { return home_.draining(); };
  const StatusOr<uint32_t> count =
      co_await compress_event_files(home_.loop(), directory, before, stopped);
  if (count.ok()) {
    events_complaint_.clear();
    co_return;
  }
  if (absl::IsAborted(count.status())) co_return;
  const std::string why = message_of(count.status());
  if (std::exchange(events_complaint_, why) == why) co_return;
  log(LogLevel::kWarning, "event files stay as they are: " + why + "; trying again");
}

// Files of which it is not known whose they are, are looked into first.
Task<> Intake::tidy_journal() {
  const SpoolPaths& spool = home_.peers().spool;
  JournalJobs& jobs = condensing_.journal_jobs();
  const auto sweep = std::make_unique<JournalSweep>();
  sweep->followed = told_;
  sweep->without_outcomes = without_outcomes_;
  JournalSwept swept = sweep_journal(home_.io(), spool, *sweep, jobs);
  for (const JournalPlace& file : swept.unknown) {
    const std::string path =
        SpoolPaths::child(spool.journal, journal_file_name(file.shard, file.number));
    const std::function<bool()> stopped = [this] { return home_.draining(); };
    const Status learnt =
        co_await learn_journal_file(home_.loop(), path, file, swept.needed, jobs, stopped);
    if (home_.draining()) co_return;
    if (!learnt.ok()) log(LogLevel::kWarning, "the journal is not tidied: " + message_of(learnt));
  }
  uint32_t removed = swept.removed;
  uint32_t emptied = swept.emptied;
  if (!swept.unknown.empty()) {
    sweep->without_outcomes = without_outcomes_;
    swept = sweep_journal(home_.io(), spool, *sweep, jobs);
    removed += swept.removed;
    emptied += swept.emptied;
  }
  if (removed + emptied == 0) co_return;
  log(LogLevel::kInfo, "nothing needs " + std::to_string(removed + emptied) +
                           " journal files: " + std::to_string(removed) + " are removed, " +
                           std::to_string(emptied) + " emptied");
}

}  // namespace sluice
