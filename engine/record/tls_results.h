// What became of TLS towards each policy domain on each day of UTC: what reports (RFC 8460) are
// made of.
//
// PURPOSE. Takes the result of one session after the other, and holds per day and domain: which
//   policies were applied, how many sessions passed and failed under each, and the failures that
//   are alike, counted together. Its text outlives the process.
// FORMAT of the file SPOOL/tls-results.json. One JSON object, a line for each day and domain;
//   "policies" is as RFC 8460 §4.4 has it:
//     {"version":1,"results":[
//     {"day":"2026-11-22","domain":"example.com","policies":[...]}
//     ]}
// THREAD. One at a time; pure.
// ERRORS. A file that is no such object is an error as a whole; a line of it that is not as it is
//   written here is left out and counted.
// LIMITS. TlsResultLimits. What exceeds them: sessions of further domains and policies are not
//   counted in any report (left_out()); of further kinds of failure the count alone is kept.
// BUGS. No checksum: a digit that changed is not noticed.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"

namespace sluice {

// Days since 1970, UTC.
using TlsDay = int64_t;
inline constexpr int64_t kSecondsOfDay = 86'400;
TlsDay tls_day_of(WallTime time);
// When it begins.
WallTime begin_of(TlsDay day);
// "2026-11-22", and back.
std::string to_string_of_day(TlsDay day);
std::optional<TlsDay> parse_tls_day(std::string_view text);

enum class TlsPolicyType : uint8_t { kNoPolicyFound, kTlsa, kSts };
// "no-policy-found", "tlsa", "sts".
const char* name_of(TlsPolicyType type);

// The policy that a session went by.
struct TlsApplied {
  TlsPolicyType type = TlsPolicyType::kNoPolicyFound;
  std::vector<std::string> strings;  // the policy itself: RFC 8460 §4.4, policy-string
  std::vector<std::string> mx;       // patterns of the policy, or whose TLSA records they are
  auto operator<=>(const TlsApplied&) const = default;
};

// Why a session failed and between whom. What is not known is empty.
struct TlsFailed {
  std::string result;  // RFC 8460 §4.3: "certificate-expired"
  std::string sending_address;
  std::string exchanger;
  std::string receiving_address;
  std::string reason;  // in words
  auto operator<=>(const TlsFailed&) const = default;
};

// Of one session.
struct TlsResult {
  std::string domain;  // the policy domain, as A-labels in lower case
  TlsApplied applied;
  std::optional<TlsFailed> failed;
};

struct TlsPolicyCounts {
  TlsApplied applied;
  uint64_t passed = 0;
  uint64_t failed = 0;
  std::map<TlsFailed, uint64_t> failures;  // may add up to less than `failed`
  friend bool operator==(const TlsPolicyCounts&, const TlsPolicyCounts&) = default;
};

struct TlsDomainResults {
  TlsDay day = 0;
  std::string domain;
  std::vector<TlsPolicyCounts> policies;
  friend bool operator==(const TlsDomainResults&, const TlsDomainResults&) = default;
};

struct TlsResultLimits {
  size_t domains_max = 10'000;  // of all days together
  size_t policies_max = 8;      // of a domain and day
  size_t failures_max = 32;     // of a policy: kinds of them
  size_t strings_max = 64;      // of a policy
  size_t text_bytes_max = 256;  // each
};

class TlsResults {
 public:
  explicit TlsResults(const TlsResultLimits& limits) : limits_(limits) {}
  TlsResults() : TlsResults(TlsResultLimits()) {}

  // An address literal, or a name with unusual octets, is no policy domain: nothing is counted.
  void add(TlsDay day, const TlsResult& result);
  // What was counted before, in another process.
  void add(const TlsDomainResults& results);
  // Days before `today`, by day and domain.
  std::vector<std::pair<TlsDay, std::string>> ended(TlsDay today) const;
  // Null: there is nothing.
  const TlsDomainResults* find(TlsDay day, const std::string& domain) const;
  void remove(TlsDay day, const std::string& domain);

  // Sessions that found no room.
  uint64_t left_out() const { return left_out_; }
  // Another one than before: something has changed.
  uint64_t version() const { return version_; }
  bool empty() const { return domains_.empty(); }
  std::string file_text() const;

 private:
  TlsPolicyCounts* counts_of(TlsDay day, const std::string& domain, const TlsApplied& applied);
  void add_failure(const TlsFailed& failed, uint64_t count, TlsPolicyCounts& counts) const;
  TlsApplied bounded(const TlsApplied& applied) const;

  TlsResultLimits limits_;
  std::map<std::pair<TlsDay, std::string>, TlsDomainResults> domains_;
  uint64_t left_out_ = 0;
  uint64_t version_ = 0;
};

inline constexpr std::string_view kTlsResultsFileName = "tls-results.json";
// For whoever reads it: a larger one is refused.
inline constexpr uint64_t kTlsResultsFileBytesMax = 256UL << 20;

struct TlsResultsFile {
  std::vector<TlsDomainResults> results;
  size_t left_out = 0;
};
StatusOr<TlsResultsFile> parse_tls_results(std::string_view text);

}  // namespace sluice
