// The part of Intake that does what the operator says: pause, resume and cancel.
#include <algorithm>
#include <memory>
#include <utility>

#include "engine/base/log.h"
#include "engine/base/strings.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

constexpr uint64_t kPausedSitesBytesMax = 1UL << 20;

std::string paused_sites_path(const Peers& peers) { return peers.spool.root + "/paused_sites"; }

}  // namespace

void Intake::resume_unread(const std::string& job, Reply reply) {
  if (is_held(job)) return command_held(job, JobEvent::kResumed, true, std::move(reply));
  command(job, JobEvent::kResumed, std::move(reply));
}

void Intake::command(const std::string& job, JobEvent event, Reply reply) {
  if (is_held(job)) return command_held(job, event, false, std::move(reply));
  const auto found = std::find_if(active_.begin(), active_.end(),
                                  [&](const auto& active) { return active->job->id == job; });
  if (found == active_.end()) {
    reply(missing("job " + job + " is not active: sluice status shows those that are"));
    return;
  }
  const Job& known = *(*found)->job;
  if (known.cancelled && event != JobEvent::kCancelled) {
    reply(invalid("job " + job + " is cancelled already"));
    return;
  }
  asked_.push_back({known.index, event, std::move(reply)});
  home_.journal().append_job_event(known.index, event, home_.wall_now());
}

void Intake::apply(JobIndex index, JobEvent event) {
  const auto asked = std::find_if(asked_.begin(), asked_.end(), [&](const Asked& a) {
    return a.job == index && a.event == event;
  });
  Reply reply = [](const Status&) {};
  if (asked != asked_.end()) {
    reply = std::move(asked->reply);
    asked_.erase(asked);
  }
  Job* const job = home_.find_job(index);
  if (job == nullptr) {
    reply(missing("the job has just finished"));
    return;
  }
  const char* word = "paused";
  if (event == JobEvent::kPaused) job->paused = true;
  if (event == JobEvent::kResumed) {
    job->paused = false;
    word = "resumed";
  }
  if (event == JobEvent::kCancelled) {
    job->cancelled = true;
    word = "cancelled";
  }
  log(LogLevel::kInfo, "job " + job->id + " " + word);
  home_.services().spawn(tell_shards(index));
  reply(Status());
}

Task<> Intake::tell_shards(JobIndex index) {
  for (uint32_t shard = 0; shard < home_.peers().shard_count; ++shard) {
    std::function<void(Shard&)> message = [index](Shard& s) { s.apply_job_flags(index); };
    const bool posted = co_await post_to(shard, std::move(message));
    if (!posted) co_return;
  }
}

Task<> Intake::pause_site(std::string site, bool paused, Reply reply) {
  std::erase(paused_sites_, site);
  if (paused) paused_sites_.push_back(site);
  const auto files = std::make_unique<FileTasks>(home_.loop());
  const Status written =
      co_await files->write_durably(paused_sites_path(home_.peers()), join(paused_sites_, "\n"));
  if (written.ok()) {
    for (uint32_t shard = 0; shard < home_.peers().shard_count; ++shard) {
      std::function<void(Shard&)> message = [site, paused](Shard& s) {
        s.pause_site(site, paused);
      };
      const bool posted = co_await post_to(shard, std::move(message));
      if (!posted) break;
    }
    log(LogLevel::kInfo, "site " + site + (paused ? " paused" : " resumed"));
  }
  reply(written);
}

Task<Status> Intake::load_paused_sites() {
  const std::string path = paused_sites_path(home_.peers());
  if (!home_.io().stat(path).ok()) co_return Status();
  const auto files = std::make_unique<FileTasks>(home_.loop());
  const StatusOr<std::string> text = co_await files->read_whole(path, kPausedSitesBytesMax);
  if (absl::IsResourceExhausted(text.status())) co_return text.status();
  if (!text.ok()) {
    log(LogLevel::kError, path + " cannot be read: " + message_of(text.status()) +
                              "; no site is paused, pause again those that were");
    co_return Status();
  }
  for (const std::string_view line : split(*text, '\n')) {
    if (line.empty()) continue;
    const std::string site(line);
    paused_sites_.push_back(site);
    for (uint32_t shard = 0; shard < home_.peers().shard_count; ++shard) {
      std::function<void(Shard&)> message = [site](Shard& s) { s.pause_site(site, true); };
      const bool posted = co_await post_to(shard, std::move(message));
      if (!posted) co_return Status();
    }
  }
  co_return Status();
}

}  // namespace sluice
