// A cached answer: immutable, one block of memory.
//
// Entries are made by the cache and read through pointers that it hands out; see cache.h for how
// long such a pointer holds. Reading is safe from any thread while it does.
//
// LAYOUT. What a hit needs comes first: half a cache line of times and sizes, then the name, then
// the items. A name of up to 32 octets is compared, and its answer judged, within the block's first
// line (blocks begin on one). What is seldom asked lies at the block's end.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "resolver_cache/answer.h"
#include "resolver_cache/name_hash.h"

namespace resolver_cache {

// Time since a start that all callers of one cache share: a monotonic clock's reading.
using Time = std::chrono::nanoseconds;

struct ItemView {
  uint16_t preference;
  std::string_view data;
};

class Entry {
 public:
  struct Times {
    Time landed{};            // when the answer came
    Time expires{};           // fresh before this; for a failure: asked again after this
    Time stale_until{};       // positive: may be served until then when a refresh fails
    Time retry_at{};          // after a failed refresh: no new attempt before
    Time first_name_error{};  // the first NXDOMAIN of an unbroken series; 0 for none
  };
  // An entry on the heap, outside the cache's memory.
  struct Deleter {
    void operator()(Entry* entry) const { ::operator delete(entry); }
  };
  using Ptr = std::unique_ptr<Entry, Deleter>;

  // Octets of memory that make() needs.
  static size_t bytes_for(std::string_view name, const Answer& answer);
  // Copies name, items, canonical name and detail into `block`. REQUIRES: `bytes` is what
  // bytes_for() said, and the block is as large and aligned for an Entry.
  static Entry* make(void* block, size_t bytes, std::string_view name, RecordType type,
                     const Answer& answer, const Times& times, uint32_t failures);
  // The same answer with other times and count of failures. REQUIRES: entry.bytes() octets.
  static Entry* copy(void* block, const Entry& entry, const Times& times, uint32_t failures);

  // For tests: from now on what is given back is overwritten first, so that who still reads it
  // notices. Any thread.
  static void poison_freed(bool poison) { poison_.store(poison, std::memory_order_relaxed); }
  static constexpr char kPoison = '\xDB';
  // Ends an entry's life, before its block is given back.
  static void end(Entry* entry);

  std::string_view name() const { return {tail(), name_bytes_}; }
  RecordType type() const { return type_; }
  AnswerKind kind() const { return kind_; }
  bool secure() const { return secure_; }
  Times times() const {
    const Rest rest = this->rest();
    return {rest.landed, expires_, rest.stale_until, rest.retry_at, rest.first_name_error};
  }
  // Failed attempts in a row; a positive entry may have some since it landed.
  uint32_t failures() const { return failures_; }
  // Octets of memory, header included.
  size_t bytes() const { return bytes_; }

  std::string_view canonical() const;
  // Of a failed answer: why.
  std::string_view detail() const;
  size_t item_count() const { return item_count_; }
  // Calls visit(ItemView) for every item in order.
  template <typename Visit>
  void for_each_item(Visit visit) const {
    const char* at = tail() + name_bytes_;
    for (size_t i = 0; i < item_count_; ++i) visit(item_at(at));
  }

  // Whether it is the answer to that question.
  bool answers(const Question& question) const {
    const size_t size = question.name.size();
    if (type_ != question.type || name_bytes_ != size) return false;
    if (!NameWords::of(tail(), size).equals(question.words)) return false;
    return size <= kNameWordsBytes ||
           std::memcmp(tail(), question.name.data(), size - kNameWordsBytes) == 0;
  }

  bool is_fresh(Time now) const { return now < expires_; }
  // Expired, its refresh failed a moment ago, and it may still be used (RFC 8767).
  bool is_servable_stale(Time now) const {
    return kind_ == AnswerKind::kPositive && failures_ > 0 && now < rest().retry_at &&
           now < rest().stale_until;
  }
  // In the last tenth of its life, and no refresh failed a moment ago.
  bool is_refresh_due(Time now) const { return now >= refresh_at_; }
  // Two NXDOMAIN answers lie at least `apart` from each other, with no other answer between.
  bool is_confirmed_name_error(Time apart) const {
    return kind_ == AnswerKind::kNameError && rest().landed - rest().first_name_error >= apart;
  }

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  // At the block's end.
  struct Rest {
    Time landed{};
    Time stale_until{};
    Time retry_at{};
    Time first_name_error{};
    uint32_t canonical_at = 0;  // in the tail; the detail follows it
    uint16_t canonical_bytes = 0;
    uint16_t detail_bytes = 0;
  };
  static constexpr size_t kItemHeadBytes = 4;  // preference, length
  static inline std::atomic<bool> poison_{false};

  Entry() = default;
  ~Entry() = default;

  char* tail() { return reinterpret_cast<char*>(this + 1); }
  const char* tail() const { return reinterpret_cast<const char*>(this + 1); }
  Rest rest() const {
    Rest rest;
    std::memcpy(&rest, reinterpret_cast<const char*>(this) + bytes_ - sizeof rest, sizeof rest);
    return rest;
  }
  void set_times(const Times& times, Rest rest);

  // Reads the item at `at` and moves `at` behind it.
  static ItemView item_at(const char*& at) {
    ItemView view{};
    uint16_t length = 0;
    std::memcpy(&view.preference, at, sizeof view.preference);
    std::memcpy(&length, at + sizeof view.preference, sizeof length);
    view.data = {at + kItemHeadBytes, length};
    at += kItemHeadBytes + length;
    return view;
  }

  Time expires_{};
  Time refresh_at_{};  // never, unless positive
  uint32_t bytes_ = 0;
  uint32_t failures_ = 0;
  RecordType type_ = RecordType::kA;
  uint16_t name_bytes_ = 0;
  AnswerKind kind_ = AnswerKind::kFailed;
  uint8_t item_count_ = 0;
  bool secure_ = false;
  bool canonical_is_name_ = false;  // then it is not kept twice
};

}  // namespace resolver_cache
