// How often each message identity was accepted: to tell lost, once, twice.
//
// Without `exact` an identity is kept as a 64-bit hash and a count: about 20 octets each. Two of n
// identities then share a hash with odds of about n²/2⁶⁵: one in 37 million for a million of them.
// With `exact` the text is kept too. Octets are compared as they are.
//
// Thread: all of it, any thread; 64 parts with a lock each.
// Limits: none: memory grows with the number of distinct identities.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/base/strings.h"

namespace sluice::sink {

struct IdentitySummary {
  uint64_t distinct = 0;
  uint64_t once = 0;
  uint64_t twice = 0;
  uint64_t more = 0;
  std::vector<std::string> repeated;  // at most kExamples, sorted
};

struct Expectation {
  uint64_t expected = 0;            // distinct lines
  uint64_t lost = 0;                // never seen
  uint64_t unexpected = 0;          // seen, distinct, not in the list
  std::vector<std::string> missed;  // at most kExamples, in the order of the list
};

class IdentityTable {
 public:
  static constexpr size_t kExamples = 100;

  explicit IdentityTable(bool exact) : exact_(exact) {}

  // Returns the count so far, this time included.
  uint32_t add(std::string_view identity);
  uint32_t count_of(std::string_view identity) const;
  IdentitySummary summary() const;
  // One identity a line; empty lines and the CR of CRLF are ignored.
  Expectation compare(std::istream& lines) const;
  // "identity count" lines, sorted. REQUIRES: exact.
  void write(std::ostream& out) const;

 private:
  static constexpr size_t kParts = 64;
  struct Part {
    mutable std::mutex mutex;
    absl::flat_hash_map<uint64_t, uint32_t> hashes;
    StringMap<uint32_t> texts;
    std::vector<std::string> repeated;
  };

  const bool exact_;
  std::array<Part, kParts> parts_;
};

}  // namespace sluice::sink
