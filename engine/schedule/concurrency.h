// How many connections a lane may have, open and being dialled: feedback from what becomes of them.
//
// PURPOSE. Finds the number that a receiver serves, which nobody tells, with few refusals; does not
// mistake a bad minute for a limit, nor stay low after it. The argument, the pseudocode and what it
// measures beside others: FEEDBACK.md.
//   Until trouble is seen the window is twice what is greeted. From then on it widens by one for
//   each window of messages accepted (positive feedback 1/N), and after a refusal beyond it not
//   before a pause, which doubles from 1 s to 5 min. A refusal where more than ever are tried is
//   believed at once; of those within what was served, the first in a window's worth narrows it by
//   one (negative feedback 1/N, reversed hysteresis), and a whole cohort without a greeting in
//   between narrows it to what is left. Where no failure was forgiven of late a widening is on
//   trial: the next failure takes it back and its pause goes on doubling.
// OWNERSHIP. A plain value, one a lane. THREAD. The lane's shard's. ERRORS. None.
// LIMITS. The window is at least 1 and at most the largest connection_limit that was handed in.
// BUGS. Replies' times are not in it: a receiver that slows down and refuses nobody gets as many
// connections as the policy allows. A site that is spread over shards has a window on each.
#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/random.h"
#include "engine/base/time.h"

namespace sluice {

class Concurrency {
 public:
  static constexpr uint32_t kStart = 5;
  // No cohort is smaller, however narrow the window and few those tried side by side.
  static constexpr uint32_t kCohortMin = 10;
  static constexpr Duration kPauseMin = std::chrono::seconds(1);
  static constexpr Duration kPauseMax = std::chrono::minutes(5);
  // Nothing is dialled for so long when all that were tried side by side have failed, or so many
  // one after the other, and after each failure where nobody answers: the others tell first. Then
  // one is dialled at a time, and one more for each that is greeted. The next hold is twice as
  // long until one is.
  static constexpr uint32_t kHoldFrom = 3;
  static constexpr Duration kHold = std::chrono::milliseconds(250);
  static constexpr Duration kHoldMax = std::chrono::seconds(2);
  // Who was greeted within this is not down, even when no connection is open.
  static constexpr Duration kAliveFor = std::chrono::minutes(1);

  // A connection attempt, as its lane keeps it.
  struct Attempt {
    Instant began{};
    uint32_t beside = 0;  // connections that were open or being dialled when it began
  };

  // How many may be open at `now`, while `greeted` are; 0 while nothing is to be dialled.
  uint32_t limit(uint32_t connection_limit, Instant now, uint32_t greeted = UINT32_MAX) const {
    if (now < held_until_) return 0;
    const uint32_t tried =
        greeted > UINT32_MAX - dialled_max_ ? UINT32_MAX : greeted + dialled_max_;
    return std::min({window_ + (may_try(now) ? 1 : 0), tried, connection_limit});
  }
  // An attempt was greeted; `open`: it, others that were, and those being dialled.
  void greeted(const Attempt& attempt, uint32_t open, uint32_t connection_limit, Instant now);
  // A message was accepted. True when limit() has risen by that.
  bool accepted(Instant now);
  // An attempt failed while `greeted` others were open and `dialling` others being tried.
  void failed(const Attempt& attempt, uint32_t greeted, uint32_t dialling, Instant now,
              Random& random);
  // When limit() next rises by the clock alone; Instant::min() when it does not.
  Instant probe_at(Instant now) const;

  // --- for status
  // True when the receiver has shown a limit, or trouble, below the policy's.
  bool is_held_back() const { return trouble_; }
  uint32_t window() const { return window_; }

 private:
  bool may_try(Instant now) const { return trouble_ && accepted_ >= window_ && now >= probe_at_; }
  uint32_t feedback_length() const { return std::max(window_, kCohortMin); }
  // It began when as many were open as the window allowed.
  bool is_beyond(const Attempt& attempt) const {
    return trouble_ && attempt.beside >= window_ && attempt.began >= changed_at_;
  }
  void hold(const Attempt& attempt, Instant now, Random& random);
  void set_window(uint32_t window, Instant now);
  void on_refusal(const Attempt& attempt, uint32_t others, Instant now, Random& random);
  void take_back(Instant now, Random& random);
  void on_failed_cohort(uint32_t others, Instant now, Random& random);

  uint32_t window_ = kStart;
  uint32_t served_ = 0;    // the most that were seen to be served at once
  bool trouble_ = false;   // a refusal was seen since the window last was the policy's limit
  uint32_t misses_ = 0;    // failures in a row, without a greeting
  uint32_t cohort_ = 0;    // how many were being tried at the first of them
  uint32_t forgiven_ = 0;  // further failures that cost nothing
  uint32_t clean_ = 0;     // greetings in a row, without a failure
  uint32_t accepted_ = 0;  // messages, since the window last changed; at most the window
  uint32_t dialled_max_ = UINT32_MAX;  // at a time
  bool refused_ = false;               // the last try beyond the window
  bool noisy_ = false;                 // a failure within the window, and no clean cohort since
  bool on_trial_ = false;              // the last widening: the next failure takes it back
  Duration pause_ = kPauseMin;
  Duration pause_before_ = kPauseMin;  // that widening
  Duration hold_ = kHold / 2;          // the last, doubled by the next
  Instant probe_at_ = Instant::min();
  Instant held_until_ = Instant::min();
  Instant changed_at_ = Instant::min();  // the window, or a refusal beyond it was counted
  Instant greeted_at_ = Instant::min();
};

}  // namespace sluice
