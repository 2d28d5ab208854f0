// A cached answer: immutable, one block of memory.
//
// Entries are made by the cache and read through pointers that it hands out; see cache.h for how
// long such a pointer holds. Reading is safe from any thread while it does.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "resolver_cache/answer.h"

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
  struct Deleter {
    void operator()(Entry* entry) const { destroy(entry); }
  };
  using Ptr = std::unique_ptr<Entry, Deleter>;

  // Copies name, canonical name, detail and items into one block behind the header.
  static Ptr make(uint64_t hash, std::string_view name, RecordType type, const Answer& answer,
                  const Times& times, uint32_t failures);
  // The same answer with other times and count of failures.
  static Ptr copy(const Entry& entry, const Times& times, uint32_t failures);
  static void destroy(Entry* entry);

  // For tests: from now on what destroy() frees is overwritten first, so that who still reads it
  // notices. Any thread.
  static void poison_freed(bool poison) { poison_.store(poison, std::memory_order_relaxed); }
  static constexpr char kPoison = '\xDB';

  uint64_t hash() const { return hash_; }
  std::string_view name() const { return {tail(), name_bytes_}; }
  RecordType type() const { return type_; }
  AnswerKind kind() const { return kind_; }
  bool secure() const { return secure_; }
  const Times& times() const { return times_; }
  // Failed attempts in a row; a positive entry may have some since it landed.
  uint32_t failures() const { return failures_; }
  // Octets of memory, header included.
  size_t bytes() const { return bytes_; }

  std::string_view canonical() const {
    return canonical_is_name_ ? name() : std::string_view(tail() + name_bytes_, canonical_bytes_);
  }
  // Of a failed answer: why.
  std::string_view detail() const;
  size_t item_count() const { return item_count_; }
  // Calls visit(ItemView) for every item in order.
  template <typename Visit>
  void for_each_item(Visit visit) const {
    size_t at = items_at();
    for (size_t i = 0; i < item_count_; ++i) visit(item_at(at));
  }

  bool is_fresh(Time now) const { return now < times_.expires; }
  // Expired, its refresh failed a moment ago, and it may still be used (RFC 8767).
  bool is_servable_stale(Time now) const {
    return kind_ == AnswerKind::kPositive && failures_ > 0 && now < times_.retry_at &&
           now < times_.stale_until;
  }
  // In the last tenth of its life, and no refresh failed a moment ago.
  bool is_refresh_due(Time now) const {
    return kind_ == AnswerKind::kPositive && now >= times_.retry_at &&
           now >= times_.expires - (times_.expires - times_.landed) / 10;
  }
  // Two NXDOMAIN answers lie at least `apart` from each other, with no other answer between.
  bool is_confirmed_name_error(Time apart) const {
    return kind_ == AnswerKind::kNameError && times_.landed - times_.first_name_error >= apart;
  }

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

 private:
  static inline std::atomic<bool> poison_{false};

  Entry() = default;
  ~Entry() = default;

  const char* tail() const { return reinterpret_cast<const char*>(this + 1); }
  size_t items_at() const { return size_t{name_bytes_} + canonical_bytes_ + detail_bytes_; }
  // Reads the item at an offset of the tail and moves the offset behind it.
  ItemView item_at(size_t& at) const;

  uint64_t hash_ = 0;
  RecordType type_ = RecordType::kA;
  AnswerKind kind_ = AnswerKind::kFailed;
  bool secure_ = false;
  bool canonical_is_name_ = false;  // then it is not kept twice
  uint16_t name_bytes_ = 0;
  uint16_t canonical_bytes_ = 0;
  uint16_t detail_bytes_ = 0;
  uint16_t item_count_ = 0;
  uint32_t failures_ = 0;
  uint32_t bytes_ = 0;
  Times times_;
};

}  // namespace resolver_cache
