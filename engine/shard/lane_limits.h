// What a lane may send and dial: by its own limits, its provider's and its jobs'.
//
// PURPOSE. Takes permits and slots, several at once and all or none; knows when to ask again, and
// what is in the way.
// OWNERSHIP. The lane's. Scopes are shared with other shards (engine/schedule/shared_limits.h),
// waiting with the shard's other lanes (turns.h).
// THREAD. The shard's.
// LIMITS. One wait for the provider and one a job with a rate.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/bottleneck.h"
#include "engine/model/shaping.h"
#include "engine/schedule/permits.h"
#include "engine/shard/turns.h"

namespace sluice {

struct Job;

class LaneLimits {
 public:
  // A turn that a connection was woken for and did not use goes on after this.
  static constexpr Duration kTurnMax = std::chrono::seconds(1);

  LaneLimits(Shard& shard, Lane& lane);
  LaneLimits(const LaneLimits&) = delete;
  LaneLimits& operator=(const LaneLimits&) = delete;
  ~LaneLimits();

  // What holds from now on. Rates that stay go on as full or empty as they are.
  void set(const Shaped& shaped, const std::string& site, const std::string& source);

  // --- messages
  enum class Answer : uint8_t {
    kGranted,
    kNotYet,      // no message may go now; the lane is nudged, or message_at() is the time
    kNotThisJob,  // the job waits for its own rate: the lane is told by on_turn()
  };
  Answer take_message(const Job& job, Instant now);
  // What take_message() granted was not used.
  void give_back_message(Instant now) { permits_.give_back(now); }
  // No message before: the site's own rate said so.
  Instant message_at() const { return message_at_; }
  // One message at a time: a rate holds for all of them.
  bool is_paced() const { return message_rate_ != nullptr || provider_wait_ != nullptr; }
  // Rows of a job came. True when they are to wait for the job's turn.
  bool expect(const Job& job);
  // The job has nothing here any more.
  void forget(JobIndex job);
  // Ends turns that are not used: `ready` rows may be taken now by `idle` connections.
  void settle(bool may_send, uint64_t ready, bool idle);
  // Rows of the job wait for its turn.
  bool is_waiting(JobIndex job) const;
  // All messages wait for the provider's turn.
  bool is_queued() const { return provider_wait_ && provider_wait_->queued; }
  // Of jobs with a turn here all rows that are due but the one that it is for, each counted no
  // further than about `most`.
  uint64_t rows_beyond_turns(uint32_t most) const;
  // A turn is this lane's now.
  bool has_turn() const;
  // A connection is not to be dialled for a message that has no turn yet.
  bool waits_for_turn();

  // --- connections
  // A slot of each limit and a permit of the connection rate. When false the lane is nudged, or
  // connection_at() is the time.
  bool take_connection(Instant now);
  // It is gone.
  void give_back_connection();
  // take_connection() was granted and no connection came of it.
  void undo_connection(Instant now);
  // A further address may be dialled for the same connection.
  bool take_dial(Instant now);
  Instant connection_at() const { return connection_at_; }
  // Nothing more is dialled: others who wait for a slot are not to wait for this lane.
  void want_no_connection();
  bool waits_for_slot() const { return holdup_ != Bottleneck::kNone; }
  // What kept take_connection() from it: kConnectionLimit, kProviderConnectionLimit,
  // kConnectionRate; kNone when it was granted.
  Bottleneck connection_holdup() const { return holdup_; }
  // What keeps messages back: kMessageRate, kProviderMessageRate, kJobRate; kNone when nothing
  // does.
  Bottleneck message_holdup(Instant now) const;

  // Others wait for a slot that this lane holds.
  bool is_slot_wanted() const;
  bool is_provider_slot_wanted() const;
  // By a lane of this shard that has fewer than `kept` even when it gets one.
  bool is_wanted_by_poorer(uint32_t kept) const;
  // How many connections this lane may keep while other shards, or lanes with other terms of TLS,
  // wait for slots of its site.
  uint32_t fair_share() const;

 private:
  // Another shard knows newer rules: their rates hold here too.
  void follow_rules(Instant now);
  RateWait* wait_of(JobIndex job);
  RateWait& wait_for(const Job& job);
  void end_turn(RateWait* waiter, Instant now);
  void wait_again(RateWait& waiter, Instant now);
  bool must_wait(RateWait* waiter);
  bool settle_one(RateWait& waiter, bool may_send, bool has_rows, bool idle);
  void leave_scopes();

  Shard& shard_;
  Lane& lane_;
  std::shared_ptr<ScopeLimits> site_;
  SharedSlots* site_slots_ = nullptr;
  std::shared_ptr<ScopeLimits> provider_;
  SharedSlots* provider_slots_ = nullptr;
  std::optional<Rate> written_message_rate_;  // by the rules as this shard knows them
  std::optional<Rate> written_connection_rate_;
  std::optional<Rate> written_provider_rate_;
  std::string site_key_;
  std::string provider_key_;
  std::shared_ptr<Gcra> message_rate_;
  std::shared_ptr<Gcra> connection_rate_;
  std::unique_ptr<RateWait> provider_wait_;  // where the provider has a message rate
  std::vector<std::unique_ptr<RateWait>> job_waits_;
  Permits permits_;
  Permits dial_permits_;
  Instant message_at_{};
  Instant connection_at_{};
  Bottleneck holdup_ = Bottleneck::kNone;
  uint32_t taken_ = 0;           // slots of the site
  uint32_t provider_taken_ = 0;  // and of the provider
};

}  // namespace sluice
