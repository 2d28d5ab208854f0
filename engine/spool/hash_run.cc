#include "engine/spool/hash_run.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/crc32c.h"

namespace sluice {
namespace {

constexpr std::string_view kMagic = "SLHRUN01";
constexpr size_t kBlockHeaderBytes = 8;
constexpr size_t kHashBytes = 16;

Hash128 read_hash(const char* octets) {
  Hash128 hash;
  std::memcpy(&hash.high, octets, sizeof hash.high);
  std::memcpy(&hash.low, octets + sizeof hash.high, sizeof hash.low);
  return hash;
}

void append_hash(ByteWriter& writer, const Hash128& hash) {
  writer.u64(hash.high);
  writer.u64(hash.low);
}

// The hashes of a block that is what its writer wrote; they begin at kBlockHeaderBytes.
StatusOr<size_t> checked_count(std::string_view octets) {
  CHECK(octets.size() == kHashBlockBytes);
  ByteReader reader(octets);
  const uint32_t crc = reader.u32();
  const uint32_t count = reader.u32();
  if (crc != crc32c(octets.substr(sizeof crc)) || count == 0 || count > kHashesPerBlock) {
    return io_error("a block's checksum is wrong");
  }
  return count;
}

}  // namespace

StatusOr<HashRunFooter> parse_hash_run_footer(std::string_view octets, uint64_t file_bytes) {
  CHECK(octets.size() == kHashRunFooterBytes);
  ByteReader reader(octets);
  const std::string_view magic = reader.raw(kMagic.size());
  HashRunFooter footer;
  footer.entries = reader.u64();
  footer.blocks = reader.u64();
  footer.meta_bytes = reader.u64();
  footer.tail_crc = reader.u32();
  const std::string_view before = octets.substr(0, octets.size() - reader.left());
  if (magic != kMagic) return io_error("it is no file of sorted hashes");
  if (reader.u32() != crc32c(before)) return io_error("its footer's checksum is wrong");
  if (footer.blocks > UINT32_MAX || footer.meta_bytes > file_bytes ||
      footer.entries > footer.blocks * kHashesPerBlock ||
      footer.tail_offset() + footer.tail_bytes() + kHashRunFooterBytes != file_bytes) {
    return io_error("its footer does not fit its size");
  }
  return footer;
}

StatusOr<HashRunIndex> HashRunIndex::parse(const HashRunFooter& footer, std::string_view tail) {
  if (tail.size() != footer.tail_bytes() || crc32c(tail) != footer.tail_crc) {
    return io_error("its index's checksum is wrong");
  }
  HashRunIndex index;
  index.entries_ = footer.entries;
  index.firsts_.reserve(footer.blocks);
  for (uint64_t i = 0; i < footer.blocks; ++i) {
    index.firsts_.push_back(read_hash(tail.data() + i * kHashBytes));
  }
  index.meta_ = tail.substr(footer.blocks * kHashBytes);
  return index;
}

std::optional<uint64_t> HashRunIndex::block_of(const Hash128& hash) const {
  const auto behind = std::upper_bound(firsts_.begin(), firsts_.end(), hash, hash_less);
  if (behind == firsts_.begin()) return std::nullopt;
  return static_cast<uint64_t>(behind - firsts_.begin()) - 1;
}

void HashRunWriter::add(const Hash128& hash, std::string& out) {
  if (last_) {
    if (*last_ == hash) return;
    CHECK(hash_less(*last_, hash));
  }
  last_ = hash;
  if (block_.size() == kHashesPerBlock) close_block(out);
  block_.push_back(hash);
  ++entries_;
}

void HashRunWriter::close_block(std::string& out) {
  if (block_.empty()) return;
  firsts_.push_back(block_.front());
  std::string octets;
  octets.reserve(kHashBlockBytes);
  ByteWriter writer(octets);
  writer.u32(static_cast<uint32_t>(block_.size()));
  for (const Hash128& hash : block_) append_hash(writer, hash);
  octets.resize(kHashBlockBytes - sizeof(uint32_t), '\0');
  ByteWriter(out).u32(crc32c(octets));
  out += octets;
  block_.clear();
}

HashRunIndex HashRunWriter::finish(std::string_view meta, std::string& out) {
  close_block(out);
  std::string tail;
  ByteWriter writer(tail);
  for (const Hash128& first : firsts_) append_hash(writer, first);
  writer.raw(meta);
  std::string footer;
  ByteWriter last(footer);
  last.raw(kMagic);
  last.u64(entries_);
  last.u64(firsts_.size());
  last.u64(meta.size());
  last.u32(crc32c(tail));
  const uint32_t crc = crc32c(footer);
  last.u32(crc);
  footer.resize(kHashRunFooterBytes, '\0');
  out += tail;
  out += footer;
  return {std::exchange(entries_, 0), std::exchange(firsts_, {}), std::string(meta)};
}

Status read_hash_block(std::string_view octets, std::vector<Hash128>& out) {
  ASSIGN_OR_RETURN(const size_t count, checked_count(octets));
  for (size_t i = 0; i < count; ++i) {
    out.push_back(read_hash(octets.data() + kBlockHeaderBytes + i * kHashBytes));
  }
  return {};
}

StatusOr<bool> hash_block_contains(std::string_view octets, const Hash128& hash) {
  ASSIGN_OR_RETURN(const size_t count, checked_count(octets));
  size_t low = 0;
  size_t high = count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const Hash128 there = read_hash(octets.data() + kBlockHeaderBytes + middle * kHashBytes);
    if (there == hash) return true;
    if (hash_less(there, hash)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return false;
}

}  // namespace sluice
