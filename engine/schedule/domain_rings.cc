#include "engine/schedule/domain_rings.h"

#include "engine/base/check.h"

namespace sluice {

void DomainRings::add(uint32_t& ring, const Cursor& cursor, uint64_t domain) {
  CHECK(cursor.rows > 0);
  const uint32_t node = nodes_.make();
  nodes_[node] = {cursor.segment_ref, cursor.block, cursor.rows, kNoSlot};
  const auto same = [&](uint32_t slot) {
    return domains_[slot].name == domain && domains_[slot].job == cursor.job;
  };
  const uint32_t known = index_.find(hash_of_pair(domain, cursor.job), same);
  if (known != kNoSlot) {
    Domain& found = domains_[known];
    nodes_[found.last].next = node;
    found.last = node;
    return;
  }
  const uint32_t slot = domains_.make();
  Domain& made = domains_[slot];
  made = {domain, cursor.job, node, node, slot};
  if (ring != kNoSlot) {
    made.next = domains_[ring].next;
    domains_[ring].next = slot;
  }
  ring = slot;
  index_.insert(slot, [this](uint32_t s) { return hash_at(s); });
}

Cursor DomainRings::take(uint32_t& ring) {
  CHECK(ring != kNoSlot);
  const uint32_t slot = domains_[ring].next;
  Domain& domain = domains_[slot];
  const uint32_t first = domain.first;
  const Node& node = nodes_[first];
  const Cursor taken{node.segment_ref, node.block, domain.job, node.rows, domain.name};
  domain.first = node.next;
  if (domain.first != kNoSlot) {
    ring = slot;
  } else {
    domains_[ring].next = domain.next;
    if (ring == slot) ring = kNoSlot;
    index_.erase(slot, [this](uint32_t s) { return hash_at(s); });
    domains_.erase(slot);
  }
  nodes_.erase(first);
  return taken;
}

}  // namespace sluice
