// Addresses of one job in memory: what is known of them until they go to the disk.
//
// Purpose: a set of 128-bit keyed hashes of normalised addresses. Two addresses are the same when
//   their local parts are the same octets and their domains the same A-labels. Two different ones
//   are taken for the same with a probability of about n^2 / 2^129: never, in practice; the key is
//   random, so nobody can make it happen.
// Ownership: the set owns its table. Thread: one at a time.
// Errors: none. Limits: the entries given; at the limit known addresses are still recognised, new
//   ones are let through without being remembered, and saturated() says so. Who owns it empties it
//   before (engine/shard/job_dedupe.h).
// Memory: 16 bytes a slot, at most four of five slots used. Growing doubles the table and moves
//   the entries bit by bit with later inserts: no pause, and never more than 1.5 times the new
//   size.
// BUGS: giving back a table of hundreds of MiB takes the kernel some milliseconds, once.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/spool/sip_hash.h"

namespace sluice {

class DedupeSet {
 public:
  // `key` is random, one a job and process. REQUIRES: entries_max > 0.
  DedupeSet(uint64_t entries_max, SipKey key);

  // True when the address was not known: it is now, unless the set is full. `address` is normalised
  // (Address::address).
  bool insert(std::string_view address) { return insert(hash_of(address)); }
  bool contains(std::string_view address) const { return contains(hash_of(address)); }
  // What stands for an address; never all zeroes.
  Hash128 hash_of(std::string_view address) const;
  bool insert(const Hash128& hash);
  bool contains(const Hash128& hash) const;
  // Appends all hashes, in no order.
  void append_to(std::vector<Hash128>& out) const;

  uint64_t size() const { return size_; }
  // True once an address could not be remembered.
  bool saturated() const { return saturated_; }
  // Bytes of memory held.
  size_t memory_bytes() const { return (slots_count_ + old_count_) * sizeof(Hash128); }

 private:
  struct Free {
    void operator()(Hash128* slots) const { std::free(slots); }
  };
  using Slots = std::unique_ptr<Hash128[], Free>;

  static Slots make_slots(uint64_t count);
  static uint64_t place(const Hash128& hash, uint64_t count);
  // Index of `hash`, or of the empty slot where it would go.
  static uint64_t find(const Slots& slots, uint64_t count, const Hash128& hash);
  static bool is_empty(const Hash128& slot) { return slot == Hash128(); }
  void grow();
  void move_some();

  const uint64_t entries_max_;
  const SipKey key_;
  uint64_t size_ = 0;
  bool saturated_ = false;
  Slots slots_;
  uint64_t slots_count_ = 0;
  Slots old_;               // the smaller table while its entries move; whole until then
  uint64_t old_count_ = 0;  // 0: nothing is moving
  uint64_t moved_ = 0;      // slots of old_ that are done
};

}  // namespace sluice
