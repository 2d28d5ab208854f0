// A lane: the mail of one site from one source; its queue, its limits, its connections.
//
// PURPOSE. Decides when which row goes to which connection, as far as engine/schedule does not:
// reads blocks of rows out of segments ahead of need, dials as many connections as there is mail
// for and the limits allow, hands rows to connections that ask.
// HOW IT RUNS. run() is the lane's one coroutine: it wakes when nudged (mail came, a connection
// asked in vain or ended, a commit made room) or when a permit or a due time comes up: one timer a
// lane, no polling. It ends when nothing waits here, and is begun again by the next mail.
// OWNERSHIP. A lane belongs to its shard, and lives until the shard ends.
// THREAD. The owning shard's.
// LIMITS. At most 16 blocks are read at a time and held; connections by policy, ramp and the
// shard's share; rows are taken only while the journal has room.
// BUGS. Lanes are not taken down when their mail is done: a few hundred octets each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/policy.h"
#include "engine/model/route.h"
#include "engine/ring/pause.h"
#include "engine/ring/task.h"
#include "engine/schedule/back_off.h"
#include "engine/schedule/gcra.h"
#include "engine/schedule/site_queue.h"
#include "engine/shard/job.h"

namespace sluice {

class Shard;
struct Connection;

// A segment as one shard uses it: its file, and how much of it is still open here.
struct OpenSegment {
  SegmentPtr segment;
  Handle file = kNoHandle;  // opened at the first read
  uint32_t reads = 0;       // on their way
  int64_t holds = 0;        // rows at this shard that are not final, and others who refer to it
  // Domains counted as deferred: DNS had no answer at first. Empty, or as long as needed.
  std::vector<bool> deferred_domains;

  bool is_deferred(uint32_t domain) const {
    return domain < deferred_domains.size() && deferred_domains[domain];
  }
  void mark_deferred(uint32_t domain) {
    if (domain >= deferred_domains.size()) deferred_domains.resize(segment->index.domain_count());
    deferred_domains[domain] = true;
  }
};

// What all lanes of a site share on their shard.
struct Site {
  std::string name;
  std::string domain;  // one of its domains: asked again when the route has expired
  RoutePtr route;
  SitePolicy policy;
  bool refreshing = false;  // the route is being asked for
  bool paused = false;      // by the operator: nothing is sent
  // Addresses that did not answer are left alone for a while, as long as there are others.
  struct Rested {
    IpAddress address;
    Instant until{};
  };
  std::vector<Rested> rested;

  bool is_rested(const IpAddress& address, Instant now) const;
  void rest(const IpAddress& address, Instant now, Instant until);
};

// A row that was handed to a connection. The views of `row` live until the lane's next call.
struct TakenRow {
  OpenSegment* segment = nullptr;
  SegmentRow number = 0;
  uint32_t attempts = 0;  // made before this one
  WallTime first_at{};    // of the first attempt; zero when this is it
  Row row;
};

class Lane {
 public:
  Lane(Shard& shard, Site& site, uint32_t source);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();

  const Site& site() const { return site_; }
  Site& site() { return site_; }
  uint32_t source() const { return source_; }

  // --- mail comes
  void add(const Cursor& cursor, uint8_t priority);
  void add_due(const DueRow& row, JobIndex job, uint8_t priority);

  // --- for connections
  // The next row that may be sent now; nothing when none is there, permitted or recordable (then
  // the lane will notify idle connections when that changes).
  std::optional<TakenRow> take_row();
  // Mail is there for it, now or when a permit is.
  bool has_mail() const;
  // Waits for mail: will be notified through its channel's signal.
  void add_idle(Connection& connection);
  void remove_idle(Connection& connection);
  // A connection was greeted, or failed before that, or is gone.
  void on_greeted(Connection& connection);
  // The first message of a connection was answered: who greets and breaks off before that has not
  // shown that it takes mail.
  void on_first_answer();
  // `greeted`: it had been greeted and is still counted. `local`: what failed is ours, not theirs.
  void on_unreachable(Instant began, std::string_view reason, bool greeted, bool local);
  // The receiver had enough of a connection after `accepted` messages.
  void on_used_up(uint32_t accepted);
  // Messages of one connection: the policy's limit, and what the receiver was seen to take; 0: no
  // limit is known.
  uint32_t deliveries_max() const;
  void on_connection_end(bool was_greeted, bool worked);
  // An address did not answer: others first until then.
  void rest(const IpAddress& address, Instant now, Instant until) {
    site_.rest(address, now, until);
  }
  // A further address may be dialled for the same connection: takes a permit of the connection
  // rate.
  bool may_dial_next();
  // An attempt was answered: what it says of us. True when refusals of the sender have piled up so
  // that the lane pauses and this one is not to be believed.
  bool on_answer(const Verdict& verdict);

