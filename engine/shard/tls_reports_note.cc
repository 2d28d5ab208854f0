// What deliveries say of their sessions for TLS reports.
#include <string_view>

#include "engine/resolve/sts_policy.h"
#include "engine/shard/intake.h"
#include "engine/shard/shard.h"
#include "engine/shard/targets.h"
#include "engine/shard/tls_reports.h"
#include "engine/shard/tls_reports_mail.h"

namespace sluice {
namespace {

constexpr std::string_view kNotSupported = "starttls-not-supported";
constexpr std::string_view kMisfit = "validation-failure";

bool counts(const Shard& shard, const Connection& c) {
  const bool planned = c.tls_plan.skip || c.tls_plan.starttls != StartTls::kNever;
  return planned && !shard.config().tls.report_from.empty();
}

std::string hexadecimal(std::string_view octets) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : octets) {
    const auto octet = static_cast<unsigned char>(c);
    out += kDigits[octet >> 4];
    out += kDigits[octet & 15];
  }
  return out;
}

TlsApplied dane_of(const Connection& c) {
  TlsApplied applied;
  applied.type = TlsPolicyType::kTlsa;
  for (const TlsaRecord& record : c.tls_plan.demand.tlsa) {
    applied.strings.push_back(std::to_string(record.usage) + " " + std::to_string(record.selector) +
                              " " + std::to_string(record.matching) + " " +
                              hexadecimal(record.data));
  }
  const std::string& base = c.tls_plan.demand.server_name;
  applied.mx = {base.empty() ? c.exchanger : base};
  return applied;
}

TlsApplied sts_of(const Lane& lane) {
  TlsApplied applied;
  applied.type = TlsPolicyType::kSts;
  const StsPolicyPtr policy = lane.terms().sts;
  if (policy == nullptr) return applied;
  using std::chrono::seconds;
  applied.strings = {"version: STSv1",
                     policy->mode == StsMode::kEnforce ? "mode: enforce" : "mode: testing"};
  for (const std::string& pattern : policy->mx) applied.strings.push_back("mx: " + pattern);
  applied.strings.push_back("max_age: " +
                            std::to_string(std::chrono::floor<seconds>(policy->max_age).count()));
  applied.mx = policy->mx;
  return applied;
}

// By an MTA-STS policy in testing mode.
bool is_tested(const Connection& c) { return c.tls_plan.demand.peer != nullptr; }

TlsResult result_of(const Lane& lane, const Connection& c) {
  TlsResult result;
  result.domain = lane.terms().domain.empty() ? lane.site().domain : lane.terms().domain;
  const std::string_view policy = c.tls_plan.policy;
  if (policy == "dane") result.applied = dane_of(c);
  if (policy == "mta-sts" || is_tested(c)) result.applied = sts_of(lane);
  return result;
}

void fail(Shard& shard, const Lane& lane, const Connection& c, std::string_view type,
          const std::string& reason, TlsResult& result) {
  TlsFailed failed;
  failed.result = type;
  failed.exchanger = c.exchanger;
  failed.reason = reason;
  if (!c.tls_plan.skip) {
    const IpAddress& peer = c.channel.peer().ip;
    failed.receiving_address = to_string(peer);
    const Source& source = shard.config().sources[lane.source()];
    if (const auto local = local_address(source, peer.family)) {
      failed.sending_address = to_string(*local);
    }
  }
  result.failed = std::move(failed);
}

// What an enforced policy would have made fail.
void test(Shard& shard, const Lane& lane, const Connection& c, TlsResult& result) {
  const StsPolicyPtr policy = lane.terms().sts;
  const TlsPeer& peer = *c.tls_plan.demand.peer;
  const WallTime now = shard.wall_now();
  if (policy != nullptr && !sts_matches(*policy, c.exchanger)) {
    fail(shard, lane, c, kMisfit, "the domain's MTA-STS policy does not name it", result);
  } else if (!peer.trusted) {
    const bool expired = peer.valid_until < now || peer.valid_from > now;
    const auto kind = expired ? TlsFailureKind::kExpired : TlsFailureKind::kNotTrusted;
    fail(shard, lane, c, tls_result_type(kind), "certificate " + peer.subject + ": " + peer.why_not,
         result);
  } else if (peer.fits.empty()) {
    fail(shard, lane, c, tls_result_type(TlsFailureKind::kHostMismatch),
         "certificate " + peer.subject + ": not for " + c.exchanger, result);
  }
}

