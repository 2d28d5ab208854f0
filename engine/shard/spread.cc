#include "engine/shard/spread.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/shard/shard.h"

namespace sluice {
namespace {

// Above: more work than it can carry. Below: it could carry some of another's.
constexpr double kBusy = 0.9;
constexpr double kIdle = 0.75;

}  // namespace

void Spread::on_turn(Instant now, Duration waited) {
  waited_ += waited;
  if (looked_at_ == Instant{}) looked_at_ = now;
  const Duration passed = now - looked_at_;
  if (passed < kLook) return;
  // Another process may have had the core, and the kernel works while this thread is in it: the
  // larger of both is how much there was to do.
  const Duration cpu_time = shard_.io().cpu_time();
  const Duration busy = std::max(passed - std::min(waited_, passed), cpu_time - cpu_time_);
  const double share =
      std::min(1.0, static_cast<double>(busy.count()) / static_cast<double>(passed.count()));
  // After one long wait what came before says nothing of now.
  busy_ = passed > 4 * kLook ? share : (busy_ + share) / 2;
  looked_at_ = now;
  waited_ = {};
  cpu_time_ = cpu_time;
  Peers::Load& load = shard_.peers().loads[shard_.number()];
  load.busy.store(static_cast<uint32_t>(busy_ * 1'000), std::memory_order_relaxed);
  load.at.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  if (busy_ >= kBusy && shard_.peers().shard_count > 1 && !shard_.draining()) look();
}

Lane* Spread::fullest_lane() const {
  Lane* fullest = nullptr;
  uint64_t most = kWorthIt - 1;
  shard_.for_each_lane([&](Lane& lane) {
    if (shard_.peers().owner_of(lane.site().name) != shard_.number()) return;
    const uint64_t rows = lane.rows_to_spread();
    if (rows <= most) return;
    most = rows;
    fullest = &lane;
  });
  return fullest;
}

void Spread::look() {
  Peers& peers = shard_.peers();
  uint32_t helper = shard_.number();
  double least = kIdle;
  for (uint32_t number = 0; number < peers.shard_count; ++number) {
    const double busy = peers.busy(number, shard_.now());
    if (number == shard_.number() || busy > least) continue;
    least = busy;
    helper = number;
  }
  if (helper == shard_.number()) return;
  const Lane* lane = fullest_lane();
  if (lane == nullptr) return;
  Shard* target = peers.shards[helper];
  // Lost when its mailbox is full: it is not idle then.
  (void)peers.post(helper,
                   [target, route = lane->site().route, domain = lane->site().domain,
                    source = lane->source(), terms = lane->terms(), rows = lane->rows_to_spread()] {
                     target->spread().offered(route, domain, source, terms, rows);
                   });
}

void Spread::offered(const RoutePtr& route, const std::string& domain, uint32_t source,
                     const LaneTerms& terms, uint64_t rows) {
  if (shard_.draining()) return;
  shard_.lane_for(route, domain, source, terms).offer(rows);
}

bool Spread::pull(const Lane& lane) {
  Peers& peers = shard_.peers();
  const uint32_t owner = peers.owner_of(lane.site().name);
  Shard* shard = peers.shards[owner];
  return peers.post(
      owner, [shard, site = lane.site().name, source = lane.source(), terms = lane.terms(),
              helper = shard_.number()] { shard->spread().asked(site, source, terms, helper); });
}

void Spread::asked(const std::string& site, uint32_t source, const LaneTerms& terms,
                   uint32_t helper) {
  Lane* lane = shard_.draining() ? nullptr : shard_.find_lane(site, source, terms);
  std::vector<Cursor> cursors;
  uint64_t left = 0;
  if (lane != nullptr && lane->rows_to_spread() > 0) {
    const uint64_t fair = lane->rows_to_spread() / (2 * shard_.peers().shard_count);
    cursors = lane->take_range(std::clamp<uint64_t>(fair, 1, kRangeRows));
    left = lane->rows_to_spread();
  }
  std::vector<GivenRows> ranges;
  for (const Cursor& cursor : cursors) {
    const OpenSegment& segment = *shard_.find_segment(cursor.segment_ref);
    ranges.push_back({segment.segment, cursor.block, cursor.rows, cursor.domain,
                      segment.is_deferred(cursor.block)});
  }
  Shard* target = shard_.peers().shards[helper];
  const bool sent = shard_.peers().post(helper, [target, site, source, terms, ranges, left] {
    target->spread().given(site, source, terms, ranges, left);
  });
  for (const Cursor& cursor : cursors) {
    if (!sent) {
      CHECK(lane != nullptr);
      lane->add_back(cursor);
      continue;
    }
    OpenSegment& segment = *shard_.find_segment(cursor.segment_ref);
    shard_.hold(segment, 1 - static_cast<int64_t>(cursor.rows));
    shard_.release(segment);
    shard_.peers().cursors[shard_.number()].value.fetch_sub(1);
  }
}

void Spread::given(const std::string& site, uint32_t source, const LaneTerms& terms,
                   const std::vector<GivenRows>& ranges, uint64_t left) {
  if (shard_.draining()) return;
  Lane* lane = shard_.find_lane(site, source, terms);
  CHECK(lane != nullptr);
  for (const GivenRows& given : ranges) shard_.receive_rows(*lane, given);
  lane->on_pulled(left);
}

}  // namespace sluice
