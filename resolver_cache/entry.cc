#include "resolver_cache/entry.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

namespace resolver_cache {
namespace {

constexpr size_t kItemHeadBytes = 4;  // preference, length
constexpr size_t kDetailBytesMax = 512;

char* put(char* to, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

}  // namespace

Entry::Ptr Entry::make(uint64_t hash, std::string_view name, RecordType type, const Answer& answer,
                       const Times& times, uint32_t failures) {
  const std::string_view detail = std::string_view(answer.detail).substr(0, kDetailBytesMax);
  const size_t items = std::min(answer.items.size(), kItemsMax);
  const bool canonical_is_name = answer.canonical == name;
  const std::string_view canonical = canonical_is_name ? std::string_view() : answer.canonical;
  size_t tail_bytes = name.size() + canonical.size() + detail.size();
  for (size_t i = 0; i < items; ++i) tail_bytes += kItemHeadBytes + answer.items[i].data.size();

  void* block = ::operator new(sizeof(Entry) + tail_bytes);
  Ptr entry(new (block) Entry);
  entry->hash_ = hash;
  entry->type_ = type;
  entry->kind_ = answer.kind;
  entry->secure_ = answer.secure;
  entry->name_bytes_ = static_cast<uint16_t>(name.size());
  entry->canonical_bytes_ = static_cast<uint16_t>(canonical.size());
  entry->canonical_is_name_ = canonical_is_name;
  entry->detail_bytes_ = static_cast<uint16_t>(detail.size());
  entry->item_count_ = static_cast<uint16_t>(items);
  entry->failures_ = failures;
  entry->bytes_ = static_cast<uint32_t>(sizeof(Entry) + tail_bytes);
  entry->times_ = times;

  char* to = static_cast<char*>(block) + sizeof(Entry);
  to = put(put(put(to, name), canonical), detail);
  for (size_t i = 0; i < items; ++i) {
    const Item& item = answer.items[i];
    const auto length = static_cast<uint16_t>(item.data.size());
    std::memcpy(to, &item.preference, sizeof item.preference);
    std::memcpy(to + sizeof item.preference, &length, sizeof length);
    to = put(to + kItemHeadBytes, item.data);
  }
  return entry;
}

Entry::Ptr Entry::copy(const Entry& entry, const Times& times, uint32_t failures) {
  void* block = ::operator new(entry.bytes_);
  Ptr twin(new (block) Entry);
  twin->hash_ = entry.hash_;
  twin->type_ = entry.type_;
  twin->kind_ = entry.kind_;
  twin->secure_ = entry.secure_;
  twin->name_bytes_ = entry.name_bytes_;
  twin->canonical_bytes_ = entry.canonical_bytes_;
  twin->canonical_is_name_ = entry.canonical_is_name_;
  twin->detail_bytes_ = entry.detail_bytes_;
  twin->item_count_ = entry.item_count_;
  twin->failures_ = failures;
  twin->bytes_ = entry.bytes_;
  twin->times_ = times;
  std::memcpy(static_cast<char*>(block) + sizeof(Entry), entry.tail(),
              entry.bytes_ - sizeof(Entry));
  return twin;
}

void Entry::destroy(Entry* entry) {
  const size_t bytes = entry->bytes_;
  entry->~Entry();
  if (poison_.load(std::memory_order_relaxed)) {
    // By atomic stores, which no compiler leaves out before a delete.
    char* block = reinterpret_cast<char*>(entry);
    for (size_t i = 0; i < bytes; ++i) {
      std::atomic_ref<char>(block[i]).store(kPoison, std::memory_order_relaxed);
    }
  }
  ::operator delete(entry);
}

std::string_view Entry::detail() const {
  return {tail() + name_bytes_ + canonical_bytes_, detail_bytes_};
}

ItemView Entry::item_at(size_t& at) const {
  ItemView view{};
  uint16_t length = 0;
  std::memcpy(&view.preference, tail() + at, sizeof view.preference);
  std::memcpy(&length, tail() + at + sizeof view.preference, sizeof length);
  view.data = {tail() + at + kItemHeadBytes, length};
  at += kItemHeadBytes + length;
  return view;
}

}  // namespace resolver_cache
