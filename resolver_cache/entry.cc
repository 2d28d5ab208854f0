#include "resolver_cache/entry.h"

#include <algorithm>
#include <limits>
#include <new>

#include "absl/base/macros.h"

namespace resolver_cache {
namespace {

constexpr size_t kDetailBytesMax = 512;
constexpr size_t kShortMax = std::numeric_limits<uint16_t>::max();
static_assert(kItemsMax <= std::numeric_limits<uint8_t>::max());

// What an entry keeps of an answer.
struct Parts {
  Parts(std::string_view name, const Answer& answer)
      : canonical_is_name(answer.canonical == name),
        canonical(std::string_view(answer.canonical).substr(0, canonical_is_name ? 0 : kShortMax)),
        detail(std::string_view(answer.detail).substr(0, kDetailBytesMax)),
        items(std::min(answer.items.size(), kItemsMax)) {}
  bool canonical_is_name;
  std::string_view canonical;
  std::string_view detail;
  size_t items;
};

std::string_view data_of(const Item& item) {
  return std::string_view(item.data).substr(0, kShortMax);
}

char* put(char* to, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

}  // namespace

size_t Entry::bytes_for(std::string_view name, const Answer& answer) {
  const Parts parts(name, answer);
  size_t bytes = sizeof(Entry) + name.size() + parts.canonical.size() + parts.detail.size();
  for (size_t i = 0; i < parts.items; ++i)
    bytes += kItemHeadBytes + data_of(answer.items[i]).size();
  constexpr size_t kMask = alignof(Entry) - 1;
  return ((bytes + kMask) & ~kMask) + sizeof(Rest);
}

void Entry::set_times(const Times& times, Rest rest) {
  expires_ = times.expires;
  refresh_at_ = kind_ == AnswerKind::kPositive
                    ? std::max(times.retry_at, times.expires - (times.expires - times.landed) / 10)
                    : Time::max();
  rest.landed = times.landed;
  rest.stale_until = times.stale_until;
  rest.retry_at = times.retry_at;
  rest.first_name_error = times.first_name_error;
  std::memcpy(reinterpret_cast<char*>(this) + bytes_ - sizeof rest, &rest, sizeof rest);
}

Entry* Entry::make(void* block, size_t bytes, std::string_view name, RecordType type,
                   const Answer& answer, const Times& times, uint32_t failures) {
  ABSL_HARDENING_ASSERT(name.size() <= kShortMax);
  const Parts parts(name, answer);
  auto* entry = new (block) Entry;
  entry->bytes_ = static_cast<uint32_t>(bytes);
  entry->failures_ = failures;
  entry->type_ = type;
  entry->name_bytes_ = static_cast<uint16_t>(name.size());
  entry->kind_ = answer.kind;
  entry->item_count_ = static_cast<uint8_t>(parts.items);
  entry->secure_ = answer.secure;
  entry->canonical_is_name_ = parts.canonical_is_name;

  char* to = put(entry->tail(), name);
  for (size_t i = 0; i < parts.items; ++i) {
    const Item& item = answer.items[i];
    const std::string_view data = data_of(item);
    const auto length = static_cast<uint16_t>(data.size());
    std::memcpy(to, &item.preference, sizeof item.preference);
    std::memcpy(to + sizeof item.preference, &length, sizeof length);
    to = put(to + kItemHeadBytes, data);
  }
  Rest rest;
  rest.canonical_at = static_cast<uint32_t>(to - entry->tail());
  rest.canonical_bytes = static_cast<uint16_t>(parts.canonical.size());
  rest.detail_bytes = static_cast<uint16_t>(parts.detail.size());
  put(put(to, parts.canonical), parts.detail);
  entry->set_times(times, rest);
  return entry;
}

Entry* Entry::copy(void* block, const Entry& entry, const Times& times, uint32_t failures) {
  auto* twin = new (block) Entry;
  twin->bytes_ = entry.bytes_;
  twin->failures_ = failures;
  twin->type_ = entry.type_;
  twin->name_bytes_ = entry.name_bytes_;
  twin->kind_ = entry.kind_;
  twin->item_count_ = entry.item_count_;
  twin->secure_ = entry.secure_;
  twin->canonical_is_name_ = entry.canonical_is_name_;
  std::memcpy(twin->tail(), entry.tail(), entry.bytes_ - sizeof(Entry));
  twin->set_times(times, entry.rest());
  return twin;
}

void Entry::end(Entry* entry) {
  const size_t bytes = entry->bytes_;
  entry->~Entry();
  if (!poison_.load(std::memory_order_relaxed)) return;
  // By atomic stores, which no compiler leaves out before the block is given back.
  char* block = reinterpret_cast<char*>(entry);
  for (size_t i = 0; i < bytes; ++i) {
    std::atomic_ref<char>(block[i]).store(kPoison, std::memory_order_relaxed);
  }
}

std::string_view Entry::canonical() const {
  if (canonical_is_name_) return name();
  const Rest rest = this->rest();
  return {tail() + rest.canonical_at, rest.canonical_bytes};
}

std::string_view Entry::detail() const {
  const Rest rest = this->rest();
  return {tail() + rest.canonical_at + rest.canonical_bytes, rest.detail_bytes};
}

}  // namespace resolver_cache
