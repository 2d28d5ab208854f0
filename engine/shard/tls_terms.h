// What TLS must be for the mail of a lane, and what that means towards one exchanger.
//
// PURPOSE. Job, rule, configuration, DANE and MTA-STS each ask for something, and the strictest
//   wins. LaneTerms are what sets the mail of one lane apart from that of others to the same site;
//   plan_tls() is the table that joins all of it for one exchanger. Pure.
// THE TABLE, the first row that fits:
//     DANE, lookup failed                     the exchanger is skipped
//     DANE, records                           must match them ("dane"); never rescued by another
//     MTA-STS enforce, exchanger not in it    skipped
//     MTA-STS enforce                         must be the exchanger's certificate ("mta-sts")
//     the strictest of job, rule, [tls], and  as it says
//     "required" where DANE has records of
//     which none can be used ("dane")
//   MTA-STS in testing mode changes none of it: the peer's certificate is looked at, for the
//   reports.
// THREAD. A shard's. ERRORS. None.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/time.h"
#include "engine/converse/dialog.h"
#include "engine/model/policy.h"
#include "engine/model/route.h"
#include "engine/model/sts.h"
#include "engine/model/tls.h"

namespace sluice {

struct LaneTerms {
  TlsPolicy job = TlsPolicy::kNone;  // at least
  // DNS vouches for the domain's MX records: what it says of the exchangers' certificates counts.
  bool dane = false;
  // Whose MTA-STS policy is enforced, or tested and told of: such a domain has a lane of its own;
  // else empty.
  std::string domain;
  StsPolicyPtr sts;  // with `domain`; may be replaced by a newer one

  bool is_plain() const { return job == TlsPolicy::kNone && !dane && domain.empty(); }
  bool is_same(const LaneTerms& other) const {
    return job == other.job && dane == other.dane && domain == other.domain;
  }
};
// "", "required", "dane", "mta-sts example.com", with commas between: for people.
std::string to_string(const LaneTerms& terms);
// Of a domain's mail. `reports`: TLS reports are made, which tell of policies in testing mode.
LaneTerms terms_of(TlsPolicy job, std::string_view domain, const Route& route, bool reports);

// What became of TLS with the exchangers of a site, as far as it is to be remembered.
class TlsMemory {
 public:
  // Of so many exchangers; the ones that matter no more soonest are forgotten.
  static constexpr size_t kExchangersMax = 256;

  struct Note {
    Instant broken_until{};  // handshakes fail: opportunistic mail goes in clear
    std::string why;
    Instant wanted_until{};  // it takes no mail in clear (530)
  };
  // Null when there is nothing to be remembered at `now`.
  const Note* find(std::string_view exchanger, Instant now) const;
  void broke(const std::string& exchanger, std::string why, Instant now, Instant until);
  // "mx.example.com: opportunistic mail goes in clear for the next 43m: handshake failed".
  std::vector<std::string> words(Instant now) const;
  void wants(const std::string& exchanger, Instant now, Instant until);

 private:
  Note& note(const std::string& exchanger, Instant now);

  std::map<std::string, Note, std::less<>> notes_;
};

// Sessions that could carry mail, and handshakes that failed, since the start.
struct TlsCounts {
  uint64_t full = 0;
  uint64_t resumed = 0;
  uint64_t clear = 0;
  std::array<uint64_t, kTlsFailureKinds> failed{};  // by TlsFailureKind

  void merge(const TlsCounts& other);
};

struct TlsPlan {
  bool skip = false;  // not this exchanger, for now
  std::string why;    // skipped, or in clear though TLS would have been used: why
  StartTls starttls = StartTls::kNever;
  TlsDemand demand;
  // When the handshake fails it is tried once more, without.
  bool falls_back = false;
  const char* policy = "none";  // for the record; a literal
};
// `policy`: the strictest of rule and configuration; `memory`: of this exchanger, may be null.
TlsPlan plan_tls(TlsPolicy policy, const LaneTerms& terms, const Exchanger& exchanger,
                 const TlsMemory::Note* memory, Instant now);

}  // namespace sluice
