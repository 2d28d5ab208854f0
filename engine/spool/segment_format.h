// The parts of a segment file that writer and reader share. FORMAT.md has the picture.
//
// A segment holds a stretch of a job's list: rows grouped by domain in blocks, an index of the
// blocks, a trailer. It is immutable and self-contained; every octet that matters is covered by a
// CRC-32C. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/digest.h"
#include "engine/base/status.h"
#include "engine/model/row.h"

namespace sluice {

inline constexpr uint32_t kSegmentVersion = 1;
inline constexpr size_t kSegmentHeaderBytes = 16;
inline constexpr size_t kSegmentTrailerBytes = 32;

// What a segment says about itself.
struct SegmentMeta {
  std::string job;         // job id
  Sha256 template_hash{};  // of what makes the message: the caller's business
  SegmentNumber number = 0;
  uint64_t row_begin = 1;            // the list's rows [row_begin, row_end) were looked at for it;
  uint64_t row_end = 1;              // numbers from 1
  uint64_t resume_offset = 0;        // octet of the decoded list at which row_end begins,
  uint64_t resume_line = 1;          // and its line
  uint64_t rejected = 0;             // rows of the stretch that are not in the segment, by reason;
  uint64_t suppressed = 0;           // together with the segment's rows they make
  uint64_t duplicate = 0;            // row_end - row_begin
  std::vector<std::string> columns;  // their names, at least one
  uint32_t address_column = 0;       // index of the column that holds the address
};

// Where the index lies.
struct SegmentTrailer {
  uint64_t index_offset = 0;  // also the end of the blocks
  uint32_t index_bytes = 0;
  uint32_t index_crc = 0;
};

// Flags of a row.
inline constexpr uint8_t kRowNeedsSmtputf8 = 1;
// The address column's value is not the normalised address and stands among the values.
inline constexpr uint8_t kRowAddressAsGiven = 2;

// For SegmentBuilder; each appends to `out`.
void append_segment_header(std::string& out);
void append_segment_meta(const SegmentMeta& meta, std::string& out);
void append_segment_trailer(const SegmentTrailer& trailer, std::string& out);

// The first kSegmentHeaderBytes of a file: is it a segment of a version that we read? A reader
// that has read the trailer need not ask.
Status check_segment_header(std::string_view octets);
// The last kSegmentTrailerBytes of a file of `file_bytes`. The index lies inside the file then.
StatusOr<SegmentTrailer> parse_segment_trailer(std::string_view octets, uint64_t file_bytes);

class ByteReader;
// Reads what append_segment_meta() wrote.
StatusOr<SegmentMeta> parse_segment_meta(ByteReader& in);

}  // namespace sluice
