#include "engine/shard/peers.h"

#include <utility>

#include "engine/base/crc32c.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"

namespace sluice {

Peers::Peers(Configuration configuration, Limits bounds, uint32_t shards_wanted, Instant start)
    : config(std::move(configuration)),
      limits(bounds),
      spool(config.spool.path),
      shard_count(shards_wanted),
      clock(start),
      shards(shards_wanted, nullptr),
      cursors(std::make_unique<Counter[]>(shards_wanted)),
      dns_waits(std::make_unique<Counter[]>(shards_wanted)),
      loads(std::make_unique<Load[]>(shards_wanted)) {}

double Peers::busy(uint32_t shard, Instant now) const {
  constexpr Duration kStale = std::chrono::milliseconds(200);
  const Load& load = loads[shard];
  const Instant at{Duration(load.at.load(std::memory_order_relaxed))};
  // Who has not turned for so long had nothing to do.
  if (now - at > kStale) return 0;
  return static_cast<double>(load.busy.load(std::memory_order_relaxed)) / 1'000;
}

uint32_t Peers::place(std::string_view name, uint32_t salt) const {
  // The same on every machine and at every start: what is spread by it may be on disk.
  const uint64_t hash = crc32c(name, salt);
  return static_cast<uint32_t>(hash * shard_count >> 32);
}

void Peers::journal_told(uint32_t series, uint32_t file) {
  (void)post(0, [this, series, file] {
    if (intake != nullptr) intake->journal_told(series, file);
  });
}

void Peers::unreadable(JobIndex job, std::string words) {
  (void)post(0, [this, job, words = std::move(words)] {
    if (intake != nullptr) intake->note_unreadable(job, words);
  });
}

bool Peers::post(uint32_t shard, Mailbox::Message message) {
  return shards[shard]->loop().mailbox().post(std::move(message));
}

}  // namespace sluice
