// Whoever watches the world: what the engine may never do, checked when it happens.
//
// PURPOSE. Sees octets on the network, what is durable on the disk, and the counts that the engine
//   shows; keeps count by the design's invariants and fails the test at the first that is broken,
//   naming it by its number. Knows nothing of the engine's own state.
//    1  the ten counts add up; what was taken stays taken; each row ends once, for a reason
//    2  nothing is shown as final that is not durable; nobody gets mail again who had it for sure,
//       nor more often than the record and the power cuts excuse; attempts and due times survive;
//       the event record misses no verdict
//    3  connections, dials, messages on a connection, messages in time, each from its own source,
//       by site, provider and job (limit_book.h)
//    7  no attempt is planned past the lifetime
//    8  nothing of one recipient in another's message or envelope
//    9  mail that must be encrypted, or go to whoever has the right certificate, does (tls_book.h)
//   11  a drain lets what is in flight end
// HOW IT IS TOLD. Receivers, the Network and the Disk call it through Scene; nobody else does.
// OWNERSHIP. Lives as long as the Scene. THREAD. One.
// LIMITS. A recipient stands in one list once, unless that list names it as a duplicate.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/shard/intake.h"
#include "tests/sim/disk.h"
#include "tests/sim/ledger.h"
#include "tests/sim/limit_book.h"
#include "tests/sim/network.h"
#include "tests/sim/tls_book.h"
#include "tests/sim/world.h"

namespace sluice::sim {

// What holds in this world. Limits of 0 are not looked at.
struct Allowed {
  AllowedLimits limits;
  AllowedTls tls;
  uint32_t messages_per_line = 0;  // that the receiver accepted a sender for
  uint32_t sender_bounces = 0;     // by refused senders, of one source at one exchanger and process
  Duration lifetime = std::chrono::hours(72);
  std::map<std::string, IpAddress> sources;               // by their EHLO name
  std::map<std::string, std::set<IpAddress>> exchangers;  // by domain
  std::set<std::string> bounced_by_dns;                   // domains whose names say: no mail
};

class Witness {
 public:
  Witness(World& world, const Network& network, std::string spool, uint64_t seed);
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;

  Allowed allowed;

  // Something is broken: there is no use in going on.
  bool broken() const { return broken_; }
  void violate(int invariant, const std::string& what);

  // --- what happens; `rows` are all of the list, the bad ones too
  void expect_job(const std::string& name, int64_t rows, const std::vector<std::string>& good);
  void on_start();
  void on_crash(const Disk& left);  // it excuses what was in flight
  void on_end(const Disk& left);    // it excuses nothing
  void on_drain(Duration timeout);
  void on_step(const std::vector<JobStatus>& jobs);
  void on_synced(const Disk& disk, const std::string& path);

  // --- what receivers see
  void on_dial(const Line& line);
  void on_line(const Line& line);
  void on_hello(const Line& line, const std::string& name);
  // Of STARTTLS.
  void on_offer(const Line& line) { tls_.on_offer(line); }
  void on_no_tls(const Line& line) { tls_.on_refusal(line); }
  void on_injected(const Line& line) { tls_.on_injected(line); }
  void on_encrypted(const Line& line, const Certificate& certificate);
  void on_command_within_tls(const Line& line);
  void on_mail(const Line& line, uint16_t code, uint32_t accepted_before);
  void on_nested_mail(const Line& line);
  void on_recipient(const Line& line, const std::string& recipient, uint16_t code);
  void on_content_refused(const std::string& recipient, uint16_t code);
  void on_taken(const Line& line, const std::vector<std::string>& recipients,
                const std::string& content);

  // --- at the end
  // Each durable verdict has an event.
  void check_events(const Disk& disk, const std::string& directory);
  uint32_t times_taken(const std::string& recipient) const;

 private:
  struct Recipient {
    std::vector<LedgerEntry> entries;  // durable, in their order
    uint32_t attempts = 0;             // the highest durable number
    uint32_t maybe = 0;
    uint32_t excuses = 0;  // power cuts while it was not final
    uint32_t taken = 0;
    std::string job;       // by the name of the drop
    bool refused = false;  // for good, by a receiver
    bool is_final = false;
    uint64_t line_taken = 0;
    std::string message_id;
    std::optional<IpAddress> source;
  };
  using Pair = std::pair<IpAddress, IpAddress>;  // source, exchanger

  void learn(const RowKey& key, LedgerEntry entry);
  void check_final(const LedgerEntry& entry, const Recipient& recipient);
  void check_bounce(const LedgerEntry& entry, const Recipient& recipient);
  void check_counts(const JobStatus& job);
  void check_limit(const Line& line, const std::optional<std::string>& wrong);
  void check_tls(const Line& line, const std::optional<std::string>& wrong);
  TlsPolicy tls_needed(const std::string& who) const;
  // That any mail for this exchanger must have.
  TlsPolicy least_needed(const IpAddress& exchanger);
  void check_content(const std::string& recipient, const std::string& content);
  // What is new of it; `is_whole`: nothing follows, and it may have a torn end.
  void read_journal(const Disk& disk, const std::string& name, bool is_whole);
  std::string words(const Line& line) const;

  World& world_;
  const std::string spool_;
  const uint64_t seed_;
  bool broken_ = false;
  LimitBook book_;
  TlsBook tls_;
  std::map<IpAddress, TlsPolicy> least_needed_;
  std::map<std::string, int64_t> rows_of_job_;               // by the name of the drop
  std::map<std::string, int64_t> taken_so_far_;              // by job id, of this process
  std::map<std::string, std::map<State, int64_t>> durable_;  // final rows by job id
  std::map<RowKey, std::string> addresses_;
  std::map<std::string, size_t> journals_;        // verdicts known of each file
  std::map<std::string, JournalReader> readers_;  // of those that grow
  std::map<std::string, Recipient> recipients_;
  std::map<std::string, std::string> whose_id_;
  std::map<Pair, uint32_t> sender_bounces_;
  std::set<IpAddress> refused_sender_;  // exchangers that refused a sender for good
  Instant drain_deadline_ = kForever;
  WallTime drain_ends_{};
};

}  // namespace sluice::sim
