// Rules of concurrency side by side: ours, its predecessor, Postfix's, none, and one that knows.
//
// Each with what its program does about a site that is down. OWNERSHIP, THREAD: plain values of one
// run. LIMITS. The predecessor and Postfix's rules are models, written from their descriptions:
// Postfix's counts each message delivered as a success, as its connection cache has it; a dead
// destination is left alone for minimal_backoff_time and begins anew.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bench/feedback_world.h"
#include "engine/schedule/back_off.h"
#include "engine/schedule/concurrency.h"

namespace sluice::feedback {

inline constexpr uint32_t kThreshold = 5;
inline constexpr Duration kLongest = 4h;

class Ours : public Rule {
 public:
  explicit Ours(uint64_t seed) : random_(seed) {}
  uint32_t limit(uint32_t policy_limit, uint32_t greeted, Instant now) override {
    return now < back_off_.not_before() ? 0 : concurrency_.limit(policy_limit, now, greeted);
  }
  void greeted(Instant began, uint32_t beside, uint32_t /*greeted*/, uint32_t open,
               uint32_t policy_limit, Instant now) override {
    concurrency_.greeted({began, beside}, open, policy_limit, now);
  }
  void accepted(bool first, uint32_t /*open*/, uint32_t /*policy_limit*/, Instant now) override {
    if (first) back_off_.succeeded();
    concurrency_.accepted(now);
  }
  void failed(const Failure& failure, Instant now) override {
    concurrency_.failed({failure.began, failure.beside}, failure.greeted, failure.dialling, now,
                        random_);
    if (failure.working > 0) return;
    const uint32_t others = failure.dialling + failure.greeted;
    back_off_.failed(failure.began, now, kThreshold, kLongest, random_, others);
  }
  Instant wake_at(Instant now) override {
    if (back_off_.not_before() > now) return back_off_.not_before();
    return concurrency_.probe_at(now);
  }

 private:
  Random random_;
  Concurrency concurrency_;
  BackOff back_off_;
};

// What came before: doubled with each greeting and each message; after a refusal what is greeted,
// and one more after a pause that doubles from 1 s to 5 min.
class Ramp : public Rule {
 public:
  explicit Ramp(uint64_t seed) : random_(seed) {}
  uint32_t limit(uint32_t policy_limit, uint32_t /*greeted*/, Instant now) override {
    if (now < back_off_.not_before()) return 0;
    return std::min(window_ + (careful_ && now >= probe_at_ ? 1 : 0), policy_limit);
  }
  void greeted(Instant /*began*/, uint32_t /*beside*/, uint32_t greeted, uint32_t /*open*/,
               uint32_t policy_limit, Instant now) override {
    greeted_at_ = now;
    if (!careful_) {
      widen(policy_limit);
    } else if (greeted > window_) {
      window_ = greeted;
      pause_ = std::max(pause_ / 2, Duration(1s));
      probe_at_ = now + pause_;
      if (window_ >= policy_limit) careful_ = false;
    }
  }
  void accepted(bool first, uint32_t /*open*/, uint32_t policy_limit, Instant /*now*/) override {
    if (first) back_off_.succeeded();
    if (!careful_) widen(policy_limit);
  }
  void failed(const Failure& failure, Instant now) override {
    count(failure, now);
    if (failure.working == 0) {
      back_off_.failed(failure.began, now, kThreshold, kLongest, random_);
    }
  }
  Instant wake_at(Instant now) override {
    if (back_off_.not_before() > now) return back_off_.not_before();
    return careful_ ? probe_at_ : Instant::min();
  }

 private:
  void widen(uint32_t policy_limit) {
    if (window_ < policy_limit) window_ = std::min(window_ * 2, policy_limit);
  }
  void count(const Failure& failure, Instant now) {
    const bool alive = greeted_at_ != Instant::min() && now - greeted_at_ < 1min;
    if (failure.began < counted_at_) {
      if (careful_ && (alive || failure.greeted > 0)) window_ = std::max(window_, failure.greeted);
      return;
    }
    counted_at_ = now;
    if (failure.greeted == 0 && !alive) {
      careful_ = false;
      window_ = std::max(window_ / 2, 1U);
      return;
    }
    if (!careful_) {
      careful_ = true;
      window_ = std::max(failure.greeted, 1U);
      pause_ = 1s;
    } else if (failure.greeted >= window_) {
      pause_ = std::min(pause_ * 2, Duration(5min));
    } else {
      window_ = std::max({failure.greeted, window_ - 1, 1U});
    }
    probe_at_ = now + pause_;
  }

  Random random_;
  BackOff back_off_;
  uint32_t window_ = 5;
  bool careful_ = false;
  Duration pause_ = 1s;
  Instant probe_at_ = Instant::min();
  Instant counted_at_ = Instant::min();
  Instant greeted_at_ = Instant::min();
};

class Postfix : public Rule {
 public:
  // Feedback of 1/N a delivery, else of 1.
  explicit Postfix(bool by_concurrency) : by_concurrency_(by_concurrency) {}
  uint32_t limit(uint32_t policy_limit, uint32_t /*greeted*/, Instant now) override {
    return now < dead_until_ ? 0 : std::min(window_, policy_limit);
  }
  void accepted(bool /*first*/, uint32_t open, uint32_t policy_limit, Instant /*now*/) override {
    failed_cohorts_ = 0;
    if (window_ >= open + kStart) return;
    for (success_ += feedback(); success_ >= kWhole; success_ -= 1) {
      ++window_;
      failure_ = 0;
    }
    window_ = std::min(window_, policy_limit);
  }
  void failed(const Failure& /*failure*/, Instant now) override {
    if (now < dead_until_) return;
    failed_cohorts_ += 1.0 / window_;
    if (failed_cohorts_ >= kWhole) {
      dead_until_ = now + kDeadFor;
      window_ = kStart;
      success_ = failure_ = failed_cohorts_ = 0;
      return;
    }
    for (failure_ -= feedback(); failure_ < kWhole - 1; failure_ += 1) {
      window_ = std::max(window_ - 1, 1U);
      success_ = 0;
    }
  }
  Instant wake_at(Instant /*now*/) override { return dead_until_; }

 private:
  static constexpr uint32_t kStart = 5;
  static constexpr double kWhole = 1 - 1e-9;  // of so many parts, rounded
  static constexpr Duration kDeadFor = 5min;

  double feedback() const { return by_concurrency_ ? 1.0 / window_ : 1.0; }

  bool by_concurrency_;
  uint32_t window_ = kStart;
  double success_ = 0;
  double failure_ = 0;
  double failed_cohorts_ = 0;
  Instant dead_until_ = Instant::min();
};

// As many as the policy allows, always.
class Fixed : public Rule {
 public:
  uint32_t limit(uint32_t policy_limit, uint32_t /*greeted*/, Instant /*now*/) override {
    return policy_limit;
  }
  Instant wake_at(Instant /*now*/) override { return Instant::min(); }
};

// Knows at each moment what the receiver serves.
class Ideal : public Rule {
 public:
  explicit Ideal(const Receiver& receiver) : receiver_(receiver) {}
  uint32_t limit(uint32_t policy_limit, uint32_t /*greeted*/, Instant now) override {
    const Duration since = now - Instant(1h);
    if (receiver_.is_dead(since)) return 0;
    return std::min(policy_limit, receiver_.served(since));
  }
  // Looks every second.
  Instant wake_at(Instant now) override {
    return Instant(std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()) + 1s);
  }

 private:
  const Receiver& receiver_;
};

}  // namespace sluice::feedback
