// SipHash-2-4 with 128 bits of result (Aumasson and Bernstein, 2012): a keyed hash for tables that
// strangers fill. Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

struct SipKey {
  uint64_t low = 0;
  uint64_t high = 0;
};

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};

Hash128 sip_hash_128(const SipKey& key, std::string_view octets);

}  // namespace sluice
