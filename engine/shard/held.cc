// The part of Intake that holds jobs of which nothing may be sent: after damage, until the operator
// has restored what is missing or goes on without it.
#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/strings.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

constexpr uint64_t kAcceptedBytesMax = 1UL << 20;
constexpr uint32_t kUnreadableShown = 3;

// Among the segments: their directory is the sender's own.
std::string accepted_path(const std::string& directory) {
  return SpoolPaths::child(JobPaths(directory).segments, "unread");
}

}  // namespace

// Journal files that may tell of a job, cannot be read, and without which it does not go on.
Task<std::vector<std::string>> Intake::unread_by(std::string id, WallTime created) {
  std::vector<std::string> names;
  for (const UnreadJournal& unread : unread_) {
    if (may_concern(unread, created)) names.push_back(unread.name);
  }
  const std::string path = accepted_path(home_.peers().spool.active_job(id));
  if (names.empty() || !home_.io().stat(path).ok()) co_return names;
  const auto files = std::make_unique<FileTasks>(home_.loop());
  const StatusOr<std::string> text = co_await files->read_whole(path, kAcceptedBytesMax);
  if (!text.ok()) co_return names;
  const std::vector<std::string> accepted = parse_accepted(*text);
  std::erase_if(names, [&](const std::string& name) {
    return std::find(accepted.begin(), accepted.end(), name) != accepted.end();
  });
  co_return names;
}

void Intake::hold(JobStatus status, std::vector<std::string> unread,
                  std::shared_ptr<const Recovery> recovery) {
  if (!unread.empty()) {
    const std::string& directory = home_.peers().spool.journal;
    status.error = "held: " + join(unread, ", ") + " in " + directory +
                   " cannot be read, and recipients may have got their mail by it; put a whole "
                   "copy there, remove what ends in .damaged and start again, or go on without "
                   "it, by which those get the mail again: sluice resume " +
                   status.id + " --unread";
    log(LogLevel::kError, "job " + status.id + " is " + status.error);
  }
  status.phase = "held";
  held_.push_back({std::move(status), std::move(unread), std::move(recovery)});
}

// A job that cannot go on as it lies there, whatever of it can be told.
void Intake::hold_broken(std::string id, const Status& why,
                         std::shared_ptr<const Recovery> recovery) {
  JobStatus status;
  const std::optional<JobId> parsed = parse_job_id(id);
  status.name = parsed ? parsed->name : id;
  if (parsed) status.created = parsed->created;
  status.error = "held: " + message_of(why) + "; mend it, then: sluice resume " + id;
  if (const JobRecovery* known = recovery->job(id)) {
    status.counts.states = known->states;
    status.counts.attempts = known->attempts;
    status.counts.bytes = known->bytes;
  }
  status.id = std::move(id);
  hold(std::move(status), {}, std::move(recovery));
}

void Intake::note_unreadable(JobIndex job, const std::string& words) {
  for (const auto& active : active_) {
    if (active->job->index != job || active->unreadable >= kUnreadableShown) continue;
    ++active->unreadable;
    if (!active->error.empty()) active->error += "; ";
    active->error += words;
  }
}

bool Intake::is_held(const std::string& job) const {
  return std::any_of(held_.begin(), held_.end(),
                     [&](const Held& held) { return held.status.id == job; });
}

void Intake::command_held(const std::string& job, JobEvent event, bool unread, Reply reply) {
  const auto found = std::find_if(held_.begin(), held_.end(),
                                  [&](const Held& held) { return held.status.id == job; });
  if (event == JobEvent::kPaused) {
    reply(invalid("job " + job + " is held: nothing of it is sent"));
    return;
  }
  if (event == JobEvent::kResumed && !unread && !found->unread.empty()) {
    reply(invalid("job " + job + " is " + found->status.error));
    return;
  }
  Held held = std::move(*found);
  held_.erase(found);
  home_.services().spawn(release_held(std::move(held), event, std::move(reply)));
}

Task<> Intake::release_held(Held held, JobEvent event, Reply reply) {
  const std::string id = held.status.id;
  const bool cancel = event == JobEvent::kCancelled;
  Status status;
  if (!cancel && !held.unread.empty()) {
    const std::string path = accepted_path(home_.peers().spool.active_job(id));
    const auto files = std::make_unique<FileTasks>(home_.loop());
    const StatusOr<std::string> before = co_await files->read_whole(path, kAcceptedBytesMax);
    std::vector<std::string> accepted = parse_accepted(before.ok() ? *before : std::string());
    accepted.insert(accepted.end(), held.unread.begin(), held.unread.end());
    status = co_await files->write_durably(path, accepted_text(accepted));
  }
  if (status.ok()) {
    // What a cancelled job's journal said no longer matters: nothing of it is sent.
    status = co_await take_up(id, held.recovery, cancel);
  }
  if (!status.ok()) {
    held.status.error = "held: " + message_of(status);
    held_.push_back(std::move(held));
    reply(status);
    co_return;
  }
  if (is_held(id)) {
    reply(invalid("job " + id + " is " + held_.back().status.error));
    co_return;
  }
  if (!cancel) {
    log(LogLevel::kWarning,
        "job " + id + " goes on as the operator says" +
            (held.unread.empty() ? "" : ", without " + join(held.unread, ", ")));
    reply(Status());
    co_return;
  }
  // Durable only so: else the next start would hold it again.
  command(id, event, [reply = std::move(reply)](const Status& done) {
    reply(absl::IsNotFound(done) ? Status() : done);
  });
}

}  // namespace sluice
