// What the disk says became of each recipient: segments and journals, read as recovery reads them.
//
// Pure: looks at a Disk, changes nothing. For checkers that compare the record with what receivers
// saw. Errors: what recovery would refuse is a CHECK.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/net.h"
#include "engine/base/time.h"
#include "engine/model/reply.h"
#include "engine/model/state.h"
#include "engine/record/parser.h"
#include "tests/sim/disk.h"

namespace sluice::sim {

struct LedgerEntry {
  std::string recipient;
  State state = State::kDeferred;
  uint16_t code = 0;
  EnhancedCode enhanced;
  std::string text;
  uint32_t attempts = 0;
  bool maybe_delivered = false;
  WallTime at{};
  WallTime first_at{};
  WallTime next_at{};
  std::string command;
  std::string source;
  IpAddress peer;
  uint64_t session = 0;  // 0: judged without a connection
  uint32_t shard = 0;    // whose journal it is in
};

// Job, segment, row.
using RowKey = std::tuple<std::string, uint32_t, uint32_t>;

struct Ledger {
  // In the order of the journal's files and entries.
  std::map<RowKey, std::vector<LedgerEntry>> rows;
  uint32_t rows_in_segments = 0;
  // Rows with more than one final entry.
  uint32_t final_twice = 0;

  // Entries of a recipient that stands once in one list.
  std::vector<LedgerEntry> of(const std::string& recipient) const;
};

Ledger read_ledger(const Disk& disk, const std::string& spool);

// Its parts: the rows of all published segments; the verdicts of a journal file, without their
// recipients.
void read_addresses(const Disk& disk, const std::string& spool, std::map<RowKey, std::string>& out);
class JournalReader {
 public:
  explicit JournalReader(const std::string& name);
  using Verdicts = std::vector<std::pair<RowKey, LedgerEntry>>;
  // Those that are new in `octets`, the whole file so far, or, when `is_whole`, for good. Nothing
  // when it is corrupt. REQUIRES: begins with the octets of the calls before.
  std::optional<Verdicts> read(std::string_view octets, bool is_whole);

 private:
  JournalParser parser_;
  uint32_t shard_ = 0;
  size_t fed_ = 0;
};

// What identifies a verdict in the event record: recipient, attempt, outcome.
std::string event_key(const LedgerEntry& entry);
std::set<std::string> events_in(std::string_view lines);

}  // namespace sluice::sim
