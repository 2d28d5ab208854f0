#include "engine/resolve/dane.h"

#include <algorithm>

#include "resolver_cache/dns_message.h"

namespace sluice {
namespace {

using resolver_cache::AnswerKind;

constexpr size_t kHeadBytes = 3;  // usage, selector, matching

uint8_t octet(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// Whether the octets are one DER SEQUENCE, whole and with nothing behind it.
bool is_sequence(std::string_view der) {
  constexpr uint8_t kSequence = 0x30;
  constexpr uint8_t kLong = 0x80;
  if (der.size() < 2 || octet(der, 0) != kSequence) return false;
  const uint8_t first = octet(der, 1);
  if (first < kLong) return der.size() == 2U + first;
  const size_t count = first & ~kLong;
  if (count == 0 || count > 4 || der.size() < 2 + count) return false;
  size_t length = 0;
  for (size_t i = 0; i < count; ++i) length = length << 8 | octet(der, 2 + i);
  return der.size() == 2 + count + length;
}

struct Matching {
  uint8_t number;
  size_t digest_bytes;  // 0: the thing itself
};
constexpr Matching kMatchings[] = {{0, 0}, {1, 32}, {2, 64}};

bool fits(uint8_t matching, std::string_view data) {
  const auto* const known =
      std::find_if(std::begin(kMatchings), std::end(kMatchings),
                   [matching](const Matching& entry) { return entry.number == matching; });
  if (known == std::end(kMatchings)) return false;
  return known->digest_bytes == 0 ? is_sequence(data) : data.size() == known->digest_bytes;
}

enum class Trust : uint8_t { kNoAddress, kSecure, kInsecure, kStale };

// What counts are the answers that give addresses: one of them that is not secure is enough.
Trust trust_of(const HostFinding& host) {
  Trust trust = Trust::kNoAddress;
  for (const Finding* finding : {&host.ipv4, &host.ipv6}) {
    if (!finding->asked || finding->kind != AnswerKind::kPositive) continue;
    if (finding->stale) return Trust::kStale;
    if (!finding->secure) trust = Trust::kInsecure;
    if (trust == Trust::kNoAddress) trust = Trust::kSecure;
  }
  return trust;
}

// What the host stands for: empty where it is no alias, or the two families disagree.
std::string expansion_of(const HostFinding& host) {
  std::string expansion;
  for (const Finding* finding : {&host.ipv4, &host.ipv6}) {
    if (!finding->asked || finding->kind != AnswerKind::kPositive) continue;
    if (!expansion.empty() && expansion != finding->canonical) return "";
    expansion = finding->canonical;
  }
  return expansion == host.name ? "" : expansion;
}

bool is_alias(const HostFinding& host) {
  return !host.ipv4.canonical.empty() || !host.ipv6.canonical.empty();
}

TlsaPlan not_asked(std::string detail) {
  TlsaPlan plan;
  plan.detail = std::move(detail);
  return plan;
}

// The host is an alias whose target's addresses are not secure.
TlsaPlan plan_by_alias(const HostFinding& host, const Finding* alias) {
  TlsaPlan plan;
  if (alias == nullptr) {
    plan.ask_alias = true;
  } else if (alias->kind == AnswerKind::kFailed) {
    plan.state = DaneState::kFailed;
    plan.detail = "whether the alias " + host.name + " is secure cannot be learnt";
    if (!alias->detail.empty()) plan.detail += ": " + alias->detail;
  } else if (alias->kind == AnswerKind::kPositive && alias->secure) {
    plan.bases.push_back(host.name);
  } else {
    plan.detail = "its address records are not secure";
  }
  return plan;
}

std::string hexadecimal(std::string_view octets) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < octets.size(); ++i) {
    text += kDigits[octet(octets, i) >> 4];
    text += kDigits[octet(octets, i) & 0x0F];
  }
  return text;
}

TlsaVerdict judge_records(const Finding& finding) {
  TlsaVerdict verdict;
  const size_t looked_at = std::min(finding.items.size(), kTlsaUsedMax);
  for (size_t i = 0; i < looked_at; ++i) {
    std::optional<TlsaRecord> record = usable_tlsa(finding.items[i].data);
    if (!record) continue;
    if (std::find(verdict.tlsa.begin(), verdict.tlsa.end(), *record) == verdict.tlsa.end()) {
      verdict.tlsa.push_back(std::move(*record));
    }
  }
  verdict.state = verdict.tlsa.empty() ? DaneState::kUnusable : DaneState::kRecords;
  if (verdict.tlsa.empty()) {
    verdict.detail = "none of its TLSA records (" + std::to_string(finding.items.size()) +
                     ") can be used: only usages 2 and 3 with selector 0 or 1 and matching 0 to 2";
  }
  return verdict;
}

}  // namespace