void tell_failure(Shard& shard, const Lane& lane, const Connection& c, std::string_view type,
                  const std::string& reason) {
  TlsResult result = result_of(lane, c);
  fail(shard, lane, c, type, reason, result);
  shard.peers().tls_result(std::move(result));
}

const InFlight* first_taken(const Connection& c) {
  for (const InFlight& flight : c.in_flight) {
    if (flight.taken) return &flight;
  }
  return nullptr;
}

}  // namespace

const char* tls_result_type(TlsFailureKind kind) {
  switch (kind) {
    case TlsFailureKind::kHostMismatch:
      return "certificate-host-mismatch";
    case TlsFailureKind::kExpired:
      return "certificate-expired";
    case TlsFailureKind::kNotTrusted:
      return "certificate-not-trusted";
    case TlsFailureKind::kHandshake:
    case TlsFailureKind::kTlsaMismatch:
    case TlsFailureKind::kTruncated:
    case TlsFailureKind::kTimedOut:
      return "validation-failure";
  }
  return "validation-failure";
}

const char* tls_result_type(StsFault fault) {
  switch (fault) {
    case StsFault::kFetch:
      return "sts-policy-fetch-error";
    case StsFault::kInvalid:
      return "sts-policy-invalid";
    case StsFault::kCertificate:
      return "sts-webpki-invalid";
  }
  return "sts-policy-fetch-error";
}

void Peers::tls_result(TlsResult result) {
  (void)post(0, [this, result = std::move(result)] {
    if (intake != nullptr) intake->add_tls_result(result);
  });
}

void note_tls_skip(Shard& shard, const Lane& lane, const Connection& c) {
  if (!counts(shard, c)) return;
  // DANE skips an exchanger whose records cannot be looked up, MTA-STS one that it does not name.
  const bool dane = std::string_view(c.tls_plan.policy) == "dane";
  tell_failure(shard, lane, c, dane ? "dnssec-invalid" : kMisfit, c.tls_plan.why);
}

void note_tls_failure(Shard& shard, const Lane& lane, const Connection& c,
                      const TlsFailure& failure) {
  if (!counts(shard, c)) return;
  tell_failure(shard, lane, c, tls_result_type(failure.kind), failure.text);
}

void note_tls_end(Shard& shard, const Lane& lane, const Connection& c) {
  const StartTls starttls = c.tls_plan.starttls;
  const bool insists = starttls == StartTls::kRequired || starttls == StartTls::kWhereOffered;
  if (!counts(shard, c) || !insists) return;
  const Verdict* const failure = c.dialog->session_failure();
  if (failure == nullptr || c.dialog->ready() || c.dialog->encrypted()) return;
  const bool refused = std::string_view(failure->command) == "STARTTLS" &&
                       failure->reply.code >= 400 && failure->reply.code != 421;
  const bool missing = failure->reply.code == 0 && failure->reply.enhanced == EnhancedCode{4, 7, 4};
  if (refused || missing) tell_failure(shard, lane, c, kNotSupported, failure->reply.text);
}

bool note_tls_session(Shard& shard, const Lane& lane, const Connection& c) {
  if (!counts(shard, c)) return true;
  if (!c.dialog->ready()) return false;
  const InFlight* const flight = first_taken(c);
  if (flight == nullptr) return false;
  const OpenSegment& segment = *flight->segment;
  if (is_tls_report_job(segment.segment->job->spec.name)) return true;
  TlsResult result = result_of(lane, c);
  const IndexPtr& index = segment.index;
  if (index != nullptr) result.domain = index->block(index->find_row(flight->number)).domain;
  const bool dane_unproved =
      result.applied.type == TlsPolicyType::kTlsa && c.tls_plan.demand.check != TlsCheck::kDane;
  if (!c.dialog->encrypted()) {
    fail(shard, lane, c, kNotSupported, std::string(c.tls.reason), result);
  } else if (dane_unproved) {
    fail(shard, lane, c, "tlsa-invalid", "none of its TLSA records can be used", result);
  } else if (is_tested(c)) {
    test(shard, lane, c, result);
  }
  shard.peers().tls_result(std::move(result));
  return true;
}

}  // namespace sluice