  // --- what the operator says of a job or the site
  void pause_job(JobIndex job);
  void resume_job(JobIndex job);
  // Counts the rows of the job that wait here as cancelled.
  void cancel_job(JobIndex job);

  // The site's policy was set anew: its rates begin afresh.
  void policy_changed();
  // Looks again at what could be done.
  void nudge();

  // --- for status
  uint64_t rows_waiting() const { return queue_.size() + loaded_rows_; }
  uint32_t connections_open() const { return open_; }
  std::string_view last_failure() const { return last_failure_; }
  Instant not_before() const { return back_off_.not_before(); }

 private:
  struct LoadedBlock;

  // The lane's coroutine: begun by nudge(), ends when nothing is left here or the shard drains.
  Task<> run();
  bool is_done() const;
  void free_blocks();
  Task<> load_rows();
  void begin_reads();
  bool start_read(LoadedBlock& block);
  void put_back(LoadedBlock& block);
  void end_reads();
  void drop_unreadable(LoadedBlock& block, const Status& why);
  void expire_waiting();
  void dial_more();
  void wake_idle();
  bool is_paced() const;
  Instant next_wake() const;
  std::optional<TakenRow> take_next(bool to_send);
  bool may_take(Instant now, Job& job);
  void hold_limited(JobIndex job, Instant until);
  void resume_limited();
  bool take_dial_permit(Permit& permit);
  std::unique_ptr<LoadedBlock> spare_block();
  void keep_spare(std::unique_ptr<LoadedBlock> block);
  void drop_front();
  void cancel_block(LoadedBlock& block);
  void cancel_due(const DueRow& row);

  Shard& shard_;
  Site& site_;
  const uint32_t source_;
  SiteQueue queue_;
  SitePolicy paced_by_;  // whose rates the two below keep
  std::optional<Gcra> message_rate_;
  std::optional<Gcra> connection_rate_;
  BackOff back_off_;
  Ramp ramp_;
  // What used_up connections had taken: the last, and, once two agreed, for an hour the limit.
  uint32_t last_used_up_ = 0;
  uint32_t learnt_deliveries_ = 0;
  Instant learnt_until_{};
  Instant permit_at_{};           // no message before: the rate said so
  Instant dial_permit_at_{};      // no connection before
  Instant read_again_at_{};       // no descriptor was left
  Instant resume_at_{};           // after too many refusals of the sender
  uint32_t sender_refusals_ = 0;  // in a row
  std::string last_failure_;

  std::deque<std::unique_ptr<LoadedBlock>> loaded_;  // ready to be taken from
  std::vector<std::unique_ptr<LoadedBlock>> held_;   // of paused jobs
  struct LimitedJob {
    JobIndex job;
    Instant until{};
  };
  std::vector<LimitedJob> limited_;  // paused here until their own rate lets them
  std::vector<std::unique_ptr<LoadedBlock>> reading_;
  std::vector<std::unique_ptr<LoadedBlock>> spare_;
  uint64_t loaded_rows_ = 0;
  Signal read_done_;

  uint32_t open_ = 0;      // connections, from being dialled to being gone
  uint32_t dialling_ = 0;  // of these, not greeted yet
  uint32_t working_ = 0;   // of these, with a message answered
  std::vector<Connection*> idle_;
  Pause pause_;
  bool running_ = false;
};

}  // namespace sluice
