// The DNS cache that all shards share, and the register of who is asking what.
//
// PURPOSE. Keyed by (name, type): answers that live for their TTL, failures that back off, expired
// positive answers that are served while refreshing fails (RFC 8767), and one outstanding query per
// key in the whole process: claim() says hit, "you fly" or "somebody flies".
//
// READING is wait-free: hash, one bucket of eight slots (one cache line), one comparison; no lock,
// no reference count, no store to shared memory. Pointers to entries hold until the reader's next
// quiescent() or offline(); reclaim.h has the argument. README.md states the guarantees.
//
// MEMORY. Table and entries are two ranges of addresses reserved at start, of huge pages where the
// system gives them; what is not used is never touched. Landing takes no memory from the heap, but
// for a key with more waiters than any before it and for an insert that is dropped.
//
// THREAD. Cache: any. Reader, Claim, Flight: the thread that made them (a Flight may be moved to
//   and landed from another). A Notify runs on the landing thread under a lock of the cache: it may
//   only post a message to its own shard; it must not call the cache.
// OWNERSHIP. The cache outlives readers and flights. Entries belong to the cache.
// TIME. Handed in, never read; all callers use one monotonic clock.
// LIMITS. A table of fixed size, reserved at start: no growth, no pause. At most `entries_max`
//   entries and `bytes_max` octets of memory of them, in an arena that cannot exceed that by more
//   than an eighth and what is in limbo; an entry over kEntryBytesMax is not kept; a refresh that
//   has grown may pass `bytes_max` until the next insert. EVICTION: readers leave no trace, so
//   there is no recency to go by. Where room is missing a hand goes round the buckets and takes the
//   worst of each: first what is past all use, then failures, then negative answers, then the
//   positive answer that expires soonest (only when eight buckets in a row have nothing else):
//   names in use are refreshed, expire late, and so stay. A full bucket gives up its worst alike.
//   At most `limbo_max` unlinked entries wait for readers; when that is full the insert is dropped
//   (the asker still gets its answer). Flights and waiters are as many as the callers' own
//   concurrency allows.
// DETERMINISM. Same seed, same calls: same content and evictions.
// BUGS. A key whose bucket has eight better entries is evicted early: about 1 % of a full cache.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "resolver_cache/answer.h"
#include "resolver_cache/arena.h"
#include "resolver_cache/entry.h"
#include "resolver_cache/name_hash.h"
#include "resolver_cache/reclaim.h"
#include "resolver_cache/short_lock.h"

namespace resolver_cache {

inline constexpr size_t kEntryBytesMax = 20U << 10;

struct CacheOptions {
  uint32_t entries_max = 1'000'000;
  uint64_t bytes_max = 0;  // of entries; 0: 512 an entry
  uint32_t limbo_max = 1'024;
  uint64_t seed = 0;  // of the hash

  // Clamps of what answers say (RFC 2308, 8767, 9520).
  Time positive_ttl_min = std::chrono::seconds(30);
  Time positive_ttl_max = std::chrono::hours(24);
  Time negative_ttl_min = std::chrono::seconds(30);
  Time negative_ttl_max = std::chrono::hours(1);
  // Failures: the first, doubling with each in a row, up to the second; a quarter of jitter.
  Time failure_ttl_min = std::chrono::seconds(5);
  Time failure_ttl_max = std::chrono::minutes(5);
  // How long past its expiry a positive MX, A or AAAA answer may be served.
  Time serve_stale = std::chrono::hours(24);
  // NXDOMAIN is asked again after this at the latest until a second answer, this much later,
  // agrees.
  Time name_error_apart = std::chrono::minutes(15);
};

struct CacheStats {
  uint64_t entries = 0;
  uint64_t entry_bytes = 0;
  uint64_t table_bytes = 0;
  uint64_t limbo = 0;
  uint64_t inserted = 0;
  uint64_t evicted = 0;
  uint64_t dropped = 0;  // inserts given up: limbo full, no room, or too large
  uint64_t flights = 0;  // under way
};

class Cache;
struct FlightRecord;

// One per shard. Online from construction on.
class Reader {
 public:
  explicit Reader(Cache& cache);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // "I hold no pointer to an entry." Once a turn; REQUIRES: online.
  void quiescent();
  // Before blocking in the kernel, and after. While offline nothing may be read.
  void offline();
  void online();
  bool is_online() const { return online_; }

 private:
  Cache& cache_;
  Reclaimer::ReaderSlot* slot_;
  bool online_ = false;
};

// What is asked; `name` is canonical text.
struct Key {
  std::string_view name;
  RecordType type = RecordType::kMx;
};

// A pointer into the cache; see READING.
struct Hit {
  const Entry* entry = nullptr;  // null: nothing that may be used
  bool stale = false;
};

// What landing gives to the one who flew.
struct Landed {
  const Entry* entry = nullptr;  // as found by a reader; when `own` is set, it lives there
  Entry::Ptr own;                // the insert was dropped
  bool stale = false;            // the refresh failed; this is the old answer
};

// The duty to bring an answer. Destroying one that did not land gives the duty up: waiters are told
// and claim anew.
class Flight {
 public:
  Flight() = default;
  Flight(Flight&& other) noexcept;
  Flight& operator=(Flight&& other) noexcept;
  ~Flight();

