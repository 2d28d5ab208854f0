// The story of a job: dropped, checked, taken, sent, finished.
//
// PURPOSE. Watches incoming/, moves what is complete to active/, loads it, starts its list, and
// when its last row is final writes the summary and moves it to done/. What is refused goes to
// failed/ with error.txt. At the start it takes up what was active before.
// THREAD. Shard 0's, but for Peers::job_ended(). Everything that others ask comes by mailbox.
// LIMITS. kActiveMax jobs at a time; the others wait in incoming/. The last kRememberedMax finished
// jobs are known to status.
// ERRORS. start(): the spool cannot be used. Later ones are log lines and error.txt.
// BUGS. Looks into incoming/ five times a second instead of waiting for inotify: works on any file
// system.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/ring/crowd.h"
#include "engine/ring/gate.h"
#include "engine/ring/pause.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/job.h"
#include "engine/shard/list_taker.h"

namespace sluice {

class JobTransfer;
class Shard;

// What status shows of a job.
struct JobStatus {
  std::string id;
  std::string name;
  // "scheduled", "taking" (its list), "sending", "paused", "cancelling", "done" or "failed"
  std::string phase;
  Counts counts;
  WallTime created{};
  WallTime finished{};
  std::string error;  // of a failed one
};

class Intake final : public ListTaker::Publisher {
 public:
  static constexpr size_t kActiveMax = 1'000;
  static constexpr size_t kRememberedMax = 1'000;
  // Lists taken side by side: each has a segment in memory, and the addresses known to dedupe.
  static constexpr uint32_t kListsMax = 8;

  explicit Intake(Shard& home);
  ~Intake() override;

  // Makes the spool's directories where missing.
  Status prepare();
  // Takes up active jobs. After all shards have started.
  Task<Status> recover();
  // Watches incoming/ until the shard drains.
  Task<> watch();
  // Removes what is kept long enough, now and then once an hour, until the shard drains.
  Task<> keep_house();
  // A job's last row is final and its list is taken.
  void job_ended(const JobPtr& job);
  // What the operator asks; `reply` is called on this shard's thread when it is durable, or cannot
  // be: NotFound for a job that is not active.
  using Reply = std::function<void(Status)>;
  void command(const std::string& job, JobEvent event, Reply reply);
  Task<> pause_site(std::string site, bool paused, Reply reply);
  // The journal holds the event now.
  void apply(JobIndex job, JobEvent event);
  // Peers::journal_told() on this shard.
  void journal_told(uint32_t series, uint32_t file) { told_[series] = file; }
  void stop() {
    pause_.cut();
    house_pause_.cut();
  }

  std::vector<JobStatus> status() const;

  Task<bool> publish(SegmentPtr segment) override;
  uint32_t next_segment_ref() override { return segments_made_++; }

 private:
  struct Active {
    JobPtr job;
    std::unique_ptr<ListTaker> taker;
    std::string phase = "taking";
  };

  Task<Status> load_paused_sites();
  Task<> tell_shards(JobIndex job);
  Task<> take(std::string name);
  bool is_known(const std::string& id) const;
  std::string fresh_id(const std::string& name) const;
  void complain_of(const std::string& directory, const Status& why);
  Task<> take_claimed(std::string id);
  Task<> bring_in(JobTransfer& transfer, std::string id);
  Task<Status> begin_job(std::string id);
  Task<> run_job(std::shared_ptr<Active> active, TakenSoFar so_far);
  Task<> finish(JobPtr job);
  Task<> wait_a_while(Pause& pause);
  Task<Status> recover_job(std::string id, const JobRecovery* known);
  Task<Status> recover_taking(const std::vector<std::string>& active_ids);
  Task<> release_taken(std::string id);
  Task<bool> refuse_unsent(std::string id, Status why);
  Task<> refuse(JobTransfer& transfer, std::string id, Status why);
  Task<bool> enroll(const JobPtr& job);
  Task<bool> post_to(uint32_t shard, std::function<void(Shard&)> message);
  void remember(JobStatus status);
  JobStatus status_of(const Active& active) const;

  Shard& home_;
  Pause pause_;
  Pause house_pause_;
  std::vector<std::string> taking_;  // names in incoming/ that are being taken
  std::vector<std::string> closed_;  // directories of incoming/ that were complained of
  std::vector<std::shared_ptr<Active>> active_;
  uint32_t lists_open_ = 0;  // being taken
  Crowd list_room_;
  std::deque<JobStatus> remembered_;
  struct Asked {
    JobIndex job;
    JobEvent event;
    Reply reply;
  };
  std::vector<Asked> asked_;  // not durable yet
  std::vector<std::string> paused_sites_;
  std::map<uint32_t, uint32_t> told_;  // by series: the first journal file still needed for events
  JobIndex jobs_made_ = 0;
  uint32_t segments_made_ = 0;
};

}  // namespace sluice
