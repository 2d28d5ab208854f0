#include "tools/cmd/tls_probe_report.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "engine/base/digest.h"
#include "engine/base/strings.h"
#include "engine/resolve/sts_policy.h"
#include "engine/spool/job_directory.h"

namespace sluice::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kWordsMax = 400;

const char* name_of(DaneState state) {
  switch (state) {
    case DaneState::kNotAsked:
      return "not asked";
    case DaneState::kAbsent:
      return "none";
    case DaneState::kRecords:
      return "records";
    case DaneState::kUnusable:
      return "unusable";
    case DaneState::kFailed:
      return "failed";
  }
  return "";
}

const char* name_of(TlsFailureKind kind) {
  switch (kind) {
    case TlsFailureKind::kHandshake:
      return "handshake";
    case TlsFailureKind::kHostMismatch:
      return "host-mismatch";
    case TlsFailureKind::kExpired:
      return "expired";
    case TlsFailureKind::kNotTrusted:
      return "not-trusted";
    case TlsFailureKind::kTlsaMismatch:
      return "tlsa-mismatch";
    case TlsFailureKind::kTruncated:
      return "truncated";
    case TlsFailureKind::kTimedOut:
      return "timed-out";
  }
  return "";
}

std::string text_of(const TlsaRecord& record) {
  return std::to_string(record.usage) + " " + std::to_string(record.selector) + " " +
         std::to_string(record.matching) + " " + to_hex(record.data);
}

// How the peer proved who it is; "" where it did not.
std::string authentication(const TlsPlan& plan, const TlsFacts& facts) {
  switch (facts.passed) {
    case TlsCheck::kNone:
      return "";
    case TlsCheck::kDane:
      return "DANE";
    case TlsCheck::kNames:
      return std::string_view(plan.policy) == "mta-sts"
                 ? "MTA-STS"
                 : "a certificate for " + escaped(join(plan.demand.names, " or "));
  }
  return "";
}

std::string why_in_clear(const TlsPlan& plan, const ProbedSession& session) {
  if (session.broken) return "TLS: " + session.broken->text;
  if (session.refused || (session.offered && plan.falls_back)) return "STARTTLS was refused";
  if (plan.starttls == StartTls::kNever) return "the policy is " + std::string(plan.policy);
  return "STARTTLS is not offered";
}

// Nothing where no record was compared.
std::optional<bool> dane_matched(const ProbedSession& session) {
  if (session.facts && session.facts->passed == TlsCheck::kDane) return true;
  if (session.broken && session.broken->kind == TlsFailureKind::kTlsaMismatch) return false;
  return std::nullopt;
}

std::string dane_words(const ProbeReport& report, const ProbedExchanger& probed) {
  const Exchanger& exchanger = probed.exchanger;
  if (!report.route->mx_secure) {
    return report.trusts_dns ? "does not count: DNS does not vouch for the domain's exchangers"
                             : "not looked for: [dns] trust_ad is not set";
  }
  std::string words;
  switch (exchanger.dane) {
    case DaneState::kNotAsked:
      words = "not looked for";
      break;
    case DaneState::kAbsent:
      words = "no records";
      break;
    case DaneState::kRecords:
      words = std::to_string(exchanger.tlsa.size()) + " TLSA records of " +
              escaped(exchanger.tlsa_base);
      break;
    case DaneState::kUnusable:
      words = "records, but none that can be used";
      break;
    case DaneState::kFailed:
      words = "the look-up failed";
      break;
  }
  if (!exchanger.dane_detail.empty()) words += ": " + escaped(exchanger.dane_detail, kWordsMax);
  const bool counts = std::string_view(probed.plan.policy) == "dane";
  const bool says = exchanger.dane != DaneState::kNotAsked && exchanger.dane != DaneState::kAbsent;
  if (says && !counts) words += " (does not count: DANE is off)";
  return words;
}

std::string sts_words(const ProbeReport& report, const Exchanger& exchanger) {
  const StsPolicyPtr& policy = report.route->sts;
  if (policy == nullptr || policy->mode == StsMode::kNone)
    return "no policy that asks for anything";
  const bool fits = sts_matches(*policy, exchanger.name);
  return std::string(fits ? "the policy names it" : "the policy does not name it") +
         (policy->mode == StsMode::kTesting ? " (testing: mail goes all the same)" : "");
}

std::string row(std::string_view title, const std::string& text, size_t indent) {
  std::string out(indent, ' ');
  out += title;
  if (title.size() < 13) out.append(13 - title.size(), ' ');
  return out + text + "\n";
}

