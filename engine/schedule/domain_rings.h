// First attempts of many jobs at many domains: one ring of domains a job.
//
// PURPOSE. Gives a job's domains in turn, one block of rows each, and the blocks of a domain in the
// order in which they came: a domain of 600 blocks does not hold up the one-row domain behind it.
// OWNERSHIP. Plain values. The owner keeps for each job the number of its ring, kNoSlot at first
// and whenever it has no cursor; only functions of this class change it.
// THREAD. One shard's.
// ERRORS. None.
// LIMITS. All operations are O(1), whatever the number of jobs, domains and cursors (add() on
// average: tables grow). 16 octets a cursor, 24 a domain with cursors and 5 to 11 to find it.
// BUGS. Two domains of a job with equal hashes share a turn.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/model/row.h"
#include "engine/schedule/slot_pool.h"

namespace sluice {

// A block of rows of one domain in a segment: first attempts.
struct Cursor {
  uint32_t segment_ref = 0;  // the segment's number within this process
  uint32_t block = 0;
  JobIndex job = 0;
  uint32_t rows = 0;  // of the block; > 0
  // A hash of the domain's name, by which domains take turns: of what a queue gives; what is added
  // says it beside.
  uint64_t domain = 0;
  friend bool operator==(const Cursor& a, const Cursor& b) {
    return a.segment_ref == b.segment_ref && a.block == b.block && a.job == b.job &&
           a.rows == b.rows;
  }
};

class DomainRings {
 public:
  // Puts a cursor behind those of its domain, and a new domain behind those that wait.
  void add(uint32_t& ring, const Cursor& cursor, uint64_t domain);
  // Takes the oldest cursor of the domain whose turn it is. REQUIRES: the ring is not kNoSlot.
  Cursor take(uint32_t& ring);
  // The rows of what take() would give.
  uint32_t rows_next(uint32_t ring) const {
    return nodes_[domains_[domains_[ring].next].first].rows;
  }

  // The domain of what take() would give.
  uint64_t next_domain(uint32_t ring) const { return domains_[domains_[ring].next].name; }

  uint32_t cursor_count() const { return nodes_.size(); }
  uint32_t domain_count() const { return domains_.size(); }
  size_t memory_bytes() const {
    return nodes_.memory_bytes() + domains_.memory_bytes() + index_.memory_bytes();
  }

 private:
  // A cursor without its job, which the domain knows.
  struct Node {
    uint32_t segment_ref = 0;
    uint32_t block = 0;
    uint32_t rows = 0;
    uint32_t next = kNoSlot;  // of the same domain
  };
  static_assert(sizeof(Node) == 16);
  struct Domain {
    uint64_t name = 0;
    JobIndex job = 0;
    uint32_t first = kNoSlot;
    uint32_t last = kNoSlot;
    uint32_t next = kNoSlot;  // in the ring; a ring is named by its last domain
  };
  static_assert(sizeof(Domain) == 24);

  uint64_t hash_at(uint32_t slot) const {
    return hash_of_pair(domains_[slot].name, domains_[slot].job);
  }

  SlotPool<Node, 1> nodes_;
  SlotPool<Domain, 1> domains_;
  SlotIndex index_;
};

}  // namespace sluice
