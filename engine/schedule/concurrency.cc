#include "engine/schedule/concurrency.h"

#include "engine/schedule/retry.h"

namespace sluice {

void Concurrency::greeted(const Attempt& attempt, uint32_t open, uint32_t connection_limit,
                          Instant now) {
  greeted_at_ = now;
  misses_ = 0;
  held_until_ = Instant::min();
  hold_ = kHold / 2;
  // Opened again as at the start: each that is greeted makes room for one more beside it.
  if (dialled_max_ != UINT32_MAX && (!trouble_ || ++dialled_max_ > window_)) {
    dialled_max_ = UINT32_MAX;
  }
  // Connections are let in as they come: those begun before it are served, or gone by now.
  const uint32_t level = std::min(attempt.beside + 1, open);
  if (++clean_ >= feedback_length()) {
    clean_ = 0;
    forgiven_ = 0;
    noisy_ = on_trial_ = false;
  }
  if (!trouble_) {
    const uint32_t twice = std::max(level > UINT32_MAX / 2 ? UINT32_MAX : 2 * level, kStart);
    window_ = std::max(window_, std::min(twice, connection_limit));
  } else if (is_beyond(attempt) && level > window_) {
    // Where failures within the window come and go, one more of them proves nothing.
    on_trial_ = !on_trial_ && !noisy_;
    if (on_trial_) pause_before_ = pause_;
    refused_ = false;
    pause_ = kPauseMin;
    probe_at_ = now;
    set_window(window_ + 1, now);
  }
  served_ = std::max(served_, std::min(level, window_));
  if (window_ >= connection_limit) {
    trouble_ = on_trial_ = false;
    pause_ = kPauseMin;
  }
}

bool Concurrency::accepted(Instant now) {
  if (!trouble_ || accepted_ >= window_) return false;
  return ++accepted_ == window_ && may_try(now);
}

void Concurrency::failed(const Attempt& attempt, uint32_t greeted, uint32_t dialling, Instant now,
                         Random& random) {
  const uint32_t others = greeted + dialling;
  const bool alive =
      greeted > 0 || (greeted_at_ != Instant::min() && now - greeted_at_ < kAliveFor);
  // Of those that were let in as they came it was the one after so many.
  const uint32_t level = std::min(attempt.beside, others);
  if (alive && (is_beyond(attempt) || level >= served_)) {
    on_refusal(attempt, others, now, random);
    return;
  }
  clean_ = 0;
  if (misses_++ == 0) cohort_ = dialling + 1;
  if (!alive || misses_ >= std::max(cohort_, kHoldFrom)) hold(attempt, now, random);
  if (!alive) {
    if (misses_ < cohort_) return;
    // Nobody answers: one at a time, and from the start again when one is greeted.
    set_window(1, now);
    trouble_ = noisy_ = on_trial_ = false;
    served_ = forgiven_ = 0;
    return;
  }
  if (on_trial_) {
    take_back(now, random);
    return;
  }
  trouble_ = noisy_ = true;
  if (misses_ >= std::max(cohort_, kCohortMin)) {
    on_failed_cohort(others, now, random);
  } else if (forgiven_ > 0) {
    --forgiven_;
  } else {
    set_window(window_ - 1, now);
    forgiven_ = feedback_length();
  }
}

// Attempts that were begun before the last hold met what it was for.
void Concurrency::hold(const Attempt& attempt, Instant now, Random& random) {
  dialled_max_ = 1;
  if (attempt.began >= held_until_) hold_ = std::min(hold_ * 2, kHoldMax);
  held_until_ = now + jittered(hold_, random);
}

void Concurrency::set_window(uint32_t window, Instant now) {
  window_ = std::max(window, 1U);
  served_ = std::min(served_, window_);
  accepted_ = 0;
  changed_at_ = now;
}

// More than ever were tried: what was refused is beyond the limit.
void Concurrency::on_refusal(const Attempt& attempt, uint32_t others, Instant now, Random& random) {
  const bool beyond = is_beyond(attempt);
  const bool counts = attempt.began >= changed_at_;
  set_window(beyond ? window_ : std::min(window_, others), now);
  if (!counts) return;
  if (!beyond) {
    pause_ = kPauseMin;
  } else if (refused_) {
    pause_ = std::min(pause_ * 2, kPauseMax);
  }
  refused_ = beyond;
  trouble_ = true;
  probe_at_ = now + jittered(pause_, random);
}

// The connection by which the window was widened had slipped in beside one that was ending.
void Concurrency::take_back(Instant now, Random& random) {
  on_trial_ = false;
  refused_ = true;
  pause_ = std::min(pause_before_ * 2, kPauseMax);
  probe_at_ = now + jittered(pause_, random);
  set_window(window_ - 1, now);
}

// No more than the others are served now.
void Concurrency::on_failed_cohort(uint32_t others, Instant now, Random& random) {
  pause_ = kPauseMin;
  set_window(std::min(window_, others), now);
  served_ = window_;
  forgiven_ = feedback_length();
  probe_at_ = now + jittered(pause_, random);
}

Instant Concurrency::probe_at(Instant now) const {
  if (now < held_until_) return held_until_;
  const bool waits = trouble_ && accepted_ >= window_ && now < probe_at_;
  return waits ? probe_at_ : Instant::min();
}

}  // namespace sluice
