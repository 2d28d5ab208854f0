// A site with more work than one core can carry, spread over several.
//
// PURPOSE. Each shard measures how busy it is. One that has been busy all the time looks for the
//   lane with the most mail ready and tells the least busy other shard of it. That one dials
//   connections of its own, under the same limits (lane_limits.h), and pulls ranges of rows for
//   them: at most kRangeRows, fewer towards the end, so that all end at about the same time.
// WHAT CROSSES. Descriptors: the route, and (segment, block, rows). Rows that were pulled stay with
//   whom they went to until they are final: their retries are made there.
// OWNERSHIP. The shard's.
// THREAD. The shard's; others reach it through Peers::post().
// LIMITS. A helper asks for its next range when half of the last is used up, one at a time. A site
//   is spread over at most as many shards as it may have connections.
// BUGS. Only first attempts are given away. Rows of a job of low priority may be sent by a helper
//   while the site's own shard still has some of higher: a helper pulls whole ranges.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/route.h"
#include "engine/shard/job.h"
#include "engine/shard/tls_terms.h"

namespace sluice {

class Lane;
class Shard;

// Rows [..] of one block, as the lane's queue has them: the last so many that wait.
struct GivenRows {
  SegmentPtr segment;
  uint32_t block = 0;
  uint32_t rows = 0;
  uint64_t domain = 0;    // domain_turn() of its name
  bool deferred = false;  // counted as deferred: DNS had no answer at first
};

class Spread {
 public:
  static constexpr Duration kLook = std::chrono::milliseconds(50);
  static constexpr uint64_t kRangeRows = 1'000;
  // Fewer ready rows are not worth a handshake elsewhere.
  static constexpr uint64_t kWorthIt = 512;

  explicit Spread(Shard& shard) : shard_(shard) {}

  // At each turn of the loop: `waited` is how long it was in the kernel.
  void on_turn(Instant now, Duration waited);

  // On a helper: mail of this site may be pulled from `owner`; 0 rows: no more.
  void offered(const RoutePtr& route, const std::string& domain, uint32_t source,
               const LaneTerms& terms, uint64_t rows);
  // On a helper: asks the site's own shard for rows. False when it could not be asked.
  bool pull(const Lane& lane);
  // On the site's own shard.
  void asked(const std::string& site, uint32_t source, const LaneTerms& terms, uint32_t helper);
  // On a helper: what was asked for, and how many more there are.
  void given(const std::string& site, uint32_t source, const LaneTerms& terms,
             const std::vector<GivenRows>& ranges, uint64_t left);

 private:
  void look();
  Lane* fullest_lane() const;

  Shard& shard_;
  Instant looked_at_{};
  Duration waited_{};
  Duration cpu_time_{};
  double busy_ = 0;
};

}  // namespace sluice
