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
      cursors(std::make_unique<Counter[]>(shards_wanted)) {}

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

bool Peers::post(uint32_t shard, Mailbox::Message message) {
  return shards[shard]->loop().mailbox().post(std::move(message));
}

}  // namespace sluice
