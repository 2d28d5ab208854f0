// What a lane waited for lately: time, by reason, halved every five seconds, so that it tells of
// about the last ten.
//
// set() on every change of the reason; the time until the next one counts for it. Time in which
// nothing waited (kNone) counts for nothing.
// Pure; one thread; 96 octets. O(1), but for the halving once in five seconds. Exact to 4 ns a
// change.
#pragma once

#include <array>
#include <cstdint>

#include "engine/base/time.h"
#include "engine/model/bottleneck.h"

namespace sluice {

class WaitTally {
 public:
  static constexpr Duration kHalving = std::chrono::seconds(5);

  // `now` never goes back.
  void set(Bottleneck why, Instant now);
  Bottleneck current() const { return why_; }

  // What most of the waiting was for; kNone when nothing waited lately.
  Bottleneck dominant(Instant now) const;
  // Of the time in which anything waited: 0 to 1.
  double share(Bottleneck why, Instant now) const;

 private:
  // So many nanoseconds are 1; what a reason can gather stays below 2^32.
  static constexpr int64_t kUnit = 4;

  void count_until(Instant now);

  std::array<uint32_t, kBottlenecks> spent_{};
  Instant since_{};
  Instant halve_at_{};
  Bottleneck why_ = Bottleneck::kNone;
};
static_assert(sizeof(WaitTally) <= 100);

// What a lane looks like from outside, for bottleneck_of().
struct LaneFacts {
  uint64_t rows_waiting = 0;  // that may go at once, or as soon as a limit lets them
  uint64_t rows_deferred = 0;
  uint64_t rows_loaded = 0;       // of the waiting ones, read from the disk
  bool halted = false;            // the journal cannot be written, or takes no more
  bool paused = false;            // the site, or all jobs that have mail here
  bool refused = false;           // a pause after refusals of the source
  bool backing_off = false;       // cannot be reached
  bool reading = false;           // rows are on their way from the disk
  uint32_t connections = 0;       // that exist
  uint32_t idle = 0;              // of these, greeted and without a message
  uint32_t connection_limit = 0;  // 0: none
  // What denied the last permit, while that still holds; else kNone.
  Bottleneck message_denied = Bottleneck::kNone;     // kMessageRate, kProviderMessageRate, kJobRate
  Bottleneck connection_denied = Bottleneck::kNone;  // kConnectionRate, kProviderConnectionLimit,
                                                     // kMaxConnections
};

// Why this lane's mail is not further, now. What stops everything goes before what slows it down,
// and a message's permit before a connection's: one connection is enough for a slow rate.
Bottleneck bottleneck_of(const LaneFacts& facts);

}  // namespace sluice
