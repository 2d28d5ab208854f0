#include "engine/spool/dedupe.h"

#include <algorithm>

#include "engine/base/check.h"

namespace sluice {
namespace {

constexpr uint64_t kFirstSlots = 1024;
constexpr int kMovesPerInsert = 8;

// Slots needed for `entries` at a load of four fifths.
uint64_t slots_for(uint64_t entries) { return entries + entries / 4 + 2; }

}  // namespace

DedupeSet::DedupeSet(uint64_t entries_max, SipKey key) : entries_max_(entries_max), key_(key) {
  CHECK(entries_max > 0);
  // Halved from the largest size, so that doubling ends exactly there.
  slots_count_ = slots_for(entries_max);
  while (slots_count_ > kFirstSlots) slots_count_ = (slots_count_ + 1) / 2;
  slots_ = make_slots(slots_count_);
}

DedupeSet::Slots DedupeSet::make_slots(uint64_t count) {
  // calloc: a large table costs pages only as they are touched.
  void* memory = std::calloc(count, sizeof(Hash128));
  CHECK(memory != nullptr);
  return Slots(static_cast<Hash128*>(memory));
}

uint64_t DedupeSet::place(const Hash128& hash, uint64_t count) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((static_cast<Wide>(hash.low) * count) >> 64);
}

uint64_t DedupeSet::find(const Slots& slots, uint64_t count, const Hash128& hash) {
  uint64_t index = place(hash, count);
  while (!is_empty(slots[index]) && !(slots[index] == hash)) {
    if (++index == count) index = 0;
  }
  return index;
}

Hash128 DedupeSet::hash_of(std::string_view address) const {
  Hash128 hash = sip_hash_128(key_, address);
  if (is_empty(hash)) hash.high = 1;  // zero means an empty slot
  return hash;
}

void DedupeSet::move_some() {
  for (int i = 0; i < kMovesPerInsert && moved_ < old_count_; ++i, ++moved_) {
    const Hash128& hash = old_[moved_];
    if (!is_empty(hash)) slots_[find(slots_, slots_count_, hash)] = hash;
  }
  if (moved_ == old_count_) {
    old_.reset();
    old_count_ = moved_ = 0;
  }
}

void DedupeSet::grow() {
  while (old_count_ > 0) move_some();
  old_ = std::move(slots_);
  old_count_ = slots_count_;
  moved_ = 0;
  slots_count_ = std::min(slots_count_ * 2, slots_for(entries_max_));
  slots_ = make_slots(slots_count_);
}

void DedupeSet::append_to(std::vector<Hash128>& out) const {
  for (uint64_t i = 0; i < slots_count_; ++i) {
    if (!is_empty(slots_[i])) out.push_back(slots_[i]);
  }
  // Those before moved_ stand in the larger table already.
  for (uint64_t i = moved_; i < old_count_; ++i) {
    if (!is_empty(old_[i])) out.push_back(old_[i]);
  }
}

bool DedupeSet::contains(const Hash128& hash) const {
  if (!is_empty(slots_[find(slots_, slots_count_, hash)])) return true;
  return old_count_ > 0 && !is_empty(old_[find(old_, old_count_, hash)]);
}

bool DedupeSet::insert(const Hash128& hash) {
  if (old_count_ > 0) {
    if (!is_empty(old_[find(old_, old_count_, hash)])) return false;
    move_some();
  }
  uint64_t index = find(slots_, slots_count_, hash);
  if (!is_empty(slots_[index])) return false;
  if (size_ == entries_max_) {
    saturated_ = true;
    return true;
  }
  if (slots_for(size_ + 1) > slots_count_) {
    grow();
    index = find(slots_, slots_count_, hash);
  }
  slots_[index] = hash;
  ++size_;
  return true;
}

}  // namespace sluice
