#include "engine/shard/tls_terms.h"

#include <algorithm>
#include <utility>

#include "engine/base/defect.h"
#include "engine/resolve/sts_policy.h"

namespace sluice {
namespace {

constexpr size_t kWhyBytesMax = 256;

bool is_literal(const Exchanger& exchanger) { return exchanger.name.starts_with('['); }

void demand_names(const Exchanger& exchanger, TlsPlan& plan) {
  plan.demand.check = TlsCheck::kNames;
  plan.demand.names = {exchanger.name};
}

void skip(std::string why, TlsPlan& plan) {
  plan.skip = true;
  plan.why = std::move(why);
}

// True when DANE has decided.
bool plan_dane(const Exchanger& exchanger, TlsPlan& plan) {
  switch (exchanger.dane) {
    case DaneState::kNotAsked:
    case DaneState::kAbsent:
    case DaneState::kUnusable:
      return false;
    case DaneState::kFailed:
      plan.policy = "dane";
      skip("its TLSA records cannot be looked up (RFC 7672): " + exchanger.dane_detail, plan);
      return true;
    case DaneState::kRecords:
      plan.policy = "dane";
      plan.starttls = StartTls::kRequired;
      plan.demand.server_name = exchanger.tlsa_base;
      plan.demand.check = TlsCheck::kDane;
      plan.demand.tlsa = exchanger.tlsa;
      plan.demand.names = exchanger.tlsa_names;
      return true;
  }
  return false;
}

bool plan_sts(const StsPolicyPtr& sts, const Exchanger& exchanger, TlsPlan& plan) {
  if (sts == nullptr || sts->mode != StsMode::kEnforce) return false;
  plan.policy = "mta-sts";
  if (!sts_matches(*sts, exchanger.name)) {
    skip("the domain's MTA-STS policy does not name it (RFC 8461)", plan);
    return true;
  }
  plan.starttls = StartTls::kRequired;
  demand_names(exchanger, plan);
  return true;
}

void plan_policy(TlsPolicy policy, const Exchanger& exchanger, const TlsMemory::Note* memory,
                 Instant now, TlsPlan& plan) {
  plan.policy = name_of(policy);
  switch (policy) {
    case TlsPolicy::kNone:
      if (memory != nullptr && memory->wanted_until > now) plan.starttls = StartTls::kIfOffered;
      return;
    case TlsPolicy::kOpportunistic:
      plan.falls_back = true;
      if (memory != nullptr && memory->broken_until > now && memory->wanted_until <= now) {
        plan.why = memory->why;
        return;
      }
      plan.starttls = StartTls::kIfOffered;
      return;
    case TlsPolicy::kVerifiedIfOffered:
      plan.starttls = StartTls::kWhereOffered;
      demand_names(exchanger, plan);
      return;
    case TlsPolicy::kRequired:
      plan.starttls = StartTls::kRequired;
      if (!defect(Defect::kClearAfterAll)) return;
      plan.falls_back = true;
      if (memory != nullptr && memory->broken_until > now) {
        plan.starttls = StartTls::kNever;
        plan.why = memory->why;
      }
      return;
    case TlsPolicy::kVerified:
      plan.starttls = StartTls::kRequired;
      demand_names(exchanger, plan);
      return;
  }
}

}  // namespace

std::string to_string(const LaneTerms& terms) {
  std::string out;
  const auto add = [&out](std::string_view words) {
    if (!out.empty()) out += ", ";
    out += words;
  };
  if (terms.job != TlsPolicy::kNone) add(name_of(terms.job));
  if (terms.dane) add("dane");
  if (!terms.domain.empty()) add("mta-sts " + terms.domain);
  return out;
}

LaneTerms terms_of(TlsPolicy job, std::string_view domain, const Route& route, bool reports) {
  LaneTerms terms;
  terms.job = job;
  terms.dane = route.mx_secure;
  if (route.sts == nullptr) return terms;
  const StsMode mode = route.sts->mode;
  if (mode == StsMode::kEnforce || (mode == StsMode::kTesting && reports)) {
    terms.domain = domain;
    terms.sts = route.sts;
  }
  return terms;
}

const TlsMemory::Note* TlsMemory::find(std::string_view exchanger, Instant now) const {
  const auto found = notes_.find(exchanger);
  if (found == notes_.end()) return nullptr;
  const Note& note = found->second;
  return note.broken_until > now || note.wanted_until > now ? &note : nullptr;
}

TlsMemory::Note& TlsMemory::note(const std::string& exchanger, Instant now) {
  const auto end = [](const Note& note) { return std::max(note.broken_until, note.wanted_until); };
  if (notes_.size() >= kExchangersMax && !notes_.contains(exchanger)) {
    std::erase_if(notes_, [&](const auto& known) { return end(known.second) <= now; });
    if (notes_.size() >= kExchangersMax) {
      notes_.erase(std::min_element(
          notes_.begin(), notes_.end(),
          [&](const auto& a, const auto& b) { return end(a.second) < end(b.second); }));
    }
  }
  return notes_[exchanger];
}

void TlsMemory::broke(const std::string& exchanger, std::string why, Instant now, Instant until) {
  Note& known = note(exchanger, now);
  known.broken_until = until;
  known.why = std::move(why);
  if (known.why.size() > kWhyBytesMax) known.why.resize(kWhyBytesMax);
}

std::vector<std::string> TlsMemory::words(Instant now) const {
  using std::chrono::minutes;
  std::vector<std::string> out;
  for (const auto& [exchanger, note] : notes_) {
    const auto left = [&](Instant until) {
      return std::to_string(std::chrono::ceil<minutes>(until - now).count()) + " min";
    };
    if (note.wanted_until > now) {
      out.push_back(exchanger + ": takes no mail in clear, and gets none for the next " +
                    left(note.wanted_until));
    } else if (note.broken_until > now) {
      out.push_back(exchanger + ": opportunistic mail goes in clear for the next " +
                    left(note.broken_until) + ": " + note.why);
    }
  }
  return out;
}

void TlsMemory::wants(const std::string& exchanger, Instant now, Instant until) {
  note(exchanger, now).wanted_until = until;
}

void TlsCounts::merge(const TlsCounts& other) {
  full += other.full;
  resumed += other.resumed;
  clear += other.clear;
  for (size_t kind = 0; kind < failed.size(); ++kind) failed[kind] += other.failed[kind];
}

TlsPlan plan_tls(TlsPolicy policy, const LaneTerms& terms, const Exchanger& exchanger,
                 const TlsMemory::Note* memory, Instant now) {
  TlsPlan plan;
  if (!is_literal(exchanger)) plan.demand.server_name = exchanger.name;
  policy = strictest(policy, terms.job);
  if (terms.dane && plan_dane(exchanger, plan)) return plan;
  const bool unusable = terms.dane && exchanger.dane == DaneState::kUnusable;
  if (unusable) {
    policy = strictest(policy, TlsPolicy::kRequired);
    plan.demand.server_name = exchanger.tlsa_base;
  }
  if (plan_sts(terms.sts, exchanger, plan)) return plan;
  plan_policy(policy, exchanger, memory, now, plan);
  if (unusable) plan.policy = "dane";
  const bool testing = terms.sts != nullptr && terms.sts->mode == StsMode::kTesting;
  if (testing && !unusable) plan.demand.peer = std::make_shared<TlsPeer>();
  return plan;
}

}  // namespace sluice
