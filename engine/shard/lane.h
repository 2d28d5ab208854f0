// A lane: the mail of one site from one source under the same terms of TLS (tls_terms.h); its
// queue, its limits, its connections.
//
// PURPOSE. Decides when which row goes to which connection, as far as engine/schedule does not:
//   has blocks of rows read ahead of need, dials as many connections as there is mail for and the
//   limits allow, hands rows to connections that ask.
// HOW IT RUNS. run() is the lane's one coroutine: it wakes when nudged (mail came, a connection
//   asked in vain or ended, a commit made room, its turn for a shared limit has come) or when a
//   permit or a due time comes up: one timer a lane, no polling. It ends when nothing waits here,
//   and is begun again by the next mail.
// SPREADING. A site belongs to one shard. When that one has more work than it can carry, lanes of
//   the same site and source on other shards help (spread.h): they are told that there is mail,
//   pull ranges of rows for the connections that they hold, and keep these rows until they are
//   final.
// OWNERSHIP. A lane belongs to its shard, which takes down those that have rested longest when
//   there are too many (Limits::resting_sites_per_shard): what they learnt of their receivers goes
//   with them, what limits allow does not.
// THREAD. The owning shard's.
// LIMITS. Rows read ahead: read_ahead.h; connections by policy, feedback and the shard's share;
//   rows are taken only while the journal has room.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/shaping.h"
#include "engine/ring/pause.h"
#include "engine/ring/task.h"
#include "engine/schedule/back_off.h"
#include "engine/schedule/concurrency.h"
#include "engine/schedule/eta.h"
#include "engine/schedule/site_queue.h"
#include "engine/schedule/wait_tally.h"
#include "engine/shard/job.h"
#include "engine/shard/lane_limits.h"
#include "engine/shard/lane_status.h"
#include "engine/shard/read_ahead.h"
#include "engine/shard/site.h"

namespace sluice {

class Shard;
struct Connection;

class Lane {
 public:
  Lane(Shard& shard, Site& site, uint32_t source, LaneTerms terms, Shaped shaped);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();

  const Site& site() const { return site_; }
  Site& site() { return site_; }
  uint32_t source() const { return source_; }
  const LaneTerms& terms() const { return terms_; }
  // A newer MTA-STS policy of the lane's domain; null: it has none any more.
  void set_sts(StsPolicyPtr sts, Instant expires);
  const SitePolicy& policy() const { return shaped_.policy; }
  const Shaped& shaped() const { return shaped_; }
  // Other rules hold from now on.
  void set_shaped(Shaped shaped);

  // --- mail comes
  // `domain`: domain_turn() of its name.
  void add(const Cursor& cursor, uint8_t priority, uint64_t domain);
  void add_due(const DueRow& row, JobIndex job, uint8_t priority);

  // --- for connections
  // The next row that may be sent now; nothing when none is there, permitted or recordable (then
  // the lane will notify idle connections when that changes).
  std::optional<TakenRow> take_row() { return take_next(nullptr); }
  // The same, when the next one is of that job.
  std::optional<TakenRow> take_row_of(const Job& job) { return take_next(&job); }
  // A row that take_row() gave is not sent: its permit serves another.
  void give_back_permit() { limits_.give_back_message(now()); }
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
  // `local`: what failed is ours, not theirs. The connection is still counted.
  void on_unreachable(const Connection& connection, std::string_view reason, bool local);
  // The receiver had enough of a connection after `accepted` messages.
  void on_used_up(uint32_t accepted);
  // Messages of one connection: the policy's limit, and what the receiver was seen to take; 0: no
  // limit is known.
  uint32_t deliveries_max() const;
  // The same for the recipients of a transaction.
  void on_recipients_learnt(uint32_t accepted);
  uint32_t recipients_max() const;
  void on_connection_end(const Connection& connection);
  // An address did not answer. When all that were being tried side by side fail, others go first
  // until then.
  void on_address_failed(const IpAddress& address, Instant now, Instant until) {
    site_.on_failed(address, std::max(dialling_, 1U), now, until);
  }
  // A further address may be dialled for the same connection: takes a permit of the connection
  // rate.
  bool may_dial_next() { return limits_.take_dial(now()); }
  // An attempt was answered: what it says of us. True when refusals of the sender have piled up so
  // that the lane pauses and this one is not to be believed.
  bool on_answer(const Verdict& verdict);
  // The connection is to end after what is in flight: others wait for its slot.
  bool must_yield(Connection& connection);
  // It was planned before an MTA-STS policy was enforced: it gets no mail any more.
  bool is_outdated(const Connection& connection) const;
  // Somebody waits for a slot: idle connections look whether they are needed.
  void yield_idle();
  // Its turn for a rate that it shares has come.
  void on_turn(RateWait& waiter);

