// Who is answered badly, and how: by chance (odds) or for certain (recipient rules).
//
// Odds draw from a seeded generator, one draw a command that has rules: the same seed and the same
// order of commands give the same faults. Recipient rules depend on nothing but the address and
// the seed, so a test can say beforehand what becomes of a recipient: recipient_fraction() below
// lies in [0, 1); the rules take consecutive intervals from 0 in the order in which they were
// given.
//
// Thread: Faults is one worker's; FirstAttempts is shared and locks.
// Limits: FirstAttempts keeps 8 octets (a hash) for each recipient deferred once.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "engine/base/random.h"
#include "tools/sink/options.h"

namespace sluice::sink {

// FNV-1a, then mixed (splitmix64): stable over versions and machines.
uint64_t stable_hash(std::string_view text, uint64_t seed = 0);
// Of the lower-cased address.
double recipient_fraction(std::string_view address, uint64_t seed);
RecipientFate fate_of(const std::vector<RecipientRule>& rules, std::string_view address,
                      uint64_t seed);

class FirstAttempts {
 public:
  // True the first time that it is asked about the address.
  bool is_first(std::string_view address);

 private:
  std::mutex mutex_;
  absl::flat_hash_set<uint64_t> seen_;
};

class Faults {
 public:
  // `options` and `first_attempts` outlive this.
  Faults(const SinkOptions& options, FirstAttempts& first_attempts, uint64_t worker);

  // What strikes this command; the result lives as long as the options.
  const Fault& draw(Command command);
  // What befalls this recipient now: a reply, or nothing.
  const Fault& judge_recipient(std::string_view address);

 private:
  const SinkOptions& options_;
  FirstAttempts& first_attempts_;
  Random random_;
  std::array<std::vector<const OddsRule*>, kCommands> rules_;
};

}  // namespace sluice::sink
