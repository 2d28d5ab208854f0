// What a run of the sink amounts to, as numbers, JSON and text.
//
// The JSON's names are a promise to tests and benchmarks: adding is fine. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/sink/identity.h"
#include "tools/sink/ledger.h"
#include "tools/sink/options.h"

namespace sluice::sink {

struct HostReport {
  std::string address;
  uint64_t connections = 0;  // accepted by the kernel, the refused ones among them
  uint64_t refused = 0;
  uint64_t peak = 0;  // open at the same time
  uint64_t messages = 0;
  uint64_t most_messages_in_a_second = 0;
  uint64_t most_connections_in_a_second = 0;
};

struct SinkReport {
  uint64_t connections = 0;
  uint64_t connections_peak = 0;
  uint64_t connections_refused = 0;
  uint64_t messages_on_a_connection_max = 0;
  uint64_t messages = 0;
  uint64_t messages_in_tls = 0;  // the others came in clear
  uint64_t recipients = 0;
  uint64_t content_bytes = 0;
  uint64_t received_bytes = 0;
  uint64_t commands = 0;
  uint64_t receives = 0;
  uint64_t sends = 0;
  uint64_t out_of_buffers = 0;
  uint64_t dropped_unread = 0;
  uint64_t pipelined_unasked = 0;
  uint64_t store_errors = 0;
  uint64_t log_errors = 0;                                   // writes of the log that failed
  std::map<std::pair<Command, uint16_t>, uint64_t> refused;  // code 0: no answer that is right
  TlsCounts tls;
  double active_seconds = 0;  // from the first accepted message to the last
  double messages_per_second = 0;
  uint64_t most_messages_in_a_second = 0;
  bool windows_truncated = false;
  std::vector<uint64_t> by_second;
  std::vector<HostReport> hosts;
  IdentitySummary identities;
  std::optional<Expectation> expectation;
  uint64_t dns_udp = 0;
  uint64_t dns_tcp = 0;
  uint64_t dns_unanswered = 0;
  double cpu_user_seconds = 0;
  double cpu_system_seconds = 0;
  double wall_seconds = 0;

  // Adds what one worker has seen; `by_host` collects it for each listening address.
  void add(const WorkerCounts& counts, const SessionCounts& sessions,
           std::vector<HostCounts>& by_host);
  // Works out rates and windows, after the last add().
  void finish(const std::vector<HostCounts>& by_host, const Shared& shared);
};

// One object, indented, with a final newline.
std::string to_json(const SinkReport& report);
// A few lines for people.
std::string to_text(const SinkReport& report);

}  // namespace sluice::sink
