#include "tests/sim/tls_book.h"

#include <utility>

namespace sluice::sim {

TlsPolicy AllowedTls::of(const std::string& domain, const std::string& job) const {
  const auto rule = by_domain.find(domain);
  const auto least = by_job.find(job);
  const bool is_floor = policy == TlsPolicy::kRequired || policy == TlsPolicy::kVerified;
  TlsPolicy own = rule == by_domain.end() ? policy : rule->second;
  if (is_floor) own = strictest(own, policy);
  return strictest(own, least == by_job.end() ? TlsPolicy::kNone : least->second);
}

TlsPolicy weaker(TlsPolicy a, TlsPolicy b) {
  if (a > b) std::swap(a, b);
  const bool apart = a == TlsPolicy::kVerifiedIfOffered && b == TlsPolicy::kRequired;
  return apart ? TlsPolicy::kOpportunistic : a;
}

void TlsBook::on_offer(const Line& line) {
  Known& known = lines_[line.number];
  known.offered = !known.refused;
  if (!known.carries_mail) broken_[line.to.ip].insert(line.number);
}

void TlsBook::on_refusal(const Line& line) {
  lines_[line.number].offered = false;
  lines_[line.number].refused = true;
}

void TlsBook::on_injected(const Line& line) { lines_[line.number].injected = true; }

std::optional<std::string> TlsBook::on_encrypted(const Line& line, const Certificate& certificate) {
  Known& known = lines_[line.number];
  known.certificate = certificate;
  broken_[line.to.ip].erase(line.number);
  if (!known.carries_mail) return std::nullopt;
  return "TLS begins behind mail in clear";
}

std::optional<std::string> TlsBook::on_command(const Line& line) {
  if (!lines_[line.number].injected) return std::nullopt;
  return "it goes on behind a reply that was put before the handshake";
}

bool TlsBook::is_good(const Line& line, const Certificate& certificate) const {
  const auto name = allowed_.names.find(line.to.ip);
  return certificate.trusted && name != allowed_.names.end() && name->second == certificate.name;
}

std::optional<std::string> TlsBook::on_dane(const Known& known, const std::string& digest) const {
  if (!known.certificate) return "mail for an exchanger with TLSA records goes in clear";
  if (known.certificate->digest == digest) return std::nullopt;
  return "mail for an exchanger with TLSA records goes to another certificate, of " +
         known.certificate->name;
}

std::optional<std::string> TlsBook::on_mail(const Line& line, TlsPolicy needed) {
  Known& known = lines_[line.number];
  const auto digest = allowed_.digests.find(line.to.ip);
  if (digest != allowed_.digests.end()) return on_dane(known, digest->second);
  const std::string what = std::string("mail that must have TLS as \"") + name_of(needed) + "\" ";
  const bool verified = needed == TlsPolicy::kVerified || needed == TlsPolicy::kVerifiedIfOffered;
  if (known.certificate) {
    if (!verified || is_good(line, *known.certificate)) return std::nullopt;
    return what + "goes to one with a bad certificate, of " + known.certificate->name;
  }
  known.carries_mail = true;
  std::set<uint64_t>& broken = broken_[line.to.ip];
  broken.erase(line.number);
  switch (needed) {
    case TlsPolicy::kNone:
      return std::nullopt;
    case TlsPolicy::kOpportunistic:
      if (!known.offered || !broken.empty()) return std::nullopt;
      return what + "goes in clear, and no handshake ever failed there";
    case TlsPolicy::kVerifiedIfOffered:
      if (!known.offered && !known.refused) return std::nullopt;
      return what + "goes in clear to one that offers STARTTLS";
    case TlsPolicy::kRequired:
    case TlsPolicy::kVerified:
      return what + "goes in clear";
  }
  return std::nullopt;
}

}  // namespace sluice::sim