  explicit operator bool() const { return cache_ != nullptr; }
  // Stores the answer as the options say, then tells all waiters. `random` is any 64 random bits.
  // REQUIRES: *this; `reader` is online.
  Landed land(const Reader& reader, const Answer& answer, Time now, uint64_t random);

 private:
  friend class Cache;
  Flight(Cache* cache, FlightRecord* record) : cache_(cache), record_(record) {}

  Cache* cache_ = nullptr;
  FlightRecord* record_ = nullptr;
};

struct Claim {
  enum class Kind : uint8_t {
    kHit,   // `hit` has it
    kFly,   // ask the network and land `flight`
    kWait,  // notify will be called once; then claim again. See Cache::forget.
  };
  Kind kind = Kind::kWait;
  Hit hit;
  Flight flight;
  uint64_t ticket = 0;
};

class Cache {
 public:
  using Notify = absl::AnyInvocable<void()>;

  explicit Cache(const CacheOptions& options);
  // REQUIRES: no reader, no flight.
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // Wait-free. `name` is canonical text. REQUIRES: the reader is online.
  Hit find(const Reader& reader, std::string_view name, RecordType type, Time now) const;

  // find() of every key, the answer to keys[i] in hits[i], with the waits for memory overlapped.
  // Wait-free. REQUIRES: the reader is online; hits is as long as keys.
  void find_many(const Reader& reader, std::span<const Key> keys, std::span<Hit> hits,
                 Time now) const;

  // find(), and when that gives nothing: a flight, or a place among the waiters of the one under
  // way.
  Claim claim(const Reader& reader, std::string_view name, RecordType type, Time now,
              Notify notify);
  // A flight to refresh an entry that is still fresh; empty when somebody flies already.
  Flight claim_refresh(std::string_view name, RecordType type);
  // Gives a waiter's place up. When it returns, notify has run or never will.
  void forget(std::string_view name, RecordType type, uint64_t ticket);

  CacheStats stats() const;
  const CacheOptions& options() const { return options_; }

 private:
  friend class Reader;
  friend class Flight;

  static constexpr size_t kSlots = 8;
  static constexpr size_t kStripes = 64;
  // A slot is 0 or a pointer below 16 bits of the entry's hash.
  using Slot = std::atomic<uint64_t>;
  struct alignas(64) Bucket {
    std::array<Slot, kSlots> slots;
  };
  // Addresses without memory behind them until they are touched; then it is zeroes.
  struct Memory {
    explicit Memory(uint64_t bytes);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    std::span<std::byte> octets;
    void* mapped;
    size_t mapped_bytes;
  };

  struct FlightHash {
    using is_transparent = void;
    size_t operator()(const Question& question) const;
    size_t operator()(const FlightRecord* record) const;
  };
  struct FlightEqual {
    using is_transparent = void;
    bool operator()(const FlightRecord* a, const FlightRecord* b) const { return a == b; }
    bool operator()(const FlightRecord* record, const Question& question) const;
  };
  struct alignas(64) Stripe {
    Stripe();
    ~Stripe();
    mutable ShortLock mutex;  // guards all below, and who writes to the stripe's buckets
    absl::flat_hash_set<FlightRecord*, FlightHash, FlightEqual> flights;
    std::vector<std::unique_ptr<FlightRecord>> spare;  // ended, for the next to come
    uint64_t last_ticket = 0;
    uint64_t inserted = 0;
    uint64_t evicted = 0;
    uint64_t dropped = 0;
  };

  Question question_of(std::string_view name, RecordType type) const {
    return {options_.seed, name, type};
  }
  // The low half of the hash, scaled: any number of buckets will do, and the tag is of other bits.
  uint64_t index_of(uint64_t hash) const { return (hash & UINT32_MAX) * bucket_count_ >> 32; }
  Bucket& bucket_of(uint64_t hash) { return buckets_[index_of(hash)]; }
  const Bucket& bucket_of(uint64_t hash) const { return buckets_[index_of(hash)]; }
  Stripe& stripe_of(uint64_t hash) { return stripes_[index_of(hash) % kStripes]; }
  Hit look_up(const Question& question, Time now) const;
  void prefetch_entry(uint64_t hash) const;

  Landed land(FlightRecord& record, const Answer& answer, Time now, uint64_t random);
  void abandon(FlightRecord& record);
  Flight enlist(Stripe& stripe, const Question& question);
  static void tell_waiters(Stripe& stripe, FlightRecord& record);

  struct Draft;
  Draft draft(const Entry* old, RecordType type, const Answer& answer, Time now,
              uint64_t random) const;
  Time failure_pause(uint32_t failures, uint64_t random) const;
  bool make_room(size_t bytes, Time now);
  void evict_next(Time now, bool spare_positive);
  Slot* slot_for(const Question& question, Slot* same, Stripe& stripe, Time now);
  bool evict_worst(Bucket& bucket, Stripe& stripe, Time now, bool spare_positive);
  void publish(Slot& slot, uint64_t hash, Entry* entry);

  const CacheOptions options_;
  const uint64_t bytes_max_;
  const uint64_t bucket_count_;
  const Memory table_memory_;
  const Memory entry_memory_;
  Bucket* const buckets_;
  std::unique_ptr<Stripe[]> stripes_;
  Arena arena_;
  Reclaimer reclaimer_;

  alignas(64) std::atomic<uint64_t> hand_{0};
  alignas(64) std::atomic<uint64_t> entries_{0};
  std::atomic<uint64_t> entry_bytes_{0};
};

}  // namespace resolver_cache
