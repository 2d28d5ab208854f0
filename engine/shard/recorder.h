// Verdicts on their way to being believed.
//
// PURPOSE. A verdict is appended to the shard's journal; once it is durable the counters move, a
// final row is done, a deferred one goes back to its lane with its due time. Retry and expiry are
// decided here, so every deferred verdict passes one place.
// THREAD. The shard's. ERRORS. A journal that fails halts sending on all shards (Peers::halted).
// LIMITS. Limits::uncommitted_verdicts_max, held by full().
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "engine/base/latency.h"
#include "engine/model/outcome.h"
#include "engine/record/journal.h"
#include "engine/shard/lane.h"

namespace sluice {

class Shard;

// A row that was taken out of waiting or deferred, and what its attempt was.
struct Judged {
  OpenSegment* segment = nullptr;
  SegmentRow number = 0;
  Lane* lane = nullptr;    // where it goes when deferred; null: its domain is not placed yet
  uint32_t attempts = 0;   // made, with this one; 0: judged without an attempt
  WallTime first_at{};     // zero: never attempted
  Instant taken_at{};      // when it came in flight
  bool in_flight = false;  // counted as such; else still counted as waiting or deferred
};

class Recorder final : public JournalListener {
 public:
  explicit Recorder(Shard& shard) : shard_(shard) {}

  // Start no new message.
  bool full() const;
  // The state in which a row is counted that is not in flight and not final.
  static State resting_state(WallTime first_at) {
    return first_at == WallTime{} ? State::kWaiting : State::kDeferred;
  }

  // Counts a row as in flight.
  void take(const OpenSegment& segment, WallTime first_at);
  // `verdict` of kWaiting: not attempted; the row goes back at once and nothing is recorded.
  // `attempt` has the facts of the connection and, as first_at, the date that its message bears;
  // number, times and next_at are filled in here.
  void record(const Judged& judged, Verdict verdict, Attempt attempt);

  // From taken to durably recorded, of those that were in flight.
  const LatencyCounts& latency() const { return latency_; }
  // Rows of a job that are answered and not yet believed.
  void append_unsynced(JobIndex job, std::vector<RowPlace>& out) const;

  void on_committed(std::span<const CommittedVerdict> verdicts) override;
  void on_job_event_committed(JobIndex job, JobEvent event) override;
  void on_stalled(const Status& status) override;
  void on_resumed() override;
  void on_failed(const Status& status) override;

 private:
  struct Pending {
    OpenSegment* segment;
    Lane* lane;
    State from;
    SegmentRow row;
    Instant taken_at;
  };
  void give_back(const Judged& judged);
  bool decide_retry(const Judged& judged, Verdict& verdict, Attempt& attempt);

  Shard& shard_;
  std::deque<Pending> pending_;  // as many as the journal has uncommitted, in the same order
  LatencyCounts latency_;
  bool was_full_ = false;
};

}  // namespace sluice
