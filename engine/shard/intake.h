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
#include <memory>
#include <string>
#include <vector>

#include "engine/ring/gate.h"
#include "engine/ring/pause.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/job.h"
#include "engine/shard/list_taker.h"

namespace sluice {

class Shard;

// What status shows of a job.
struct JobStatus {
  std::string id;
  std::string name;
  std::string phase;  // "scheduled", "taking" (its list), "sending", "done" or "failed"
  Counts counts;
  WallTime created{};
  WallTime finished{};
  std::string error;  // of a failed one
};

class Intake final : public ListTaker::Publisher {
 public:
  static constexpr size_t kActiveMax = 1'000;
  static constexpr size_t kRememberedMax = 1'000;

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

  Task<> take(std::string name);
  Task<> refuse(std::string directory, std::string id, Status why);
  Task<> run_job(std::shared_ptr<Active> active, TakenSoFar so_far);
  Task<> finish(JobPtr job);
  Task<Status> recover_job(std::string id, const JobRecovery* known);
  Task<bool> enroll(const JobPtr& job);
  Task<bool> post_to(uint32_t shard, std::function<void(Shard&)> message);
  void remember(JobStatus status);
  JobStatus status_of(const Active& active) const;

  Shard& home_;
  Pause pause_;
  Pause house_pause_;
  std::vector<std::string> taking_;  // names in incoming/ that are being taken
  std::vector<std::shared_ptr<Active>> active_;
  std::deque<JobStatus> remembered_;
  JobIndex jobs_made_ = 0;
  uint32_t segments_made_ = 0;
};

}  // namespace sluice
