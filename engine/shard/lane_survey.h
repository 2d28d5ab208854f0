// LaneSurvey: a look at all lanes of a shard for status, a slice a turn.
//
// The lanes where most rows wait are told one by one, the others as one together: what a look costs
// the shard is bounded by Limits::lanes_told a shard and about 0.2 us for each further lane, and
// mail goes on between the slices (kLanesASlice). While a survey lives the shard forgets no site.
// OWNERSHIP. The shard outlives it. THREAD. That shard's.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "engine/ring/task.h"
#include "engine/shard/lane_status.h"

namespace sluice {

class Lane;
class Shard;

class LaneSurvey {
 public:
  static constexpr size_t kSitesASlice = 2'000;
  static constexpr size_t kToldASlice = 100;

  explicit LaneSurvey(Shard& shard);
  ~LaneSurvey();
  LaneSurvey(const LaneSurvey&) = delete;
  LaneSurvey& operator=(const LaneSurvey&) = delete;

  // Goes on by a slice. False once all is said.
  bool next();
  // REQUIRES: next() gave false.
  std::vector<LaneStatus> take() { return std::move(told_); }

 private:
  struct Seen {
    uint64_t rows = 0;
    const Lane* lane = nullptr;
  };
  void rank();

  Shard& shard_;
  size_t site_ = 0;  // the next to be looked at
  std::vector<Seen> seen_;
  size_t ranked_ = 0;  // of seen_, told one by one; 0: not ranked yet
  size_t at_ = 0;      // the next of seen_ to be told
  std::vector<LaneStatus> told_;
  LaneStatus others_;
};

// The whole of it, others getting their turns in between; `done` is called once, on this shard.
Task<> survey_lanes(Shard& shard, std::function<void(std::vector<LaneStatus>)> done);

}  // namespace sluice
