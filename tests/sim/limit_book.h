// Invariant 3: what each limit has seen of connections, dials and messages, from the first moment
// of the world on: a limit holds over restarts and power cuts.
//
// Keyed as people mean limits: (source, exchanger) for a site with one exchanger, (source,
// provider) for the exchangers of a provider together, and the job. OWNERSHIP. The Witness'.
// THREAD. One. ERRORS. Words of what was too much; nothing when all is well.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/model/policy.h"
#include "tests/sim/bucket.h"
#include "tests/sim/network.h"

namespace sluice::sim {

// A limit of 0 or none is not looked at.
struct AllowedScope {
  std::set<IpAddress> exchangers;  // of a provider
  uint32_t connections = 0;        // of one source
  std::optional<Rate> rate;        // messages of one source
  std::optional<Rate> dial_rate;   // connections begun by one source
  // Messages that may have been held up on their way, so that they come together with later ones.
  uint32_t bunched = 0;
};

struct AllowedJob {
  Rate rate;
  uint32_t bunched = 0;
};

struct AllowedLimits {
  AllowedScope site;                       // of each exchanger by itself
  std::vector<AllowedScope> providers;     // of their exchangers together
  std::map<std::string, AllowedJob> jobs;  // by the name of the drop
};

class LimitBook {
 public:
  LimitBook(const Network& network, const AllowedLimits& allowed)
      : network_(network), allowed_(allowed) {}

  // A connection is begun, stands; a message comes on it; a row of the job comes.
  std::optional<std::string> on_dial(const Line& line, Instant now);
  std::optional<std::string> on_line(const Line& line);
  std::optional<std::string> on_message(const Line& line, Instant now);
  std::optional<std::string> on_row(const std::string& job, Instant now);

 private:
  // What is counted, the source, the exchanger or the provider's first.
  using Key = std::pair<std::string_view, std::pair<IpAddress, IpAddress>>;

  std::optional<std::string> count(std::string_view what, const Line& line, const IpAddress& of,
                                   const std::optional<Rate>& rate, uint32_t more, Instant now);

  const Network& network_;
  const AllowedLimits& allowed_;
  std::map<Key, Bucket> buckets_;
  std::map<std::string, Bucket> jobs_;
};

}  // namespace sluice::sim
