#include "tools/sink/faults.h"

#include "engine/base/strings.h"

namespace sluice::sink {
namespace {

const Fault kNoFault{};
const Fault kRefused{FaultAction::kReply, 550, "5.1.1"};
const Fault kDeferred{FaultAction::kReply, 451, "4.7.1"};
const Fault kDeferredFull{FaultAction::kReply, 452, "4.2.2"};

}  // namespace

uint64_t stable_hash(std::string_view text, uint64_t seed) {
  uint64_t hash = 0xCBF29CE484222325ULL ^ (seed * 0x9E3779B97F4A7C15ULL);
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3ULL;
  }
  hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBULL;
  return hash ^ (hash >> 31);
}

double recipient_fraction(std::string_view address, uint64_t seed) {
  return static_cast<double>(stable_hash(to_lower(address), seed) >> 11) * 0x1.0p-53;
}

RecipientFate fate_of(const std::vector<RecipientRule>& rules, std::string_view address,
                      uint64_t seed) {
  const double fraction = recipient_fraction(address, seed);
  double upper = 0;
  for (const RecipientRule& rule : rules) {
    upper += rule.share;
    if (fraction < upper) return rule.fate;
  }
  return RecipientFate::kAccept;
}

bool FirstAttempts::is_first(std::string_view address) {
  const uint64_t hash = stable_hash(to_lower(address));
  const std::lock_guard<std::mutex> lock(mutex_);
  return seen_.insert(hash).second;
}

Faults::Faults(const SinkOptions& options, FirstAttempts& first_attempts, uint64_t worker)
    : options_(options), first_attempts_(first_attempts), random_(options.seed + worker) {
  for (const OddsRule& rule : options.odds) {
    if (rule.probability > 0) rules_[static_cast<size_t>(rule.command)].push_back(&rule);
  }
}

const Fault& Faults::draw(Command command) {
  const auto& rules = rules_[static_cast<size_t>(command)];
  if (rules.empty()) return kNoFault;
  const double fraction = random_.fraction();
  double upper = 0;
  for (const OddsRule* rule : rules) {
    upper += rule->probability;
    if (fraction < upper) return rule->fault;
  }
  return kNoFault;
}

const Fault& Faults::judge_recipient(std::string_view address) {
  if (options_.recipient_rules.empty()) return kNoFault;
  switch (fate_of(options_.recipient_rules, address, options_.seed)) {
    case RecipientFate::kAccept:
      return kNoFault;
    case RecipientFate::kRefuse:
      return kRefused;
    case RecipientFate::kDefer:
      return kDeferredFull;
    case RecipientFate::kDeferOnce:
      return first_attempts_.is_first(address) ? kDeferred : kNoFault;
  }
  return kNoFault;
}

}  // namespace sluice::sink
