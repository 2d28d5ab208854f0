// Invariant 9: what each connection was, in clear or encrypted, and what the mail on it had to
// have.
//
// A connection is what its receiver saw: whether STARTTLS was offered, refused, begun, and how good
// the certificate of its session is (of one that was resumed: when it was first made). What mail
// must have is what the configuration, a rule and its job say; of rule and configuration the rule,
// unless the configuration says that nothing goes in clear.
// OWNERSHIP. The Witness'. THREAD. One. ERRORS. Words of what is wrong; nothing when all is well.
// BUGS. That opportunistic mail goes in clear is excused by any connection to the exchanger on
// which STARTTLS was offered and nothing came of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "engine/base/net.h"
#include "engine/model/policy.h"
#include "tests/sim/network.h"
#include "tests/sim/tls.h"

namespace sluice::sim {

// What mail must have in this world.
struct AllowedTls {
  TlsPolicy policy = TlsPolicy::kNone;         // where no rule says otherwise
  std::map<std::string, TlsPolicy> by_domain;  // rules
  std::map<std::string, TlsPolicy> by_job;     // at least; by the name of the drop
  std::map<IpAddress, std::string> names;      // of exchangers
  // Of exchangers with TLSA records that DNSSEC proves: the digest that their certificate has.
  // Nothing else, and no other policy, is good enough there.
  std::map<IpAddress, std::string> digests;

  TlsPolicy of(const std::string& domain, const std::string& job) const;
};

// What mail has that has either.
TlsPolicy weaker(TlsPolicy a, TlsPolicy b);

class TlsBook {
 public:
  explicit TlsBook(const AllowedTls& allowed) : allowed_(allowed) {}

  void on_offer(const Line& line);
  // 454: who need not encrypt may go on.
  void on_refusal(const Line& line);
  // A reply was put behind the acceptance of STARTTLS.
  void on_injected(const Line& line);
  std::optional<std::string> on_encrypted(const Line& line, const Certificate& certificate);
  // Any command within TLS.
  std::optional<std::string> on_command(const Line& line);
  // MAIL or RCPT, or a content, of mail that must have this.
  std::optional<std::string> on_mail(const Line& line, TlsPolicy needed);

 private:
  struct Known {
    bool offered = false;  // and not refused
    bool refused = false;
    bool injected = false;
    bool carries_mail = false;  // in clear
    std::optional<Certificate> certificate;
  };
  std::optional<std::string> on_dane(const Known& known, const std::string& digest) const;
  bool is_good(const Line& line, const Certificate& certificate) const;

  const AllowedTls& allowed_;
  std::map<uint64_t, Known> lines_;
  // Connections on which STARTTLS was offered and neither TLS nor mail came.
  std::map<IpAddress, std::set<uint64_t>> broken_;
};

}  // namespace sluice::sim
