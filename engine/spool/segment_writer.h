// Collects rows and makes a segment of them.
//
// Purpose: rows come in the order of the list and leave grouped by domain: domains in the order in
//   which each first came, rows of a domain in the order of the list. So equal input makes an equal
//   segment, octet for octet.
// Use: add() until full() or the segment is old enough, finish(), write the result, begin anew: a
//   builder is reused for segment after segment and keeps its memory.
// Ownership: add() copies what it needs. Thread: one at a time.
// Errors: none; misuse is a CHECK.
// Limits: memory is about bytes() twice over while finish() runs. full() says when to stop; add()
//   itself does not refuse, so a segment may exceed Limits::segment_bytes_max by one row.
// BUGS: none known.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/limits.h"
#include "engine/model/row.h"
#include "engine/spool/segment_format.h"

namespace sluice {

class SegmentBuilder {
 public:
  // REQUIRES: address_column < columns. Limits: block_bytes_target is used.
  SegmentBuilder(uint32_t columns, uint32_t address_column, const Limits& limits);

  // REQUIRES: row.values has one value a column; domain and local part are not longer than an
  // address may be.
  void add(const Row& row);

  uint32_t rows() const { return static_cast<uint32_t>(rows_.size()); }
  uint32_t domains() const { return static_cast<uint32_t>(domains_.size()); }
  // About the size of the segment that finish() would make.
  size_t bytes() const { return arena_.size() + domain_text_.size(); }
  bool full(const Limits& limits) const {
    return rows() >= limits.segment_rows_max || bytes() >= limits.segment_bytes_max;
  }

  // Replaces `out` by the whole file and empties the builder. A segment without rows is a segment:
  // it carries the counts of a stretch of which nothing may be mailed.
  // REQUIRES: meta's counts and rows() add up to meta.row_end - meta.row_begin; meta.columns and
  // address_column are the constructor's.
  void finish(const SegmentMeta& meta, std::string& out);

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct StoredRow {
    uint32_t offset;  // in arena_
    uint32_t bytes;
    uint32_t next;  // row of the same domain, kNone at the end
  };
  struct Domain {
    uint64_t hash;
    uint32_t text_offset;  // in domain_text_
    uint32_t text_bytes;
    uint32_t first_row;
    uint32_t last_row;
  };

  uint32_t domain_index(std::string_view domain);
  void grow_table();
  std::string_view text_of(const Domain& domain) const {
    return std::string_view(domain_text_).substr(domain.text_offset, domain.text_bytes);
  }
  void append_domain(const Domain& domain, std::string& out);
  void clear();

  const uint32_t columns_;
  const uint32_t address_column_;
  const size_t block_bytes_target_;
  std::string arena_;  // encoded rows, in the order of the list
  std::vector<StoredRow> rows_;
  std::string domain_text_;
  std::vector<Domain> domains_;
  std::vector<uint32_t> table_;  // open addressing: index into domains_ plus one, 0 for none
  std::string index_;            // while finish() runs: domains and blocks as the index has them
  std::string blocks_;           // while finish() runs: the blocks of one domain
  uint32_t block_count_ = 0;
};

}  // namespace sluice
