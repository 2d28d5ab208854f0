#include "engine/shard/job.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/crc32c.h"

namespace sluice {

uint64_t domain_turn(std::string_view domain) { return crc32c(domain, 0); }

uint32_t Job::source_of(SegmentNumber segment, uint32_t block) const {
  CHECK(!members.empty());
  if (members.size() == 1) return members.front().source;
  std::string key = id;
  key += '/';
  key += std::to_string(segment);
  key += '/';
  key += std::to_string(block);
  const Sha256 digest = sha256(key);
  uint64_t hash = 0;
  for (size_t i = 0; i < 8; ++i) hash = hash << 8 | digest[i];
  const uint64_t point = hash % members.back().weight_end;
  const auto member =
      std::upper_bound(members.begin(), members.end(), point,
                       [](uint64_t p, const Member& m) { return p < m.weight_end; });
  return member->source;
}

bool PublishedSegment::is_waiting(SegmentRow row) const {
  if (!recovered) return true;
  if (recovered->is_final(row)) return false;
  const auto& deferred = recovered->deferred();
  const auto at = std::lower_bound(deferred.begin(), deferred.end(), row,
                                   [](const auto& d, SegmentRow r) { return d.row < r; });
  return at == deferred.end() || at->row != row;
}

uint32_t PublishedSegment::waiting_rows(const BlockEntry& block) const {
  if (!recovered) return block.row_count;
  uint32_t count = 0;
  for (uint32_t i = 0; i < block.row_count; ++i) count += is_waiting(block.first_row + i) ? 1U : 0U;
  return count;
}

}  // namespace sluice
