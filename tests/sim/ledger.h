// What the disk says became of each recipient: segments and journals, read as recovery reads them.
//
// Pure: looks at a Disk, changes nothing. For checkers that compare the record with what receivers
// saw. Errors: what recovery would refuse is a CHECK.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "engine/base/time.h"
#include "engine/model/reply.h"
#include "engine/model/state.h"
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
  WallTime next_at{};
};

struct Ledger {
  // By (job, segment, row), in the order of the journal's files and entries.
  std::map<std::tuple<std::string, uint32_t, uint32_t>, std::vector<LedgerEntry>> rows;
  uint32_t rows_in_segments = 0;
  // Rows with more than one final entry.
  uint32_t final_twice = 0;

  // Entries of a recipient that stands once in one list.
  std::vector<LedgerEntry> of(const std::string& recipient) const;
};

Ledger read_ledger(const Disk& disk, const std::string& spool);

}  // namespace sluice::sim