std::string certificate_words(const TlsDemand& demand, const TlsPeer& peer) {
  std::string names = join(peer.names, ", ");
  if (peer.names_left_out > 0) names += " and " + std::to_string(peer.names_left_out) + " more";
  const std::string wanted = demand.names.empty() ? demand.server_name : join(demand.names, " or ");
  std::string fits = join(peer.fits, ", ");
  if (fits.empty()) fits = wanted.empty() ? "no name is asked for" : "not " + wanted;
  return row("certificate",
             peer.subject + ", issued by " + peer.issuer + ", " + peer.key + ", " +
                 std::to_string(peer.certificates) + " in the chain",
             4) +
         row("for", names.empty() ? "no name" : names, 4) + row("fits", escaped(fits), 4) +
         row("valid", format_utc(peer.valid_from) + " to " + format_utc(peer.valid_until), 4) +
         row("roots", peer.trusted ? "trusted" : "not trusted: " + peer.why_not, 4) +
         row("TLSA 3 1 1", peer.key_digest, 4);
}

std::string address_words(const ProbedExchanger& probed, const ProbedAddress& address) {
  const ProbedSession& session = address.session;
  std::string out = "  " + to_string(address.to) + "\n";
  if (!address.not_tried.empty()) return out + row("not tried", escaped(address.not_tried), 4);
  if (session.connected) {
    out += row("greeting", session.greeting.empty() ? "none" : escaped(session.greeting), 4);
  }
  // Unknown where EHLO was not answered.
  if (session.offered || session.ready) {
    const char* const words = session.refused ? "offered, and refused" : "offered";
    out += row("STARTTLS", session.offered ? words : "not offered", 4);
  }
  if (session.facts) out += row("TLS", session.facts->protocol + " " + session.facts->cipher, 4);
  if (session.broken) {
    out += row("TLS", "failed: " + session.broken->text, 4);
  }
  if (session.peer->certificates > 0) out += certificate_words(probed.plan.demand, *session.peer);
  const std::optional<bool> matched = dane_matched(session);
  if (matched) out += row("DANE", *matched ? "a record matches" : "no record matches", 4);
  return out + row("verdict", verdict_of(probed.plan, session).words, 4);
}

std::string exchanger_words(const ProbeReport& report, const ProbedExchanger& probed) {
  const Exchanger& exchanger = probed.exchanger;
  std::string out = (report.route->implicit_mx ? "-" : std::to_string(exchanger.preference)) + " " +
                    escaped(exchanger.name) + "\n";
  out += row("policy", std::string(probed.plan.policy) + ", from " + escaped(probed.from), 2);
  const std::string means = escaped(words_of(probed.plan), kWordsMax);
  out += row(probed.plan.skip ? "verdict" : "means", means, 2);
  out += row("DANE", dane_words(report, probed), 2);
  for (const TlsaRecord& record : exchanger.tlsa) out += row("", text_of(record), 2);
  out += row("MTA-STS", sts_words(report, exchanger), 2);
  for (const ProbedAddress& address : probed.addresses) out += address_words(probed, address);
  if (probed.addresses.empty() && !probed.plan.skip) {
    out += row("not tried", "it has no address of that family", 2);
  }
  return out;
}

Json certificate_json(const TlsPeer& peer) {
  if (peer.certificates == 0) return nullptr;
  return {{"subject", peer.subject},
          {"issuer", peer.issuer},
          {"names", peer.names},
          {"names_left_out", peer.names_left_out},
          {"fits", peer.fits},
          {"valid_from", format_utc(peer.valid_from)},
          {"valid_until", format_utc(peer.valid_until)},
          {"key", peer.key},
          {"spki_sha256", peer.key_digest},
          {"chain", peer.certificates},
          {"trusted", peer.trusted},
          {"why_not_trusted", peer.why_not}};
}

Json address_json(const ProbedExchanger& probed, const ProbedAddress& address) {
  const ProbedSession& session = address.session;
  Json json = {{"address", to_string(address.to.ip)}, {"port", address.to.port}};
  if (!address.not_tried.empty()) {
    json["not_tried"] = address.not_tried;
    return json;
  }
  json["connected"] = session.connected;
  json["greeting"] = escaped(session.greeting);
  json["starttls"] = session.offered;
  json["protocol"] = session.facts ? session.facts->protocol : "";
  json["cipher"] = session.facts ? session.facts->cipher : "";
  json["authenticated"] = session.facts ? authentication(probed.plan, *session.facts) : "";
  json["certificate"] = certificate_json(*session.peer);
  const std::optional<bool> matched = dane_matched(session);
  json["dane_matches"] = matched ? Json(*matched) : Json(nullptr);
  if (session.broken) {
    json["tls_failure"] = {{"kind", name_of(session.broken->kind)}, {"text", session.broken->text}};
  }
  const ProbeVerdict verdict = verdict_of(probed.plan, session);
  json["verdict"] = verdict.words;
  json["delivers"] = verdict.delivers;
  return json;
}

