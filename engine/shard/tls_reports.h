// TLS reports (RFC 8460): gathers what became of sessions, and tells the domains that ask.
//
// PURPOSE. note_tls_*() are said by deliveries, on any shard; what they say comes to the one
//   TlsReports, on shard 0. When a day of UTC is over it asks each domain's TXT record and makes
//   the reports of those that want one: by mail it drops a job into incoming/, by https: it posts.
// WHAT COUNTS. A session that went by a policy other than "none", once: for the domain of the
//   first message that it carries, else, when it fails before that, for the domain whose MTA-STS
//   policy it went by, or one of the site's. A fetch of an MTA-STS policy that fails counts as a
//   failed session of its own, though mail goes on without the policy. Sessions that are in clear
//   because TLS failed there a while ago, and those that begin with a report, do not count.
// TESTING. A domain whose MTA-STS policy is in testing mode has connections of its own, whose
//   sessions are never resumed: each is looked at as if the policy were enforced.
// WHEN. A report goes at a time within kSpread after the day's end that is the domain's own. One
//   whose TXT record cannot be looked up, or that its web server does not take (status 2xx), is
//   tried again every hour, until kGiveUp after the end; a web server that does not answer rests
//   for all reports. Its certificate is not asked for (RFC 8460 §3): a report tells of broken ones.
// OWNERSHIP. The home shard outlives it. run() must have ended before it dies.
// THREAD. Shard 0's, but for note_tls_*(): the shard's of the lane.
// ERRORS. What cannot be written is logged and tried again; a target that can never be reached is
//   told of and left out.
// LIMITS. TlsResultLimits; results are lost while shard 0's mailbox is full. Saved every
//   kSaveInterval, at the longest a request later, and at the end: a crash loses what came since.
// BUGS. Reports are posted one after another. Which targets have a report is not on disk: while one
//   of several has failed, the next start sends it to the others again, under the same report-id;
//   so do a crash behind a drop, and a stop while a report is being posted.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/tls.h"
#include "engine/record/tls_report.h"
#include "engine/record/tls_results.h"
#include "engine/resolve/sts_web.h"
#include "engine/resolve/web.h"
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

  void take_failures();
  Task<> load();
  Task<> save();
  Task<> send_due();
  Task<> send(Key key);
  Task<bool> tell(Key key, TlsDomainResults results, std::optional<TlsReportTargets> targets);
  Task<Status> drop(TlsDomainResults results, std::vector<std::string> recipients);
  Task<Status> post(TlsDomainResults results, std::string url);
  Task<WebAnswer> ask_web(WebRequest request);
  bool try_again(const Key& key, const std::string& why, Duration pause);

  // A report that is to be tried again.
  struct Waiting {
    WallTime again_at{};         // not before
    std::set<std::string> told;  // targets that have it, or never will
    std::set<std::string> said;  // why it waits
  };

  Shard& home_;
  Pause pause_;
  TlsResults results_;
  uint64_t saved_ = 0;     // TlsResults::version()
  uint64_t left_out_ = 0;  // said already
  std::map<Key, Waiting> waiting_;
  std::map<std::string, WallTime> resting_;  // web servers that failed, until then
  std::string complaint_;
};

// When the report of a domain goes, after its day's end.
Duration tls_report_delay(const std::string& domain);

// The result types of RFC 8460 §4.3.
const char* tls_result_type(TlsFailureKind kind);
const char* tls_result_type(StsFault fault);

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
