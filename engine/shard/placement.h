// From the domains of a segment to the lanes that carry their mail.
//
// PURPOSE. Each shard walks every published segment for the domains that are at home with it,
// resolves them, many at a time and ahead of their rows, and sends each domain (a descriptor, never
// a row) to the shard that owns its site. Domains that cannot be resolved now are parked with a due
// time; what fails for good, or outlives its job's lifetime, is recorded row by row.
// FAIRNESS. Look-ups are begun in turns: job by job, whatever their sizes; within a job a parked
// domain that is due, then the next of its oldest waiting walk, and so on.
// THREAD. The shard's. LIMITS. Limits::resolutions_per_shard look-ups at a time; kWalksAJob
// segments of a job are walked at a time, the others wait on disk; a large job's walks wait while a
// quarter of Limits::cursors_per_shard are in use, everybody's while the owner of a site has so
// many (so a small job is not stuck behind a large one); a parked domain takes 16 octets. BUGS. A
// turn is to begin: while all look-ups under way are of a job whose name servers do not answer,
// another job's first one waits until one of them times out.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "engine/model/route.h"
#include "engine/model/row.h"
#include "engine/ring/crowd.h"
#include "engine/ring/pause.h"
#include "engine/ring/signal.h"
#include "engine/ring/task.h"
#include "engine/schedule/due_queue.h"
#include "engine/shard/open_segment.h"

namespace sluice {

class Shard;

class Placement {
 public:
  explicit Placement(Shard& shard);

  static constexpr uint32_t kWalksAJob = 2;

  // Walks a segment for this shard's domains when those of its job before it are through. `index`
  // may be null: it is read then.
  void add(const SegmentPtr& segment, const IndexPtr& index);
  // Wakes parked domains when they are due; runs until the shard drains.
  Task<> watch_parked();
  void stop();
  // Parked domains of cancelled jobs are let go.
  void wake_parked();

  // Holds on segments for domains that no lane has yet.
  int64_t holds() const { return holds_; }
  // Domains that DNS is being asked for.
  uint32_t resolving_count() const { return resolving_; }

 private:
  // The segments of a job that are walked, and those that wait for it.
  struct Line {
    struct Queued {
      SegmentPtr segment;
      IndexPtr index;  // of the first few
    };
    std::deque<Queued> queued;
    uint32_t walking = 0;
    uint64_t placed = 0;  // domains
  };
  // A walk that wants to resolve its next domain.
  struct Walk {
    Signal signal;
    bool has_slot = false;
  };
  // A job with domains that wait: for their turn, or for their time.
  struct Waiting {
    JobIndex job = 0;
    std::deque<Walk*> walks;
    DueQueue parked;
    bool parked_first = true;  // at its next turn
    bool in_turns = false;
  };

  void queue(Waiting& waiting);
  void give_slots();
  void end_slot();
  bool is_due(const Waiting& waiting) const;
  void place_parked(Waiting& waiting);
  Waiting& waiting_of(JobIndex job);

  void begin_walks(JobIndex job);
  bool is_full(const Line& line) const;
  Task<> walk(SegmentPtr segment, IndexPtr index);
  Task<> walk_domains(OpenSegment& open, IndexPtr index);
  void hold(OpenSegment& open);
  void release(OpenSegment& open);
  Task<> place(OpenSegment& open, uint32_t domain, bool deferred_before);
  Task<> hand_over(SegmentPtr segment, IndexPtr index, uint32_t domain, RoutePtr route,
                   bool deferred_before);
  Task<> record_failure(OpenSegment& open, IndexPtr index, uint32_t domain, RoutePtr route,
                        bool deferred_before);
  Task<> cancel_parked(JobIndex job);
  void park(const SegmentPtr& segment, uint32_t domain, Instant until);

  Shard& shard_;
  uint32_t resolving_ = 0;
  uint32_t sts_waits_ = 0;  // of domains that wait for their MTA-STS policy
  std::map<JobIndex, Waiting> waiting_;
  std::deque<Waiting*> turns_;  // who may begin a look-up, the next first
  int64_t holds_ = 0;
  absl::flat_hash_map<JobIndex, Line> lines_;
  Pause parked_pause_;
  Crowd room_;
};

}  // namespace sluice
