// TLS reports (RFC 8460): gathers what became of sessions, and tells the domains that ask.
//
// PURPOSE. note_tls_*() are said by deliveries, on any shard; what they say comes to the one
//   TlsReports, on shard 0. When a day of UTC is over it asks each domain's TXT record, makes the
//   reports of those that want one by mail, and drops each as a job into incoming/.
// WHAT COUNTS. A session that went by a policy other than "none", once: for the domain of the
//   first message that it carries, else, when it fails before that, for the domain whose MTA-STS
//   policy it went by, or one of the site's. Sessions that are in clear because TLS failed there a
//   while ago, and those that begin with a report, do not count.
// WHEN. A report goes at a time within kSpread after the day's end that is the domain's own. One
//   whose TXT record cannot be looked up is tried again every hour, until kGiveUp after the end.
// OWNERSHIP. The home shard outlives it. run() must have ended before it dies.
// THREAD. Shard 0's, but for note_tls_*(): the shard's of the lane.
// ERRORS. What cannot be written is logged and tried again.
// LIMITS. TlsResultLimits; results are lost while shard 0's mailbox is full. Saved every
//   kSaveInterval and at the end: a crash loses what came since. A crash between the drop of a
//   report and that may send it twice, under the same report-id.
// BUGS. A domain whose MTA-STS policy is in testing mode gets no results under "no-policy-found",
//   and none under "sts": what it showed was not compared with the policy. Failures to fetch a
//   policy are not told. An https: address gets no report: one log line a day says so.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/tls.h"
#include "engine/record/tls_report.h"
#include "engine/record/tls_results.h"
#include "engine/ring/pause.h"
#include "engine/ring/task.h"

namespace sluice {

class Lane;
class Shard;
struct Connection;

class TlsReports {
 public:
  static constexpr Duration kSpread = std::chrono::hours(4);
  static constexpr Duration kGiveUp = std::chrono::hours(48);
  static constexpr Duration kSaveInterval = std::chrono::minutes(1);

  explicit TlsReports(Shard& home);

  void add(const TlsResult& result);
  // Until the shard drains.
  Task<> run();
  void stop() { pause_.cut(); }

 private:
  using Key = std::pair<TlsDay, std::string>;

  Task<> load();
  Task<> save();
  Task<> send_due();
  Task<> send(Key key);
  Task<Status> drop(TlsDomainResults results, std::vector<std::string> recipients);
  TlsDomainResults reportable(const TlsDomainResults& results) const;
  bool try_again(const Key& key, const std::string& why, Duration pause);
  void say_https(const Key& key);

  Shard& home_;
  Pause pause_;
  TlsResults results_;
  uint64_t saved_ = 0;                // TlsResults::version()
  uint64_t left_out_ = 0;             // said already
  std::map<Key, WallTime> again_at_;  // not before
  std::set<std::string> testing_;     // domains whose MTA-STS policy is in testing mode
  TlsDay https_said_ = 0;
  std::string complaint_;
};

// When the report of a domain goes, after its day's end.
Duration tls_report_delay(const std::string& domain);

// The result type of RFC 8460 §4.3.
const char* tls_result_type(TlsFailureKind kind);

// The exchanger was not tried: what TLS must be there cannot be. REQUIRES: the plan skips it.
void note_tls_skip(Shard& shard, const Lane& lane, const Connection& connection);
// The handshake failed.
void note_tls_failure(Shard& shard, const Lane& lane, const Connection& connection,
                      const TlsFailure& failure);
// The conversation is over: counts what required TLS and was not offered it.
void note_tls_end(Shard& shard, const Lane& lane, const Connection& connection);
// While the session carries mail. True once it needs not be said again of that session.
bool note_tls_session(Shard& shard, const Lane& lane, const Connection& connection);

}  // namespace sluice
