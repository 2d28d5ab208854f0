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
#include <set>
#include <string>
#include <vector>

#include "engine/record/damage.h"
#include "engine/record/recovery.h"
#include "engine/record/tls_results.h"
#include "engine/ring/crowd.h"
#include "engine/ring/gate.h"
#include "engine/ring/pause.h"
#include "engine/shard/condense.h"
#include "engine/shard/file_tasks.h"
#include "engine/shard/job.h"
#include "engine/shard/lane_status.h"
#include "engine/shard/list_taker.h"
#include "engine/shard/suppressor.h"
#include "engine/shard/tls_reports.h"

namespace sluice {

class JobTransfer;
class Shard;
struct JobStock;

// What status shows of a job.
struct JobStatus {
  std::string id;
  std::string name;
  // "scheduled", "taking" (its list), "sending", "paused", "held" (damage), "cancelling", "done" or
  // "failed"
  std::string phase;
  Counts counts;
  WallTime created{};
  WallTime finished{};
  std::string error;  // of a failed or held one; of others: what of it cannot be read
  JobPace pace{};     // of an active one
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
  // Takes up active jobs, and the limits as they were. After all shards have started.
  Task<Status> recover();
  // Writes down how full the limits are: after the last permit of any shard, else the next process
  // begins with all of them used up. What cannot be written is logged too.
  Task<Status> save_limits();
  // Writes down the MTA-STS policies, if they have changed. What cannot be written is logged.
  Task<Status> save_policies();
  // Watches incoming/ until the shard drains.
  Task<> watch();
  // Removes what is kept long enough, now and then once an hour, and journal files as soon as
  // nothing needs them, until the shard drains.
  Task<> keep_house();
  // A job's last row is final and its list is taken.
  void job_ended(const JobPtr& job);
  // What the operator asks; `reply` is called on this shard's thread when it is durable, or cannot
  // be: NotFound for a job that is not active.
  using Reply = std::function<void(Status)>;
  void command(const std::string& job, JobEvent event, Reply reply);
  // Resumes a held job without the journal files that cannot be read.
  void resume_unread(const std::string& job, Reply reply);
  Task<> pause_site(std::string site, bool paused, Reply reply);
  // The journal holds the event now.
  void apply(JobIndex job, JobEvent event);
  // Peers::journal_told() on this shard.
  void journal_told(uint32_t series, uint32_t file);
  // Peers::unreadable() on this shard: status shows it, the first three of a job.
  void note_unreadable(JobIndex job, const std::string& words);
  // Peers::tls_result() on this shard.
  void add_tls_result(const TlsResult& result);
  void stop() {
    pause_.cut();
    house_pause_.cut();
    suppressor_.stop();
    if (tls_reports_ != nullptr) tls_reports_->stop();
  }

  std::vector<JobStatus> status() const;

  // Any shard's thread: see there.
  Suppressor& suppressor() { return suppressor_; }

  Task<bool> publish(SegmentPtr segment, IndexPtr index) override;
  uint32_t next_segment_ref() override { return segments_made_++; }

 private:
  struct Active {
    JobPtr job;
    std::unique_ptr<ListTaker> taker;
    std::string phase = "taking";
    std::string error;
    uint32_t unreadable = 0;  // segments that `error` names by note_unreadable()
    Pace pace;
  };
  // Nothing of it is known to the shards.
  struct Held {
    JobStatus status;
    std::vector<std::string> unread;  // journal files that may tell of it and cannot be read
    std::shared_ptr<const Recovery> recovery;
  };

  Task<Status> load_paused_sites();
  // MTA-STS policies: none when the file cannot be read, which is logged.
  Task<> load_policies();
  Task<Status> load_limits();
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
  Task<Status> condense(JobPtr job);
  Task<> tidy_journal();
  Task<> compress_events();
  Task<> wait_a_while(Pause& pause);
  Task<Status> sync_spool();
  Task<Status> read_journals(Recovery& recovery);
  Task<> set_journal_aside(std::string name, Status why, uint64_t sound_bytes);
  Task<Status> take_up(std::string id, std::shared_ptr<const Recovery> recovery, bool cancel);
  Task<Status> go_on(JobStock& stock);
  Task<std::vector<std::string>> unread_by(std::string id, WallTime created);
  void hold(JobStatus status, std::vector<std::string> unread,
            std::shared_ptr<const Recovery> recovery);
  void hold_broken(std::string id, const Status& why, std::shared_ptr<const Recovery> recovery);
  bool is_held(const std::string& job) const;
  void command_held(const std::string& job, JobEvent event, bool unread, Reply reply);
  Task<> release_held(Held held, JobEvent event, Reply reply);
  Task<Status> recover_taking(const std::vector<std::string>& active_ids);
  Task<> release_taken(std::string id);
  Task<bool> refuse_unsent(std::string id, Status why);
  Task<> refuse(JobTransfer& transfer, std::string id, Status why);
  Task<bool> enroll(const JobPtr& job);
  Task<bool> post_to(uint32_t shard, std::function<void(Shard&)> message);
  void remember(JobStatus status);
  JobStatus status_of(const Active& active) const;
  void look_at_paces();
  void begin_tls_reports();

  Shard& home_;
  Suppressor suppressor_;
  Pause pause_;
  Pause house_pause_;
  std::vector<std::string> taking_;  // names in incoming/ that are being taken
  std::vector<std::string> closed_;  // directories of incoming/ that were complained of
  std::vector<std::shared_ptr<Active>> active_;
  std::vector<Held> held_;
  std::vector<UnreadJournal> unread_;
  uint32_t lists_open_ = 0;  // being taken
  Crowd list_room_;
  std::deque<JobStatus> remembered_;
  Condensing condensing_;
  std::set<std::string> without_outcomes_;   // jobs of done/ that need the journal
  std::unique_ptr<TlsReports> tls_reports_;  // null: no reports are sent
  std::string events_complaint_;             // said already
  std::string policies_complaint_;           // the same
  uint64_t policies_saved_ = 0;              // StsStore::version()
  std::vector<ShareMeter> dns_waits_;        // by shard
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
  bool ran_before_ = false;  // the spool shows that a process worked in it
};

}  // namespace sluice
