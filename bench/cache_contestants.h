// What the cache is measured against, each behind the same three calls:
//   read(name, now)   looks a name up and reads its remaining TTL and its exchanger's last octet;
//                     returns the sum of both, 0 when the name is not there
//   write(i, name)    lands a refreshed answer of a name that is there
//   rest()            between turns: no pointer is held
// All use the cache's own hash_name(), so the hash costs the same for all. The others' keys are the
// name alone, since there is one type: a little in their favour.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "bench/cache_names.h"
#include "resolver_cache/cache.h"
#include "resolver_cache/name_hash.h"

namespace cache_bench {

using resolver_cache::RecordType;
using resolver_cache::Time;

inline constexpr Time kNow = std::chrono::hours(1);
inline constexpr uint32_t kTtl = 3'600;

// What comes from the network, decoded: one a thread, and making it costs all contestants the same
// little. What is kept of it is the contestant's own copy.
class Incoming {
 public:
  Incoming() {
    answer_.kind = resolver_cache::AnswerKind::kPositive;
    answer_.ttl = kTtl;
    answer_.items = {{10, ""}};
  }
  const resolver_cache::Answer& answer(uint64_t i, std::string_view name) {
    static const std::vector<std::string> exchangers = [] {
      std::vector<std::string> all;
      for (uint64_t n = 0; n < 5'000; ++n) all.push_back("mx1." + domain_name(n));
      return all;
    }();
    answer_.canonical.assign(name);
    answer_.items.front().data.assign(exchangers[i % exchangers.size()]);
    return answer_;
  }

 private:
  resolver_cache::Answer answer_;
};

struct Hash {
  size_t operator()(std::string_view name) const {
    return resolver_cache::hash_name(0, name, RecordType::kMx);
  }
  using is_transparent = void;
};

struct Value {
  Time expires;
  uint16_t preference = 10;
  std::string exchanger;
};

inline uint64_t use(Time left, std::string_view exchanger) {
  return static_cast<uint64_t>(left.count()) + static_cast<unsigned char>(exchanger.back());
}

inline Value value_of(const resolver_cache::Answer& answer) {
  const resolver_cache::Item& item = answer.items.front();
  return {kNow + std::chrono::seconds(answer.ttl), item.preference, item.data};
}

using Map = absl::flat_hash_map<std::string, Value, Hash, std::equal_to<>>;

class Ours {
 public:
  explicit Ours(uint32_t names) : cache_(options(names)) {
    Local local(*this);
    for (uint32_t i = 0; i < names; ++i) {
      local.write(i, domain_name(i));
      local.rest();
    }
  }
  class Local {
   public:
    explicit Local(Ours& ours) : cache_(ours.cache_), reader_(ours.cache_) {}
    uint64_t read(std::string_view name) const {
      const auto* entry = cache_.find(reader_, name, RecordType::kMx, kNow).entry;
      return entry == nullptr ? 0 : use_entry(*entry);
    }
    void write(uint64_t i, std::string_view name) {
      // Empty when the other thread refreshes the same name: then there is nothing to do.
      resolver_cache::Flight flight = cache_.claim_refresh(name, RecordType::kMx);
      if (flight) static_cast<void>(flight.land(reader_, incoming_.answer(i, name), kNow, i));
    }
    void rest() { reader_.quiescent(); }
    const resolver_cache::Cache& cache() const { return cache_; }
    const resolver_cache::Reader& reader() const { return reader_; }

    static uint64_t use_entry(const resolver_cache::Entry& entry) {
      uint64_t sum = 0;
      entry.for_each_item([&](const resolver_cache::ItemView& item) {
        sum += use(entry.times().expires - kNow, item.data);
      });
      return sum;
    }

   private:
    resolver_cache::Cache& cache_;
    resolver_cache::Reader reader_;
    Incoming incoming_;
  };

 private:
  static resolver_cache::CacheOptions options(uint32_t names) {
    resolver_cache::CacheOptions options;
    options.entries_max = names + names / 8;
    return options;
  }
  resolver_cache::Cache cache_;
};

// 64 shards of absl::Mutex and flat_hash_map. The reader copies the value into a buffer that it
// keeps: without a copy it could use nothing after unlocking, and a shared_ptr would be one more
// read-modify-write on memory that all threads share.
class ShardedMutex {
 public:
  explicit ShardedMutex(uint32_t names) : shards_(kShards) {
    for (Shard& shard : shards_) shard.map.reserve(names / kShards);
    Incoming incoming;
    for (uint32_t i = 0; i < names; ++i) {
      const std::string name = domain_name(i);
      shard_of(Hash{}(name)).map.emplace(name, value_of(incoming.answer(i, name)));
    }
  }
  class Local {
   public:
    explicit Local(ShardedMutex& table) : table_(table) {}
    uint64_t read(std::string_view name) {
      const size_t hash = Hash{}(name);
      Shard& shard = table_.shard_of(hash);
      {
        const absl::MutexLock lock(&shard.mutex);
        const auto found = shard.map.find(name, hash);
        if (found == shard.map.end()) return 0;
        copy_.expires = found->second.expires;
        copy_.preference = found->second.preference;
        copy_.exchanger.assign(found->second.exchanger);
      }
      return use(copy_.expires - kNow, copy_.exchanger);
    }
    void write(uint64_t i, std::string_view name) {
      Value value = value_of(incoming_.answer(i, name));
      const size_t hash = Hash{}(name);
      Shard& shard = table_.shard_of(hash);
      const absl::MutexLock lock(&shard.mutex);
      const auto found = shard.map.find(name, hash);
      if (found != shard.map.end()) std::swap(found->second, value);
    }
    void rest() {}

   private:
    ShardedMutex& table_;
    Incoming incoming_;
    Value copy_;
  };

 private:
  static constexpr size_t kShards = 64;
  struct alignas(64) Shard {
    absl::Mutex mutex;
    Map map;
  };
  // Of the hash's middle: the map inside uses its ends.
  Shard& shard_of(size_t hash) { return shards_[hash >> 32 & (kShards - 1)]; }
  std::vector<Shard> shards_;
};

// A map of its own for each thread: nothing is shared, everything is kept (and asked of the
// network) once a thread.
class PrivateMaps {
 public:
  explicit PrivateMaps(uint32_t names) : names_(names) {}
  class Local {
   public:
    explicit Local(PrivateMaps& maps) : map_(maps.next()) {}
    uint64_t read(std::string_view name) const {
      const auto found = map_.find(name);
      return found == map_.end() ? 0 : use(found->second.expires - kNow, found->second.exchanger);
    }
    void write(uint64_t i, std::string_view name) {
      Value value = value_of(incoming_.answer(i, name));
      const auto found = map_.find(name);
      if (found != map_.end()) std::swap(found->second, value);
    }
    void rest() {}

   private:
    Map& map_;
    Incoming incoming_;
  };

 private:
  static constexpr size_t kThreadsMax = 2;
  Map& next() {
    const absl::MutexLock lock(&mutex_);
    Map& map = maps_[next_++ % kThreadsMax];
    if (map.empty()) {
      map.reserve(names_);
      Incoming incoming;
      for (uint32_t i = 0; i < names_; ++i) {
        const std::string name = domain_name(i);
        map.emplace(name, value_of(incoming.answer(i, name)));
      }
    }
    return map;
  }
  const uint32_t names_;
  absl::Mutex mutex_;
  size_t next_ = 0;
  Map maps_[kThreadsMax];
};

}  // namespace cache_bench
