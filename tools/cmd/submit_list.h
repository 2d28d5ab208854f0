// What a job's whole list says before the first mail leaves: rows that will be rejected, and how
// large the messages are.
//
// Reads the list once, as a stream. A row costs its parsing and a sum of lengths; only a row whose
// message may exceed SizeBounds::large is composed, to know its octets exactly.
// Thread: the loop's. Errors carry the exit code of command.h: a list that is broken as a whole,
// and messages that are larger than the sender makes.
// Memory: what reads a list, one row, and the message of a row that is composed.
// BUGS: suppressed rows and duplicates are looked at like others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/time.h"
#include "engine/model/limits.h"
#include "engine/ring/loop.h"
#include "engine/shard/job.h"

namespace sluice::tools {

struct SizeBounds {
  uint64_t message = Limits{}.message_bytes_max;  // what is larger is refused for its recipient
  uint64_t large = 25UL << 20;                    // many receivers take no more
  uint64_t html = 102UL << 10;                    // Gmail shows no more of an HTML part
};

struct ListFindings {
  uint64_t rows = 0;      // of the list, rejected ones included
  uint64_t rejected = 0;  // which intake will refuse
  // No message has more octets, in front of its signature; it is that of `largest_row` (0: no row).
  uint64_t largest_bytes_max = 0;
  uint64_t largest_row = 0;
  std::vector<std::string> warnings;  // "list.csv:3: what; mend"
};

StatusOr<ListFindings> check_list(Loop& loop, const Job& job, WallTime date,
                                  const SizeBounds& bounds = {});

// The octets of the HTML part of a message as compose_row() gives it, decoded; 0: it has none that
// the program made.
size_t html_bytes(std::string_view message);

}  // namespace sluice::tools
