// How well a name server has served, and which of several is asked first.
//
// PURPOSE. The fastest healthy server first. One that fails is rested: asked only when no other is
//   left, but for one probe when its rest is over. Rests double from kRestMin to kRestMax; an
//   answer ends them. A healthy server that is not the first gets a probe once kMeasureEvery, or it
//   would never be known to have become the fastest.
// A probe is a question that another server is asked as well: nobody waits for a bad server.
// Pure, no clock. THREAD: any, one at a time. OWNERSHIP: values. ERRORS: none.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "engine/base/time.h"

namespace sluice {

class ServerHealth {
 public:
  static constexpr Duration kRestMin = std::chrono::seconds(1);
  static constexpr Duration kRestMax = std::chrono::seconds(60);
  static constexpr Duration kMeasureEvery = std::chrono::seconds(60);

  // It answered what it was asked at `asked`.
  void answered(Instant asked, Instant now);
  // It did not, or not usefully. What was asked before its rest began is the failure that is known.
  void failed(Instant asked, Instant now);

  bool is_resting() const { return failures_ > 0; }
  // Smoothed; nothing before the first answer.
  std::optional<Duration> latency() const { return latency_; }
  // Whether the next question is to be a probe of it as well.
  bool probe_due(Instant now) const { return !probing_ && now >= probe_at_; }
  void probe_begins() { probing_ = true; }
  void probe_ended() { probing_ = false; }

  // Whether this one is asked before that one.
  bool precedes(const ServerHealth& other) const;

 private:
  std::optional<Duration> latency_;
  uint32_t failures_ = 0;  // rests in a row
  Instant rest_began_{};
  Instant probe_at_{};
  bool probing_ = false;
};

}  // namespace sluice
