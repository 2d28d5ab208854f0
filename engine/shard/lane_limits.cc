#include "engine/shard/lane_limits.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/defect.h"
#include "engine/shard/job.h"
#include "engine/shard/lane.h"
#include "engine/shard/shard.h"

namespace sluice {
LaneLimits::LaneLimits(Shard& shard, Lane& lane) : shard_(shard), lane_(lane) {}

LaneLimits::~LaneLimits() {
  const Instant now = shard_.now();
  for (const auto& waiter : job_waits_) shard_.turns().leave(*waiter, now);
  leave_scopes();
}

void LaneLimits::leave_scopes() {
  if (provider_wait_) shard_.turns().leave(*provider_wait_, shard_.now());
  provider_wait_.reset();
  if (site_slots_ != nullptr) shard_.turns().leave_slots(*site_slots_, lane_);
  if (provider_slots_ != nullptr) shard_.turns().leave_slots(*provider_slots_, lane_);
  site_slots_ = provider_slots_ = nullptr;
}

void LaneLimits::set(const Shaped& shaped, const std::string& site, const std::string& source) {
  const Instant now = shard_.now();
  Turns& turns = shard_.turns();
  SharedLimits& limits = shard_.peers().shared_limits;
  const uint64_t rules = shard_.rules_in_force();
  if (site_ == nullptr) {
    site_key_ = "site " + site + " source " + source;
    site_ = limits.scope(site_key_);
    site_slots_ = &turns.join_slots(site_key_, site_, lane_);
  }
  const uint32_t beyond = defect(Defect::kOneMoreConnection) ? 1 : 0;
  site_->connections.set_limit(shaped.policy.connection_limit + beyond);
  written_message_rate_ = shaped.policy.max_message_rate;
  written_connection_rate_ = shaped.policy.max_connection_rate;
  written_provider_rate_ = shaped.provider_max_message_rate;
  message_rate_ = site_->message_rate(shaped.policy.max_message_rate, now, rules);
  connection_rate_ = site_->connection_rate(shaped.policy.max_connection_rate, now, rules);
  message_at_ = connection_at_ = {};

  const std::string key =
      shaped.provider.empty() ? "" : "provider " + shaped.provider + " source " + source;
  if (key != provider_key_) {
    CHECK(provider_taken_ <= taken_);
    // Connections that are open stay counted where they were taken.
    for (; provider_taken_ > 0; --provider_taken_) turns.give_slot(*provider_slots_);
    if (provider_slots_ != nullptr) turns.leave_slots(*provider_slots_, lane_);
    provider_slots_ = nullptr;
    provider_ = key.empty() ? nullptr : limits.scope(key);
    provider_key_ = key;
    if (provider_ != nullptr) provider_slots_ = &turns.join_slots(key, provider_, lane_);
  }
  if (provider_ == nullptr) {
    if (provider_wait_) turns.leave(*provider_wait_, now);
    provider_wait_.reset();
    return;
  }
  provider_->connections.set_limit(shaped.provider_connection_limit.value_or(UINT32_MAX));
  const std::shared_ptr<Gcra> rate =
      provider_->message_rate(shaped.provider_max_message_rate, now, rules);
  if (rate == nullptr) {
    if (provider_wait_) turns.leave(*provider_wait_, now);
    provider_wait_.reset();
    return;
  }
  SharedRate& shared = turns.rate_of_provider(provider_, rate, *shaped.provider_max_message_rate);
  if (!provider_wait_) provider_wait_ = std::make_unique<RateWait>(lane_, shared);
}

void LaneLimits::follow_rules(Instant now) {
  const uint64_t rules = shard_.rules_in_force();
  if (message_rate_ != nullptr && message_rate_->retired()) {
    message_rate_ = site_->message_rate(written_message_rate_, now, rules);
  }
  if (connection_rate_ != nullptr && connection_rate_->retired()) {
    connection_rate_ = site_->connection_rate(written_connection_rate_, now, rules);
  }
  if (provider_wait_ && provider_wait_->rate->gcra->retired()) {
    const std::shared_ptr<Gcra> rate = provider_->message_rate(written_provider_rate_, now, rules);
    if (rate != nullptr) {
      shard_.turns().rate_of_provider(provider_, rate, *written_provider_rate_);
    }
  }
}

// --- messages ------------------------------------------------------------------------------------

RateWait* LaneLimits::wait_of(JobIndex job) {
  const auto found = std::find_if(job_waits_.begin(), job_waits_.end(),
                                  [job](const auto& waiter) { return waiter->job == job; });
  return found == job_waits_.end() ? nullptr : found->get();
}

RateWait& LaneLimits::wait_for(const Job& job) {
  if (RateWait* known = wait_of(job.index)) return *known;
  SharedRate& shared =
      shard_.turns().rate_of_job(job.index, job.limits, job.rate, *job.spec.send.rate);
  RateWait& waiter = *job_waits_.emplace_back(std::make_unique<RateWait>(lane_, shared));
  waiter.job = job.index;
  waiter.is_job = true;
  return waiter;
}

bool LaneLimits::expect(const Job& job) {
  if (job.rate == nullptr || wait_of(job.index) != nullptr) return false;
  RateWait& waiter = wait_for(job);
  shard_.turns().wait(waiter, false);
  return true;
}

void LaneLimits::forget(JobIndex job) {
  RateWait* waiter = wait_of(job);
  if (waiter == nullptr) return;
  shard_.turns().leave(*waiter, shard_.now());
  std::erase_if(job_waits_, [job](const auto& known) { return known->job == job; });
}

void LaneLimits::end_turn(RateWait* waiter, Instant now) {
  if (waiter == nullptr) return;
  shard_.turns().break_promise(*waiter);
  if (waiter->baton) shard_.turns().pass(*waiter, now);
}

// Denied: to the head when it was its turn, since another shard was faster.
void LaneLimits::wait_again(RateWait& waiter, Instant now) {
  const bool first = waiter.may_try();
  if (waiter.baton) shard_.turns().pass(waiter, now);
  shard_.turns().wait(waiter, first);
}

// Others go first, or it waits already.
bool LaneLimits::must_wait(RateWait* waiter) {
  if (waiter == nullptr || waiter->may_try()) return false;
  if (!waiter->queued && !shard_.turns().others_wait(*waiter->rate)) return false;
  shard_.turns().wait(*waiter, false);
  return true;
}

LaneLimits::Answer LaneLimits::take_message(const Job& job, Instant now) {
  follow_rules(now);
  if (must_wait(provider_wait_.get())) return Answer::kNotYet;
  RateWait* job_wait = job.rate == nullptr ? nullptr : &wait_for(job);
  if (must_wait(job_wait)) return Answer::kNotThisJob;
  const std::array<Gcra*, 3> limits = {message_rate_.get(),
                                       provider_wait_ ? provider_wait_->rate->gcra.get() : nullptr,
                                       job.rate.get()};
  const std::optional<Denial> denial = permits_.take(limits, now);
  if (!denial || defect(Defect::kIgnoreRate)) {
    for (RateWait* waiter : {provider_wait_.get(), job_wait}) {
      if (waiter == nullptr) continue;
      shard_.turns().on_taken(*waiter->rate);
      end_turn(waiter, now);
    }
    return Answer::kGranted;
  }
  if (denial->which == 2) {
    wait_again(*job_wait, now);
    return Answer::kNotThisJob;
  }
  // Who had its turn and is held up by another limit asks first when that lets it.
  if (job_wait != nullptr && job_wait->baton) shard_.turns().put_off(*job_wait);
  if (denial->which == 1) {
    wait_again(*provider_wait_, now);
  } else {
    message_at_ = denial->at;
    if (provider_wait_ && provider_wait_->baton) shard_.turns().put_off(*provider_wait_);
  }
  return Answer::kNotYet;
}

bool LaneLimits::waits_for_turn() {
  if (!provider_wait_ || provider_wait_->may_try()) return false;
  shard_.turns().wait(*provider_wait_, false);
  return true;
}

// True when the waiter need not be kept.
bool LaneLimits::settle_one(RateWait& waiter, bool may_send, bool has_rows, bool idle) {
  const Instant now = shard_.now();
  if (waiter.baton) {
    if (!may_send || !has_rows || now - waiter.baton_since >= kTurnMax) {
      end_turn(&waiter, now);
    } else if (!idle) {
      shard_.turns().promise(waiter);
    }
  } else if (waiter.promised && (!may_send || !has_rows)) {
    shard_.turns().break_promise(waiter);
  }
  return !waiter.baton && !waiter.queued && !has_rows;
}

void LaneLimits::settle(bool may_send, uint64_t ready, bool idle) {
  if (provider_wait_) (void)settle_one(*provider_wait_, may_send, ready > 0, idle);
  std::erase_if(job_waits_, [&](const auto& waiter) {
    return settle_one(*waiter, may_send, lane_.has_mail_of(waiter->job), idle);
  });
}

bool LaneLimits::is_waiting(JobIndex job) const {
  return std::any_of(job_waits_.begin(), job_waits_.end(),
                     [job](const auto& waiter) { return waiter->job == job && waiter->queued; });
}

uint64_t LaneLimits::rows_beyond_turns(uint32_t most) const {
  uint64_t rows = 0;
  for (const auto& waiter : job_waits_) {
    const uint64_t here = waiter->may_try() ? lane_.rows_ready_of(waiter->job, most) : 0;
    if (here > 1) rows += here - 1;
  }
  return rows;
}

bool LaneLimits::has_turn() const {
  return (provider_wait_ && provider_wait_->baton) ||
         std::any_of(job_waits_.begin(), job_waits_.end(),
                     [](const auto& waiter) { return waiter->baton; });
}

Bottleneck LaneLimits::message_holdup(Instant now) const {
  if (message_at_ > now) return Bottleneck::kMessageRate;
  if (provider_wait_ && provider_wait_->queued) return Bottleneck::kProviderMessageRate;
  const bool jobs_wait = std::any_of(job_waits_.begin(), job_waits_.end(),
                                     [](const auto& waiter) { return waiter->queued; });
  return jobs_wait ? Bottleneck::kJobRate : Bottleneck::kNone;
}

// --- connections ---------------------------------------------------------------------------------

bool LaneLimits::take_connection(Instant now) {
  follow_rules(now);
  Turns& turns = shard_.turns();
  if (connection_rate_ != nullptr) {
    connection_at_ = connection_rate_->peek(now);
    if (connection_at_ > now) {
      want_no_connection();
      holdup_ = Bottleneck::kConnectionRate;
      return false;
    }
  }
  if (!turns.take_slot(*site_slots_, lane_)) {
    holdup_ = Bottleneck::kConnectionLimit;
    return false;
  }
  if (provider_slots_ != nullptr && !turns.take_slot(*provider_slots_, lane_)) {
    turns.give_slot(*site_slots_);
    holdup_ = Bottleneck::kProviderConnectionLimit;
    return false;
  }
  ++taken_;
  if (provider_slots_ != nullptr) ++provider_taken_;
  if (!take_dial(now)) {
    give_back_connection();
    holdup_ = Bottleneck::kConnectionRate;
    return false;
  }
  holdup_ = Bottleneck::kNone;
  return true;
}

void LaneLimits::give_back_connection() {
  CHECK(taken_ > 0);
  if (--taken_ < provider_taken_) {
    --provider_taken_;
    shard_.turns().give_slot(*provider_slots_);
  }
  shard_.turns().give_slot(*site_slots_);
}

void LaneLimits::undo_connection(Instant now) {
  dial_permits_.give_back(now);
  give_back_connection();
}

bool LaneLimits::take_dial(Instant now) {
  const std::array<Gcra*, 1> limits = {connection_rate_.get()};
  const std::optional<Denial> denial = dial_permits_.take(limits, now);
  if (!denial) return true;
  connection_at_ = denial->at;
  return false;
}

void LaneLimits::want_no_connection() {
  holdup_ = Bottleneck::kNone;
  if (site_slots_ != nullptr) shard_.turns().stop_waiting(*site_slots_, lane_);
  if (provider_slots_ != nullptr) shard_.turns().stop_waiting(*provider_slots_, lane_);
}

bool LaneLimits::is_slot_wanted() const {
  return shard_.turns().is_wanted(*site_slots_, lane_) || is_provider_slot_wanted();
}

bool LaneLimits::is_provider_slot_wanted() const {
  return provider_slots_ != nullptr && shard_.turns().is_wanted(*provider_slots_, lane_);
}

bool LaneLimits::is_wanted_by_poorer(uint32_t kept) const {
  return std::any_of(provider_slots_->waiting.begin(), provider_slots_->waiting.end(),
                     [&](const Lane* waiting) { return waiting->connections_open() + 1 < kept; });
}

uint32_t LaneLimits::fair_share() const {
  const uint32_t own = site_->waiting.contains(shard_.number()) ? 1 : 0;
  const uint32_t shards = 1 + site_->waiting.count() - own;
  // Other terms of TLS make other lanes, which wait in the same queue.
  const auto others =
      static_cast<uint32_t>(site_slots_->waiting.size() -
                            static_cast<size_t>(std::count(site_slots_->waiting.begin(),
                                                           site_slots_->waiting.end(), &lane_)));
  const uint32_t shares = shards * (1 + others);
  return std::max((site_->connections.limit() + shares - 1) / shares, 1U);
}

}  // namespace sluice