  // --- what the operator says of a job or the site
  void pause_job(JobIndex job);
  void resume_job(JobIndex job);
  // Counts the rows of the job that wait here as cancelled.
  void cancel_job(JobIndex job);
  // The job is over.
  void forget_job(JobIndex job);

  // Looks again at what could be done.
  void nudge();

  // A row's verdict is on its way to the disk, and has come there.
  void expect_record() { ++unrecorded_; }
  void on_recorded() { --unrecorded_; }
  // Nothing waits here, and no connection is open.
  bool is_done() const;
  // The same, and nobody refers to it.
  bool is_resting() const {
    return is_done() && !running_ && !pulling_ && unrecorded_ == 0 && now() >= resume_at_;
  }

  // --- spreading (spread.h)
  // On the site's own shard: first attempts that another might send, when the limits leave it a
  // connection.
  uint64_t rows_to_spread() const;
  // Such rows, `most` and a block at the least; they are no longer here.
  std::vector<Cursor> take_range(uint64_t most);
  // What could not be given away.
  void add_back(const Cursor& cursor);
  // On a helper: the site's own shard has so many rows that this one may pull; 0: no more.
  void offer(uint64_t rows);
  // What was asked for has come; so many are left there.
  void on_pulled(uint64_t left);

  // --- for status
  uint64_t rows_waiting() const { return queue_.size() + ahead_.rows(); }
  uint64_t rows_of(JobIndex job) const { return queue_.rows_of(job) + ahead_.rows_of(job); }
  // Of these, those that are due, counted no further than about `most`.
  uint64_t rows_ready_of(JobIndex job, uint32_t most) const;
  // Rows of it could go now, but for limits.
  bool has_mail_of(JobIndex job) const;
  uint32_t connections_open() const { return open_; }
  LaneStatus status() const;
  // Counts this lane among the others, which have no name; cheaper than status().
  void add_to(LaneStatus& others) const;
  // Fetches what rows_waiting() and add_to() look at.
  void fetch_counts() const {
    queue_.fetch_counts();
    ahead_.fetch_counts();
    __builtin_prefetch(&open_);
    __builtin_prefetch(&rate_);
  }

 private:
  // For the answer of DNS when the route has expired; then the old one serves.
  static constexpr Duration kRouteWait = std::chrono::seconds(2);

  // `sums`: due times may be the latest ones.
  void add_jobs_to(std::vector<LaneJob>& jobs, bool sums) const;
  Instant now() const;
  void refresh_terms();
  bool has_fresh_route();
  // The lane's coroutine: begun by nudge(), ends when nothing is left here or the shard drains.
  Task<> run();
  std::optional<TakenRow> take_next(const Job* only_of);
  bool may_send() const;
  void expire_waiting();
  void expire(const TakenRow& taken, std::string words);
  void dial_more();
  uint32_t wanted_connections() const;
  void wake_idle();
  void pull_more();
  bool is_paced() const;
  Instant next_wake() const;
  void set_aside(JobIndex job);
  void bring_back(JobIndex job);
  void cancel_due(const DueRow& row);
  Bottleneck bottleneck() const;
  Origin limit_of(Bottleneck why) const;
  double rate_of(Bottleneck why) const;

  Shard& shard_;
  Site& site_;
  const uint32_t source_;
  LaneTerms terms_;
  Instant terms_expire_ = kForever;       // asked for anew then
  Instant enforced_at_ = Instant::min();  // when the policy of `terms_` last became one to enforce
  bool asking_terms_ = false;
  Shaped shaped_;
  SiteQueue queue_;
  ReadAhead ahead_;
  LaneLimits limits_;
  BackOff back_off_;
  Concurrency concurrency_;
  // What used_up connections had taken: the last, and, once two agreed, for an hour the limit.
  uint32_t last_used_up_ = 0;
  uint32_t learnt_deliveries_ = 0;
  Instant learnt_until_{};
  uint32_t learnt_recipients_ = 0;
  Instant recipients_until_{};
  Instant resume_at_{};           // after too many refusals of the sender
  uint32_t sender_refusals_ = 0;  // in a row
  uint32_t answers_ = 0;          // lately,
  uint32_t refusals_ = 0;         // and of these, of the sender
  std::string last_failure_;

  uint32_t open_ = 0;      // connections, from being dialled to being gone
  uint32_t dialling_ = 0;  // of these, not greeted yet
  uint32_t working_ = 0;   // of these, with a message answered
  uint32_t yielding_ = 0;  // of these, ending for others' sake
  std::vector<Connection*> idle_;
  uint64_t offered_ = 0;             // rows that another shard would give
  bool pulling_ = false;             // asked for some of them
  bool no_connection_left_ = false;  // of the shard's share, when one was wanted last
  WaitTally tally_;
  RateMeter rate_;
  Pause pause_;
  bool running_ = false;
  uint32_t unrecorded_ = 0;
};

}  // namespace sluice