Json exchanger_json(const ProbeReport& report, const ProbedExchanger& probed) {
  const Exchanger& exchanger = probed.exchanger;
  Json records = Json::array();
  for (const TlsaRecord& record : exchanger.tlsa) records.push_back(text_of(record));
  Json addresses = Json::array();
  for (const ProbedAddress& address : probed.addresses) {
    addresses.push_back(address_json(probed, address));
  }
  const StsPolicyPtr& sts = report.route->sts;
  return {{"name", exchanger.name},
          {"preference", exchanger.preference},
          {"policy", probed.plan.policy},
          {"words", words_of(probed.plan)},
          {"from", probed.from},
          {"used", !probed.plan.skip},
          {"dane",
           {{"state", name_of(exchanger.dane)},
            {"counts", std::string_view(probed.plan.policy) == "dane"},
            {"records", records},
            {"detail", exchanger.dane_detail}}},
          {"mta_sts_names_it", sts != nullptr ? Json(sts_matches(*sts, exchanger.name)) : Json()},
          {"addresses", addresses}};
}

}  // namespace

ProbeVerdict verdict_of(const TlsPlan& plan, const ProbedSession& session) {
  if (!session.ready) return {false, "would be deferred: " + escaped(session.failure, kWordsMax)};
  if (!session.facts) return {true, "in clear: " + why_in_clear(plan, session)};
  const std::string how = authentication(plan, *session.facts);
  return {true, how.empty() ? "encrypted, not authenticated"
                            : "encrypted and authenticated (" + how + ")"};
}

bool all_deliver(const ProbeReport& report) {
  bool any = false;
  for (const ProbedExchanger& probed : report.exchangers) {
    if (probed.plan.skip) return false;
    for (const ProbedAddress& address : probed.addresses) {
      if (!address.not_tried.empty()) continue;
      if (!verdict_of(probed.plan, address.session).delivers) return false;
      any = true;
    }
  }
  return any;
}

std::string probe_words(const ProbeReport& report) {
  const Route& route = *report.route;
  std::string out = escaped(report.domain);
  if (report.asked != report.domain) out += " (" + escaped(report.asked) + ")";
  if (!route.usable()) {
    return out +
           (route.failure.state == State::kBounced ? ": mail for it bounces: "
                                                   : ": mail for it is deferred: ") +
           to_string(route.failure.reply.enhanced) + " " + escaped(route.failure.reply.text) + "\n";
  }
  out += ": site " + escaped(route.site) + ", from source " + escaped(report.source) + " as " +
         escaped(report.hello) + "\n";
  if (route.sts != nullptr) out += "MTA-STS policy: " + escaped(words_of(route.sts), 400) + "\n";
  if (!report.sts.empty()) out += "MTA-STS: " + escaped(report.sts, kWordsMax) + "\n";
  for (const ProbedExchanger& probed : report.exchangers) out += exchanger_words(report, probed);
  for (const UnusableAddress& unusable : report.unusable) {
    out += "not used: " + escaped(unusable.exchanger) +
           (unusable.address.empty() ? "" : " " + unusable.address) + ": " + unusable.why + "\n";
  }
  if (report.left_out > 0) {
    out += std::to_string(report.left_out) + " further addresses were not tried; --exchanger and " +
           "--family choose among them\n";
  }
  return out;
}

std::string probe_json(const ProbeReport& report) {
  const Route& route = *report.route;
  Json json = {{"domain", report.domain}, {"usable", route.usable()}};
  if (!route.usable()) {
    json["failure"] = {{"bounces", route.failure.state == State::kBounced},
                       {"enhanced", to_string(route.failure.reply.enhanced)},
                       {"text", route.failure.reply.text}};
  }
  json["site"] = route.site;
  json["source"] = report.source;
  json["hello"] = report.hello;
  json["dns_vouches_for_mx"] = route.mx_secure;
  json["mta_sts"] = words_of(route.sts);
  json["mta_sts_known"] = report.sts;
  json["exchangers"] = Json::array();
  for (const ProbedExchanger& probed : report.exchangers) {
    json["exchangers"].push_back(exchanger_json(report, probed));
  }
  json["unusable"] = Json::array();
  for (const UnusableAddress& unusable : report.unusable) {
    json["unusable"].push_back(
        {{"exchanger", unusable.exchanger}, {"address", unusable.address}, {"why", unusable.why}});
  }
  json["left_out"] = report.left_out;
  json["all_deliver"] = all_deliver(report);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace sluice::tools
