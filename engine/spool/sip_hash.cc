#include "engine/spool/sip_hash.h"

#include <cstring>

namespace sluice {
namespace {

constexpr uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

struct State {
  uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = rotate(v1, 13) ^ v0;
    v0 = rotate(v0, 32);
    v2 += v3;
    v3 = rotate(v3, 16) ^ v2;
    v0 += v3;
    v3 = rotate(v3, 21) ^ v0;
    v2 += v1;
    v1 = rotate(v1, 17) ^ v2;
    v2 = rotate(v2, 32);
  }
  void absorb(uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  uint64_t squeeze() {
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

uint64_t little_endian(const char* octets, size_t count) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
  uint64_t word = 0;
  std::memcpy(&word, octets, count);
  return word;
}

}  // namespace

Hash128 sip_hash_128(const SipKey& key, std::string_view octets) {
  State s{0x736f6d6570736575ULL ^ key.low, 0x646f72616e646f6dULL ^ key.high ^ 0xEE,
          0x6c7967656e657261ULL ^ key.low, 0x7465646279746573ULL ^ key.high};
  const char* at = octets.data();
  size_t left = octets.size();
  for (; left >= 8; left -= 8, at += 8) s.absorb(little_endian(at, 8));
  const uint64_t length = static_cast<uint64_t>(octets.size()) << 56;
  s.absorb(length | (left > 0 ? little_endian(at, left) : 0));
  s.v2 ^= 0xEE;
  Hash128 result;
  result.low = s.squeeze();
  s.v1 ^= 0xDD;
  result.high = s.squeeze();
  return result;
}

}  // namespace sluice
