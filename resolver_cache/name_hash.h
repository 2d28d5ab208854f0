// The hash of a question, eight octets of the name a step: a folded multiplication as in wyhash.
// Seeded, so that who chooses names cannot choose buckets. Pure; any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "resolver_cache/dns_message.h"

namespace resolver_cache {

inline uint64_t fold_product(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a ^ 0x9E3779B97F4A7C15ULL) * (b ^ 0xD1B54A32D192ED03ULL);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_name(uint64_t seed, std::string_view name, RecordType type) {
  uint64_t hash = fold_product(seed, static_cast<uint64_t>(type) << 32 | name.size());
  while (name.size() >= 8) {
    uint64_t word = 0;
    std::memcpy(&word, name.data(), 8);
    hash = fold_product(hash, word);
    name.remove_prefix(8);
  }
  uint64_t word = 0;
  if (!name.empty()) std::memcpy(&word, name.data(), name.size());
  return fold_product(hash, word);
}

}  // namespace resolver_cache
