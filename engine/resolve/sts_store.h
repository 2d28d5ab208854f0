// The MTA-STS policies that this host knows, and when they are to be asked for (RFC 8461 §3.3,
// §5.1): one store for all shards.
//
// RULES. A policy holds from its fetch until max_age is over, whatever DNS or the web say
//   meanwhile, unless a newer one replaces it. Only a live TXT record makes anybody fetch:
//     its id is that of the policy that holds   nothing, or a refresh once half of max_age or a day
//                                               has gone by, whichever is sooner
//     another id, or nothing holds              a fetch; mail of that domain is held for it
//     the fetch of it fails                     what holds goes on holding; that id is not fetched
//                                               again for 5 minutes, doubling to an hour, and no
//                                               mail is held for it any more
//   One fetch per domain at a time in the whole process.
// THREAD. Any: one lock, held for a look-up; asked when a route is made, never by a message.
// OWNERSHIP. Policies are immutable and shared. The store outlives every fetch (take()).
// TIME. Handed in; the wall clock, since policies outlive the process. One set back makes a policy
//   hold longer, never shorter.
// ERRORS. None.
// DISK. saved() and restore() are values; the caller keeps them (sts_file.h).
// LIMITS. `domains_max` and `bytes_max`; who was not asked for the longest goes first, but not
//   while it is fetched. Who claimed a fetch and never came back: after `pending_max` it counts as
//   failed.
// BUGS. A domain that withdraws its TXT record without a policy of mode none is held to its old
//   policy until that ends, as the RFC wants it; there is no refresh without a TXT record.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/strings.h"
#include "engine/base/time.h"
#include "engine/model/sts.h"
#include "engine/resolve/sts_web.h"

namespace sluice {

struct StsLimits {
  uint32_t domains_max = 50'000;
  uint64_t bytes_max = 64UL << 20;  // of domains and patterns
  Duration retry_min = std::chrono::minutes(5);
  Duration retry_max = std::chrono::hours(1);
  Duration refresh_max = std::chrono::hours(24);
  Duration pending_max = std::chrono::seconds(90);
  size_t failures_max = 0;  // that wait for take_failures(); further ones are not told
};

// What the TXT record says, as far as it is known.
struct StsRecord {
  enum class Kind : uint8_t {
    kUnknown,  // the lookup failed or takes too long
    kNone,     // there is none, or none that is well-formed
    kId,
  };
  Kind kind = Kind::kUnknown;
  std::string id;
};

struct StsAdvice {
  StsPolicyPtr policy;   // holds now; null: none
  bool fetch = false;    // the caller fetches, and says take() once
  bool pending = false;  // a fetch is under way that mail is to be held for
};

// A fetch that gave no policy.
struct StsFailure {
  std::string domain;
  StsFault fault = StsFault::kFetch;
  std::string reason;
  friend bool operator==(const StsFailure&, const StsFailure&) = default;
};

// A policy that outlives the process.
struct SavedStsPolicy {
  std::string domain;
  StsPolicy policy;
  friend bool operator==(const SavedStsPolicy&, const SavedStsPolicy&) = default;
};

class StsStore {
 public:
  explicit StsStore(const StsLimits& limits) : limits_(limits) {}
  StsStore() : StsStore(StsLimits()) {}
  StsStore(const StsStore&) = delete;
  StsStore& operator=(const StsStore&) = delete;

  // `domain`: canonical text.
  StsAdvice consult(std::string_view domain, const StsRecord& record, WallTime now);
  // The end of a fetch that consult() asked for under that id and time.
  void take(std::string_view domain, const std::string& id, WallTime begun,
            const StsFetched& fetched);
  // For people: what is known of the domain and how the last fetch ended; empty: nothing.
  std::string describe(std::string_view domain, WallTime now) const;

  // Since the last call, in order.
  std::vector<StsFailure> take_failures();

  // What holds at `now`, by domain.
  std::vector<SavedStsPolicy> saved(WallTime now) const;
  // Adds what still holds; what is known already is not replaced.
  void restore(const std::vector<SavedStsPolicy>& policies, WallTime now);
  // Another one than before: saved() has changed.
  uint64_t version() const;
  size_t domains() const;

 private:
  struct Entry {
    std::string domain;
    StsPolicyPtr policy;
    bool fetching = false;
    std::string fetching_id;
    WallTime fetching_since{};
    std::string held_for;     // the id that mail is held for, since
    WallTime held_since{};    // then
    std::string tried_id;     // of the last fetch that ended
    uint32_t failures = 0;    // of that id in a row
    WallTime next_fetch{};    // of that id, not before
    std::string last_reason;  // of the last failure
  };
  using Entries = std::list<Entry>;  // who was asked for last comes first

  Entry* find(std::string_view domain);
  Entry& find_or_add(std::string_view domain);
  void end_overdue(Entry& entry, WallTime now);
  bool may_fetch(const Entry& entry, const std::string& id, WallTime now) const;
  bool holds_mail(Entry& entry, const std::string& id, WallTime now) const;
  bool is_refresh_due(const StsPolicy& policy, WallTime now) const;
  void fail(Entry& entry, const std::string& id, WallTime begun, StsFault fault,
            std::string reason);
  void set_policy(Entry& entry, StsPolicyPtr policy);
  void make_room();

  const StsLimits limits_;
  mutable std::mutex mutex_;  // guards all below
  Entries entries_;
  StringMap<Entries::iterator> by_domain_;
  std::vector<StsFailure> failures_;
  uint64_t bytes_ = 0;
  uint64_t version_ = 0;
};

}  // namespace sluice
