// What a benchmark found, and how it is shown.
//
// PURPOSE  The figures of one run; medians over runs; a table for people, a JSON line for records.
// OWNERSHIP  Values. THREAD  Any; pure, but for bench_machine(), which asks the system and git.
// ERRORS  None: what is not known is left out. LIMITS  None.
// BUGS  Medians are taken figure by figure, so that no single run need have them all.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/cmd/bench_options.h"

namespace sluice::tools {

// In the order of the table. "a message" is one that was delivered.
enum class Figure : uint8_t {
  kRate,             // messages/s at the sink, from the first to the last
  kSenderCpu,        // microseconds a message, without the start
  kSinkCpu,          // the same of the sink
  kSenderBusy,       // share of a core while messages came
  kSinkBusy,         // the same of the sink
  kOthers,           // share of the sender's core that other programs had
  kEnters,           // system calls of the ring a message
  kAllocations,      // a message
  kWritten,          // octets of files a message, as the kernel counts them
  kJournal,          // octets of journal a message
  kSyncs,            // a thousand messages
  kAnsweredMedian,   // milliseconds from taken to answered
  kAnsweredHigh,     // the same, 99th percentile
  kRecordedMedian,   // milliseconds from taken to durable
  kRecordedHigh,     // the same, 99th percentile
  kConnections,      // opened
  kConnectionsPeak,  // at a time
  kMemory,           // octets, the sender's peak
  kContent,          // octets of a message, as the sink got it
};

struct BenchFigures {
  std::map<Figure, double> values;
  bool sink_full = false;
};

struct BenchResult {
  BenchMode mode{};
  std::vector<BenchFigures> runs;
  // The median of each figure that any run has.
  BenchFigures median() const;
};

struct BenchMachine {
  std::string model;  // of the processor
  long cores = 0;
  uint64_t memory = 0;  // octets
  std::string kernel;
  std::string commit;    // empty: not in a work tree
  std::string load;      // before the first run: "0.10 0.20 0.30"
  std::string time;      // RFC 3339, UTC
  std::string spool_on;  // "ext4", "tmpfs", ...
};
BenchMachine bench_machine(const std::string& spool);

std::string bench_table(const BenchOptions& options, const BenchMachine& machine,
                        const std::vector<BenchResult>& results);
// One line a mode.
std::string bench_json(const BenchOptions& options, const BenchMachine& machine,
                       const BenchResult& result);

}  // namespace sluice::tools
