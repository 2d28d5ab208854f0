// The hash of a question, and the words that names are hashed and compared by.
//
// A name of 8 to 32 octets, which nearly all are, is four words whatever its length (they overlap):
// hashing and comparing it takes no loop and no branch that depends on the length, so a processor
// that guesses branches has nothing to guess wrong. The hash is folded multiplication as in wyhash.
// Seeded, so that who chooses names cannot choose buckets. Pure; any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "resolver_cache/dns_message.h"

namespace resolver_cache {

inline constexpr size_t kNameWordsBytes = 32;  // the longest name that its words hold whole

inline uint64_t word_at(const char* octets) {
  uint64_t word = 0;
  std::memcpy(&word, octets, sizeof word);
  return word;
}

// Of a name of `size` octets. Two names of one size have equal words exactly when they are equal,
// but for what precedes the last 32 octets of longer ones.
struct NameWords {
  uint64_t first = 0;
  uint64_t second = 0;
  uint64_t third = 0;
  uint64_t fourth = 0;

  static NameWords of(const char* name, size_t size) {
    if (size > kNameWordsBytes) return of(name + (size - kNameWordsBytes), kNameWordsBytes);
    if (size >= 8) {
      // Computed, since a compiler makes branches of conditions: 8 from 16 octets on, else 0.
      const size_t step = (size >> 1 | size >> 2) & 8;
      const char* last = name + size - 8;
      return {word_at(name), word_at(name + step), word_at(last - step), word_at(last)};
    }
    NameWords short_name;
    for (size_t i = 0; i < size; ++i) {
      short_name.first |= uint64_t{static_cast<unsigned char>(name[i])} << (8 * i);
    }
    return short_name;
  }

  // One comparison, not four: which word differs is as good as random.
  bool equals(const NameWords& other) const {
    return ((first ^ other.first) | (second ^ other.second) | (third ^ other.third) |
            (fourth ^ other.fourth)) == 0;
  }
};

inline uint64_t fold_product(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_words(uint64_t seed, std::string_view name, RecordType type,
                           const NameWords& words) {
  // Every octet of the constants has its top bit set, which no octet of a name has: a factor is
  // zero, and the product says nothing of the other, only where the seed happens to make it so.
  constexpr uint64_t kFirst = 0x9EB7F9B5CF8AFCB1ULL;
  constexpr uint64_t kSecond = 0xD1B5CAB2D192EDABULL;
  constexpr uint64_t kThird = 0xA3EBF1C9959FE8C3ULL;
  constexpr uint64_t kFourth = 0xE7B7D3AB8DC1F6B9ULL;
  const uint64_t other_seed = seed * kFirst;
  uint64_t head = static_cast<uint64_t>(type) << 32 | name.size();
  if (name.size() > kNameWordsBytes) {
    for (size_t at = 0; at < name.size() - kNameWordsBytes; at += 8) {
      head = fold_product(head ^ seed ^ kThird, word_at(name.data() + at) ^ other_seed ^ kFourth);
    }
  }
  const uint64_t front =
      fold_product(words.first ^ seed ^ kFirst, words.second ^ other_seed ^ kSecond);
  const uint64_t back =
      fold_product(words.third ^ seed ^ kThird, words.fourth ^ other_seed ^ kFourth);
  return fold_product(front ^ head ^ kFirst, back ^ seed ^ kSecond);
}

inline uint64_t hash_name(uint64_t seed, std::string_view name, RecordType type) {
  return hash_words(seed, name, type, NameWords::of(name.data(), name.size()));
}

// A question, ready to be looked up. `name` must live as long.
struct Question {
  Question() = default;
  Question(uint64_t seed, std::string_view asked, RecordType of)
      : name(asked),
        type(of),
        words(NameWords::of(asked.data(), asked.size())),
        hash(hash_words(seed, asked, of, words)) {}

  std::string_view name;
  RecordType type = RecordType::kA;
  NameWords words;
  uint64_t hash = 0;
};

}  // namespace resolver_cache
