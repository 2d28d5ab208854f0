// Reads segments: the index once, then block by block.
//
// Purpose: SegmentIndex is what stays in memory of an open segment; BlockReader turns a block into
//   rows. Whoever does the I/O opens a segment with two reads: the last kSegmentTrailerBytes of the
//   file (parse_segment_trailer) and the index where the trailer says; later one read a block.
// Ownership: a SegmentIndex owns all it holds. A BlockReader refers to a block's octets, which must
//   outlive its use, and copies what it needs of the index. Of a row it gives, local_part and
//   stored values live as long as the block's octets, domain until the next open(); address, the
//   span and an address column's value that equals the address only until the reader's next call.
// Thread: a SegmentIndex is immutable: any number. A BlockReader: one at a time.
// Errors: a Status that names what is wrong. Octets may be anything: nothing is read out of bounds.
// Limits: an index takes 16 bytes a block, 8 bytes a domain and the domains' text.
// BUGS: find_domain() looks at every domain.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/row.h"
#include "engine/spool/segment_format.h"

namespace sluice {

// A block: rows [first_row, first_row + row_count) of the segment, all of one domain.
struct BlockEntry {
  std::string_view
      domain;  // lives as long as the index, of BlockReader::entry() to the next open()
  uint32_t domain_index = 0;
  uint64_t offset = 0;  // in the file
  uint32_t bytes = 0;
  SegmentRow first_row = 0;
  uint32_t row_count = 0;
  uint32_t crc = 0;
};

class SegmentIndex {
 public:
  // Blocks [first, last) of a domain.
  struct BlockRange {
    uint32_t first = 0;
    uint32_t last = 0;
  };

  // `octets`: the trailer.index_bytes octets of the file from trailer.index_offset on. Keeps no
  // reference to them.
  static StatusOr<SegmentIndex> parse(std::string_view octets, const SegmentTrailer& trailer);

  const SegmentMeta& meta() const { return meta_; }
  uint32_t row_count() const { return row_count_; }

  uint32_t block_count() const { return static_cast<uint32_t>(blocks_.size()); }
  // REQUIRES: block < block_count(). Looks for the domain by bisection.
  BlockEntry block(uint32_t block) const;
  // The block that holds `row`. REQUIRES: row < row_count().
  uint32_t find_row(SegmentRow row) const;

  // Domains are numbered from 0 in the order in which the list first names them.
  uint32_t domain_count() const { return static_cast<uint32_t>(domains_.size()); }
  // REQUIRES: domain < domain_count(), for the next three.
  std::string_view domain(uint32_t domain) const;
  BlockRange blocks_of(uint32_t domain) const;
  // Rows of a domain are numbered without a gap: [first, last).
  SegmentRow first_row_of(uint32_t domain) const;
  SegmentRow last_row_of(uint32_t domain) const;
  std::optional<uint32_t> find_domain(std::string_view domain) const;

  // Bytes of memory held, for accounts.
  size_t memory_bytes() const;

 private:
  struct Block {
    uint32_t offset;
    uint32_t bytes;
    uint32_t first_row;
    uint32_t crc;
  };
  struct Domain {
    uint32_t text_end;  // in text_; begins where the one before ends
    uint32_t first_block;
  };

  Status parse_domains(ByteReader& in, uint64_t domains, uint64_t blocks_end);
  SegmentRow row_after(uint32_t block) const {
    return block + 1 < blocks_.size() ? blocks_[block + 1].first_row : row_count_;
  }

  SegmentMeta meta_;
  std::vector<Block> blocks_;
  std::vector<Domain> domains_;
  std::string text_;
  uint32_t row_count_ = 0;
};

class BlockReader {
 public:
  BlockReader() = default;
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;

  // Begins with a block: `octets` are the file's entry.bytes octets from entry.offset on, where
  // entry is index.block(block). Fails when length or checksum do not match. Keeps its memory from
  // block to block.
  Status open(const SegmentIndex& index, uint32_t block, std::string_view octets);

  // The next row; false at the block's end, and when the block is malformed: then status() says so.
  bool next(Row& row);
  // Number of the row that next() will give.
  SegmentRow position() const { return position_; }
  // Goes to a row of this block, forwards or backwards, by skipping from the nearest known place.
  // REQUIRES: the row belongs to the open block.
  Status seek(SegmentRow row);

  const BlockEntry& entry() const { return entry_; }
  const Status& status() const { return status_; }

 private:
  bool malformed(const char* what);
  bool parse_row(std::string_view octets, Row& row);

  BlockEntry entry_;
  std::string domain_;
  std::string job_;  // and segment_: for messages
  SegmentNumber segment_ = 0;
  uint32_t address_column_ = 0;
  std::string_view octets_;
  std::string_view rest_;  // from row position_ on
  SegmentRow position_ = 0;
  std::vector<std::string_view> values_;
  std::string address_;
  Status status_;
};

}  // namespace sluice
