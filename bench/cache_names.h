// Names and probes for the cache's benchmarks: as long as mail domains are, drawn by Zipf's law or
// evenly, the same on every machine.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/random.h"

namespace cache_bench {

// 10 to 27 octets, 17 on average: "kelomaru-2s9.de".
inline std::string domain_name(uint64_t i) {
  static constexpr std::string_view kSyllables[] = {"ka",  "lo", "mi",  "ter", "san", "bel", "or",
                                                    "vin", "du", "pex", "ro",  "gal", "ne",  "shu"};
  static constexpr std::string_view kEndings[] = {".com", ".com", ".com",   ".de",
                                                  ".org", ".net", ".co.uk", ".example"};
  sluice::Random random(i + 1);
  std::string name;
  for (uint64_t n = 2 + random.below(4); n > 0; --n) {
    name += kSyllables[random.below(std::size(kSyllables))];
  }
  name += '-';
  do {
    name += "0123456789abcdefghijklmnopqrstuvwxyz"[i % 36];
    i /= 36;
  } while (i != 0);
  name += kEndings[random.below(std::size(kEndings))];
  return name;
}

// Zipf with exponent 1 by inversion of the continuous law: ranks from 0.
inline uint64_t zipf_rank(sluice::Random& random, uint64_t count) {
  const double rank = std::pow(static_cast<double>(count), random.fraction());
  return static_cast<uint64_t>(rank) - 1;
}

// Names in the order in which a benchmark asks for them, behind one another in memory, so that
// reading the question costs the same small amount whatever is being measured.
class Probes {
 public:
  Probes(uint64_t names, bool zipf, size_t count, uint64_t seed) {
    sluice::Random random(seed);
    // Popularity has nothing to do with the order in which entries came into memory.
    std::vector<uint32_t> name_of_rank(names);
    for (uint32_t i = 0; i < names; ++i) name_of_rank[i] = i;
    random.shuffle(name_of_rank);
    ends_.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const uint64_t rank = zipf ? zipf_rank(random, names) : random.below(names);
      text_ += domain_name(name_of_rank[rank]);
      ends_.push_back(static_cast<uint32_t>(text_.size()));
    }
  }
  size_t size() const { return ends_.size(); }
  std::string_view operator[](size_t i) const {
    const uint32_t begin = i == 0 ? 0 : ends_[i - 1];
    return {text_.data() + begin, ends_[i] - begin};
  }

 private:
  std::string text_;
  std::vector<uint32_t> ends_;
};

}  // namespace cache_bench
