#include "engine/spool/segment_reader.h"

#include <algorithm>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/crc32c.h"

namespace sluice {
namespace {

constexpr size_t kIndexBytesPerDomainMin = 2 + 1 + 6;  // text, count of blocks, one block
constexpr size_t kIndexBytesPerBlockMin = 6;

Status bad(const std::string& what) {
  return io_error("segment: " + what + "; the file is damaged: set it aside");
}

}  // namespace

StatusOr<SegmentIndex> SegmentIndex::parse(std::string_view octets, const SegmentTrailer& trailer) {
  if (octets.size() != trailer.index_bytes) return bad("index of another length");
  if (crc32c(octets) != trailer.index_crc) return bad("index checksum");
  ByteReader in(octets);
  SegmentIndex index;
  ASSIGN_OR_RETURN(index.meta_, parse_segment_meta(in));
  const uint64_t rows = in.varint();
  const uint64_t domains = in.varint();
  const uint64_t blocks = in.varint();
  if (!in.ok() || rows > UINT32_MAX || domains > in.left() / kIndexBytesPerDomainMin ||
      blocks > in.left() / kIndexBytesPerBlockMin || domains > blocks) {
    return bad("index counts");
  }
  if (trailer.index_offset > UINT32_MAX) return bad("longer than 4 GiB");
  index.row_count_ = static_cast<uint32_t>(rows);
  index.domains_.reserve(domains);
  index.blocks_.reserve(blocks);
  RETURN_IF_ERROR(index.parse_domains(in, domains, trailer.index_offset));
  if (index.blocks_.size() != blocks || !in.at_end()) return bad("index counts");
  const SegmentMeta& meta = index.meta_;
  const uint64_t stretch = meta.row_end - meta.row_begin;
  if (meta.rejected > stretch || meta.suppressed > stretch || meta.duplicate > stretch ||
      rows + meta.rejected + meta.suppressed + meta.duplicate != stretch) {
    return bad("its counts do not add up");
  }
  index.text_.shrink_to_fit();
  return index;
}

Status SegmentIndex::parse_domains(ByteReader& in, uint64_t domains, uint64_t blocks_end) {
  uint64_t offset = kSegmentHeaderBytes;
  uint64_t row = 0;
  for (uint64_t d = 0; d < domains; ++d) {
    const std::string_view text = in.text();
    const uint64_t count = in.varint();
    if (!in.ok() || text.empty() || text.size() > UINT8_MAX) return bad("a domain in the index");
    if (count == 0 || count > in.left() / kIndexBytesPerBlockMin) return bad("blocks of a domain");
    text_ += text;
    domains_.push_back(
        {static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(blocks_.size())});
    for (uint64_t b = 0; b < count; ++b) {
      const uint64_t bytes = in.varint();
      const uint64_t rows = in.varint();
      const uint32_t crc = in.u32();
      if (!in.ok() || bytes > blocks_end - offset) return bad("a block in the index");
      if (rows == 0 || rows > bytes || rows > row_count_ - row) return bad("rows of a block");
      blocks_.push_back({static_cast<uint32_t>(offset), static_cast<uint32_t>(bytes),
                         static_cast<uint32_t>(row), crc});
      offset += bytes;
      row += rows;
    }
  }
  if (offset != blocks_end || row != row_count_) return bad("blocks and index differ in length");
  return absl::OkStatus();
}

BlockEntry SegmentIndex::block(uint32_t block) const {
  CHECK(block < blocks_.size());
  const auto after = std::upper_bound(
      domains_.begin(), domains_.end(), block,
      [](uint32_t wanted, const Domain& candidate) { return wanted < candidate.first_block; });
  const Block& b = blocks_[block];
  BlockEntry entry;
  entry.domain_index = static_cast<uint32_t>(after - domains_.begin()) - 1;
  entry.domain = domain(entry.domain_index);
  entry.offset = b.offset;
  entry.bytes = b.bytes;
  entry.first_row = b.first_row;
  entry.row_count = row_after(block) - b.first_row;
  entry.crc = b.crc;
  return entry;
}

uint32_t SegmentIndex::find_row(SegmentRow row) const {
  CHECK(row < row_count_);
  const auto after = std::upper_bound(
      blocks_.begin(), blocks_.end(), row,
      [](SegmentRow wanted, const Block& candidate) { return wanted < candidate.first_row; });
  return static_cast<uint32_t>(after - blocks_.begin()) - 1;
}

std::string_view SegmentIndex::domain(uint32_t domain) const {
  CHECK(domain < domains_.size());
  const uint32_t begin = domain == 0 ? 0 : domains_[domain - 1].text_end;
  return std::string_view(text_).substr(begin, domains_[domain].text_end - begin);
}

SegmentIndex::BlockRange SegmentIndex::blocks_of(uint32_t domain) const {
  CHECK(domain < domains_.size());
  const bool is_last = domain + 1 == domains_.size();
  return {domains_[domain].first_block, is_last ? block_count() : domains_[domain + 1].first_block};
}

SegmentRow SegmentIndex::first_row_of(uint32_t domain) const {
  return blocks_[blocks_of(domain).first].first_row;
}

SegmentRow SegmentIndex::last_row_of(uint32_t domain) const {
  return row_after(blocks_of(domain).last - 1);
}

std::optional<uint32_t> SegmentIndex::find_domain(std::string_view wanted) const {
  for (uint32_t i = 0; i < domain_count(); ++i) {
    if (domain(i) == wanted) return i;
  }
  return std::nullopt;
}

size_t SegmentIndex::memory_bytes() const {
  return sizeof *this + blocks_.capacity() * sizeof(Block) + domains_.capacity() * sizeof(Domain) +
         text_.capacity();
}

Status BlockReader::open(const SegmentIndex& index, uint32_t block, std::string_view octets) {
  const SegmentMeta& meta = index.meta();
  entry_ = index.block(block);
  domain_ = entry_.domain;
  entry_.domain = domain_;
  job_ = meta.job;
  segment_ = meta.number;
  address_column_ = meta.address_column;
  octets_ = rest_ = {};
  position_ = entry_.first_row + entry_.row_count;
  status_ = absl::OkStatus();
  if (octets.size() != entry_.bytes) {
    malformed("another length than the index says");
  } else if (crc32c(octets) != entry_.crc) {
    malformed("checksum");
  } else {
    octets_ = rest_ = octets;
    position_ = entry_.first_row;
    values_.resize(meta.columns.size());
  }
  return status_;
}

bool BlockReader::malformed(const char* what) {
  status_ = bad("job " + job_ + ", segment " + std::to_string(segment_) + ", block at octet " +
                std::to_string(entry_.offset) + ": " + what);
  return false;
}

bool BlockReader::next(Row& row) {
  if (!status_.ok() || position_ == entry_.first_row + entry_.row_count) return false;
  ByteReader in(rest_);
  const std::string_view octets = in.text();
  if (!in.ok()) return malformed("a row beyond its end");
  if (!parse_row(octets, row)) return false;
  rest_.remove_prefix(rest_.size() - in.left());
  ++position_;
  if (position_ == entry_.first_row + entry_.row_count && !rest_.empty()) {
    return malformed("octets behind the last row");
  }
  return true;
}

bool BlockReader::parse_row(std::string_view octets, Row& row) {
  ByteReader in(octets);
  row.number = in.varint();
  const uint8_t flags = in.u8();
  row.local_part = in.text();
  row.domain = entry_.domain;
  row.needs_smtputf8 = (flags & kRowNeedsSmtputf8) != 0;
  address_.assign(row.local_part);
  address_ += '@';
  address_ += row.domain;
  row.address = address_;
  const bool as_given = (flags & kRowAddressAsGiven) != 0;
  for (size_t i = 0; i < values_.size(); ++i) {
    values_[i] = i == address_column_ && !as_given ? row.address : in.text();
  }
  row.values = values_;
  if (!in.ok() || !in.at_end()) return malformed("a row's fields do not fit its length");
  return true;
}

Status BlockReader::seek(SegmentRow row) {
  if (!status_.ok()) return status_;
  CHECK(row >= entry_.first_row && row - entry_.first_row < entry_.row_count);
  if (row < position_) {
    rest_ = octets_;
    position_ = entry_.first_row;
  }
  ByteReader in(rest_);
  for (; position_ < row; ++position_) in.text();
  if (!in.ok()) {
    malformed("a row beyond its end");
    return status_;
  }
  rest_.remove_prefix(rest_.size() - in.left());
  return status_;
}

}  // namespace sluice