TlsaPlan plan_tlsa(const HostFinding& host, const Finding* alias) {
  TlsaPlan plan;
  switch (trust_of(host)) {
    case Trust::kNoAddress:
      return not_asked("it has no address");
    case Trust::kStale:
      return not_asked("its address records are stale, which is never secure");
    case Trust::kInsecure:
      return is_alias(host) ? plan_by_alias(host, alias)
                            : not_asked("its address records are not secure");
    case Trust::kSecure:
      break;
  }
  std::string expansion = expansion_of(host);
  if (!expansion.empty()) plan.bases.push_back(std::move(expansion));
  plan.bases.push_back(host.name);
  return plan;
}

std::optional<std::string> tlsa_name(uint16_t port, std::string_view base) {
  return resolver_cache::canonical_name("_" + std::to_string(port) + "._tcp." + std::string(base));
}

std::optional<TlsaRecord> usable_tlsa(std::string_view rdata) {
  constexpr uint8_t kTrustAnchor = 2;
  constexpr uint8_t kEndEntity = 3;
  constexpr uint8_t kSelectorMax = 1;
  if (rdata.size() <= kHeadBytes) return std::nullopt;
  TlsaRecord record;
  record.usage = octet(rdata, 0);
  record.selector = octet(rdata, 1);
  record.matching = octet(rdata, 2);
  record.data = rdata.substr(kHeadBytes);
  if (record.usage != kTrustAnchor && record.usage != kEndEntity) return std::nullopt;
  if (record.selector > kSelectorMax || !fits(record.matching, record.data)) return std::nullopt;
  return record;
}

std::string tlsa_text(std::string_view rdata) {
  constexpr size_t kShownMax = 64;
  std::string text;
  if (rdata.size() >= kHeadBytes) {
    for (size_t i = 0; i < kHeadBytes; ++i) text += std::to_string(octet(rdata, i)) + ' ';
    rdata.remove_prefix(kHeadBytes);
  }
  text += hexadecimal(rdata.substr(0, kShownMax));
  if (rdata.size() > kShownMax) text += "...";
  return text;
}

TlsaVerdict judge_tlsa(const Finding& finding) {
  TlsaVerdict verdict;
  switch (finding.kind) {
    case AnswerKind::kFailed:
      verdict.state = DaneState::kFailed;
      verdict.detail = "the TLSA lookup failed";
      if (!finding.detail.empty()) verdict.detail += ": " + finding.detail;
      return verdict;
    case AnswerKind::kNoData:
    case AnswerKind::kNameError:
      verdict.state = DaneState::kAbsent;
      verdict.detail = finding.secure ? "no TLSA records" : "no TLSA records, which is not secure";
      return verdict;
    case AnswerKind::kPositive:
      break;
  }
  if (finding.secure && !finding.stale) return judge_records(finding);
  verdict.state = DaneState::kAbsent;
  verdict.detail = "its TLSA records are not secure";
  return verdict;
}

std::vector<std::string> tlsa_names(std::string_view base, std::string_view domain,
                                    const Finding& mx) {
  std::vector<std::string> names = {std::string(base)};
  const auto add = [&names](std::string_view name) {
    if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) return;
    names.emplace_back(name);
  };
  add(domain);
  if (mx.secure && !mx.stale) add(mx.canonical);
  return names;
}

}  // namespace sluice
