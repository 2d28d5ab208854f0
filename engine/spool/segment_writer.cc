#include "engine/spool/segment_writer.h"

#include <algorithm>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/spool/sip_hash.h"

namespace sluice {
namespace {

constexpr size_t kFirstTableSlots = 1024;
constexpr size_t kBytesMax = 1UL << 31;  // offsets take 32 bits
constexpr size_t kVarintBytesMax = 5;    // of 32 bits

uint64_t hash_of(std::string_view domain) { return sip_hash_128(SipKey{}, domain).low; }

}  // namespace

SegmentBuilder::SegmentBuilder(uint32_t columns, uint32_t address_column, const Limits& limits)
    : columns_(columns),
      address_column_(address_column),
      block_bytes_target_(limits.block_bytes_target),
      table_(kFirstTableSlots, 0) {
  CHECK(address_column < columns);
}

void SegmentBuilder::grow_table() {
  table_.assign(table_.size() * 2, 0);
  for (size_t i = 0; i < domains_.size(); ++i) {
    size_t slot = domains_[i].hash & (table_.size() - 1);
    while (table_[slot] != 0) slot = (slot + 1) & (table_.size() - 1);
    table_[slot] = static_cast<uint32_t>(i + 1);
  }
}

uint32_t SegmentBuilder::domain_index(std::string_view domain) {
  const uint64_t hash = hash_of(domain);
  size_t slot = hash & (table_.size() - 1);
  while (table_[slot] != 0) {
    const uint32_t index = table_[slot] - 1;
    if (domains_[index].hash == hash && text_of(domains_[index]) == domain) return index;
    slot = (slot + 1) & (table_.size() - 1);
  }
  const auto index = static_cast<uint32_t>(domains_.size());
  domains_.push_back({hash, static_cast<uint32_t>(domain_text_.size()),
                      static_cast<uint32_t>(domain.size()), kNone, kNone});
  domain_text_ += domain;
  table_[slot] = index + 1;
  if (domains_.size() * 2 > table_.size()) grow_table();
  return index;
}

void SegmentBuilder::add(const Row& row) {
  CHECK(row.values.size() == columns_);
  CHECK(!row.domain.empty() && row.domain.size() <= UINT8_MAX);
  const size_t begin = arena_.size();
  const std::string_view given = row.values[address_column_];
  const bool as_given = given != row.address;
  ByteWriter writer(arena_);
  writer.varint(row.number);
  writer.u8(static_cast<uint8_t>((row.needs_smtputf8 ? kRowNeedsSmtputf8 : 0) |
                                 (as_given ? kRowAddressAsGiven : 0)));
  writer.text(row.local_part);
  for (uint32_t i = 0; i < columns_; ++i) {
    if (i != address_column_ || as_given) writer.text(row.values[i]);
  }
  CHECK(arena_.size() < kBytesMax);

  Domain& domain = domains_[domain_index(row.domain)];
  const uint32_t index = rows();
  rows_.push_back(
      {static_cast<uint32_t>(begin), static_cast<uint32_t>(arena_.size() - begin), kNone});
  if (domain.first_row == kNone) {
    domain.first_row = index;
  } else {
    rows_[domain.last_row].next = index;
  }
  domain.last_row = index;
}

void SegmentBuilder::append_domain(const Domain& domain, std::string& out) {
  const std::string_view arena = arena_;
  blocks_.clear();
  uint32_t block_count = 0;
  size_t block_begin = out.size();
  uint32_t block_rows = 0;
  ByteWriter body(out);
  ByteWriter blocks(blocks_);
  const auto close_block = [&] {
    const std::string_view block = std::string_view(out).substr(block_begin);
    blocks.varint(block.size());
    blocks.varint(block_rows);
    blocks.u32(crc32c(block));
    ++block_count;
    block_begin = out.size();
    block_rows = 0;
  };
  for (uint32_t i = domain.first_row; i != kNone; i = rows_[i].next) {
    const StoredRow& row = rows_[i];
    const size_t block_bytes = out.size() - block_begin;
    if (block_rows > 0 && block_bytes + row.bytes > block_bytes_target_) close_block();
    body.text(arena.substr(row.offset, row.bytes));
    ++block_rows;
  }
  close_block();
  ByteWriter index(index_);
  index.text(text_of(domain));
  index.varint(block_count);
  index.raw(blocks_);
  block_count_ += block_count;
}

void SegmentBuilder::finish(const SegmentMeta& meta, std::string& out) {
  CHECK(meta.columns.size() == columns_ && meta.address_column == address_column_);
  CHECK(meta.row_end - meta.row_begin == rows() + meta.rejected + meta.suppressed + meta.duplicate);
  out.clear();
  out.reserve(bytes() + rows_.size() * kVarintBytesMax + domains_.size() * 16 + 4096);
  append_segment_header(out);
  index_.clear();
  block_count_ = 0;
  for (const Domain& domain : domains_) append_domain(domain, out);

  SegmentTrailer trailer;
  trailer.index_offset = out.size();
  append_segment_meta(meta, out);
  ByteWriter writer(out);
  writer.varint(rows());
  writer.varint(domains_.size());
  writer.varint(block_count_);
  writer.raw(index_);
  const std::string_view index = std::string_view(out).substr(trailer.index_offset);
  CHECK(out.size() < kBytesMax * 2);
  trailer.index_bytes = static_cast<uint32_t>(index.size());
  trailer.index_crc = crc32c(index);
  append_segment_trailer(trailer, out);
  clear();
}

void SegmentBuilder::clear() {
  arena_.clear();
  rows_.clear();
  domain_text_.clear();
  domains_.clear();
  std::fill(table_.begin(), table_.end(), 0);
}

}  // namespace sluice
