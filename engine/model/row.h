// A row of a list as the rooms hand it around: views into memory that somebody else owns.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

using JobIndex = uint32_t;       // numbers the jobs of this process, from 0; never on disk
using SegmentNumber = uint32_t;  // numbers the segments of a job, from 0
using SegmentRow = uint32_t;     // numbers the rows of a segment, from 0, in their order there

// Names a row for as long as the process lives.
struct RowId {
  JobIndex job = 0;
  SegmentNumber segment = 0;
  SegmentRow row = 0;
  friend bool operator==(const RowId&, const RowId&) = default;
};

// Names a row of a known job, over restarts.
struct RowPlace {
  SegmentNumber segment = 0;
  SegmentRow row = 0;
  friend auto operator<=>(const RowPlace&, const RowPlace&) = default;
};

// The row's contents. All views live as long as the block or buffer it was parsed from.
struct Row {
  uint64_t number = 0;       // its place in the list, from 1, the header line not counted
  std::string_view address;  // normalised: local part as given, "@", domain as lower-case A-labels
                             // (or an address literal as given)
  std::string_view local_part;
  std::string_view domain;                   // lower-case A-labels, no trailing dot
  bool needs_smtputf8 = false;               // the local part is not ASCII
  std::span<const std::string_view> values;  // one for each column of the list, in its order
};

}  // namespace sluice
