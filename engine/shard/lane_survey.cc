#include "engine/shard/lane_survey.h"

#include <algorithm>
#include <utility>

#include "engine/shard/lane.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// So many lanes before it is looked at, a lane's memory is fetched.
constexpr size_t kBehind = 8;

}  // namespace

LaneSurvey::LaneSurvey(Shard& shard) : shard_(shard) {
  shard_.hold_sites();
  others_.site = kOtherSites;
  others_.lanes = 0;
  others_.shard = shard_.number();
  others_.as_of = shard_.wall_now();
}

LaneSurvey::~LaneSurvey() { shard_.release_sites(); }

bool LaneSurvey::next() {
  const size_t sites = shard_.site_count();
  if (site_ < sites) {
    const size_t end = std::min(sites, site_ + kSitesASlice);
    for (; site_ < end; ++site_) {
      shard_.fetch_sites_behind(site_);
      shard_.for_each_lane_at(site_, [this](const Lane& lane) {
        seen_.push_back({lane.rows_waiting(), &lane});
      });
    }
    return true;
  }
  if (at_ == 0) rank();
  const size_t end = std::min(seen_.size(), at_ + (at_ < ranked_ ? kToldASlice : kSitesASlice));
  for (; at_ < end; ++at_) {
    const Lane& lane = *seen_[at_].lane;
    if (at_ < ranked_) {
      told_.push_back(lane.status());
    } else {
      if (at_ + kBehind < seen_.size()) seen_[at_ + kBehind].lane->fetch_counts();
      lane.add_to(others_);
    }
  }
  if (at_ < seen_.size()) return true;
  if (others_.lanes > 0) told_.push_back(std::move(others_));
  return false;
}

void LaneSurvey::rank() {
  ranked_ = std::min<size_t>(seen_.size(), shard_.limits().lanes_told);
  if (ranked_ == seen_.size()) return;
  std::nth_element(seen_.begin(), seen_.begin() + static_cast<std::ptrdiff_t>(ranked_), seen_.end(),
                   [](const Seen& a, const Seen& b) { return a.rows > b.rows; });
}

Task<> survey_lanes(Shard& shard, std::function<void(std::vector<LaneStatus>)> done) {
  LaneSurvey survey(shard);
  while (survey.next()) co_await yield();
  done(survey.take());
}

}  // namespace sluice
