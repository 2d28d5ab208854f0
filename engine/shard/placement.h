// From the domains of a segment to the lanes that carry their mail.
//
// PURPOSE. Each shard walks every published segment for the domains that are at home with it,
// resolves them, many at a time, and sends each domain (a descriptor, never a row) to the shard
// that owns its site. Domains that cannot be resolved now are parked with a due time; what fails
// for good, or outlives its job's lifetime, is recorded row by row. THREAD. The shard's. LIMITS.
// Limits::resolutions_per_shard look-ups at a time; walking waits while the owner of a site has
// Limits::cursors_per_shard cursors; a parked domain takes 16 octets.
#pragma once

#include <cstdint>
#include <string>

#include "engine/model/route.h"
#include "engine/ring/crowd.h"
#include "engine/ring/pause.h"
#include "engine/ring/task.h"
#include "engine/schedule/due_queue.h"
#include "engine/shard/job.h"

namespace sluice {

class Shard;

class Placement {
 public:
  explicit Placement(Shard& shard);

  // Walks a segment for this shard's domains.
  Task<> walk(SegmentPtr segment);
  // Wakes parked domains when they are due; runs until the shard drains.
  Task<> watch_parked();
  void stop();
  // Parked domains of cancelled jobs are let go.
  void wake_parked();

  uint32_t parked_count() const { return parked_.size(); }

 private:
  Task<> place(SegmentPtr segment, uint32_t domain, bool deferred_before);
  Task<> hand_over(SegmentPtr segment, uint32_t domain, RoutePtr route, bool deferred_before);
  Task<> record_failure(SegmentPtr segment, uint32_t domain, RoutePtr route, bool deferred_before);
  void park(const SegmentPtr& segment, uint32_t domain, Instant until);

  Shard& shard_;
  uint32_t resolving_ = 0;
  Crowd slot_free_;
  DueQueue parked_;
  Pause parked_pause_;
  Crowd room_;
};

}  // namespace sluice
