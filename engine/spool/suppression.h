// Who never gets mail, as all lists of suppress/ together say it at one moment.
//
// Purpose: answers for each recipient at intake and before each attempt. A value that never changes
//   once it is made: another one takes its place when a list changes.
// How: keys of small lists, and of what was appended to large ones lately, are sorted in memory,
//   behind a filter; those of large lists lie on disk in runs (hash_run.h), behind another: what
//   that one lets through is kUnsure, and `unsure` must be looked up in each run.
// Ownership: the set owns its memory; runs and their filter are shared with the next set.
// Thread: any number may ask. Errors: none.
// Limits: Limits::suppress_memory_entries keys in memory, 18 octets each (twice while a set takes
//   another's place); the filter of the runs has Limits::suppress_filter_bytes_max at most.
// BUGS: none known.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/spool/hash_filter.h"
#include "engine/spool/hash_run.h"
#include "engine/spool/suppress_list.h"

namespace sluice {

class SuppressionSet {
 public:
  enum class Answer : uint8_t { kClear, kSuppressed, kUnsure };
  // What stands for a recipient: of its address, its domain, its digest those that lists have.
  struct Keys {
    std::array<Hash128, 3> hashes;
    uint32_t count = 0;
    void add(const Hash128& hash) { hashes[count++] = hash; }
    std::span<const Hash128> all() const { return {hashes.data(), count}; }
  };
  struct Sorted {
    std::vector<Hash128> keys;                 // by hash_less()
    std::shared_ptr<const HashFilter> filter;  // of all of them; null when there are none
  };
  struct Runs {
    std::vector<HashRunPtr> files;
    std::shared_ptr<const HashFilter> filter;  // null when there are none
  };

  SuppressionSet() = default;
  SuppressionSet(const SuppressKinds& kinds, Sorted sorted, Runs runs)
      : kinds_(kinds), sorted_(std::move(sorted)), runs_(std::move(runs)) {}

  // `address` and `domain` are normalised (Address).
  Keys keys_of(std::string_view address, std::string_view domain) const;
  // `unsure` is set with kUnsure only.
  Answer ask(const Keys& keys, Keys& unsure) const;

  const std::vector<HashRunPtr>& runs() const { return runs_.files; }
  // Entries, counting those that stand in several lists as often.
  uint64_t entries() const;
  size_t memory_bytes() const;

 private:
  bool holds(const Hash128& key) const;

  SuppressKinds kinds_;
  Sorted sorted_;
  Runs runs_;
};
using SuppressionSetPtr = std::shared_ptr<const SuppressionSet>;

}  // namespace sluice
