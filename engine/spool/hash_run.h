// A run: a file of sorted 128-bit hashes in which one read of 4 KiB finds, or does not find, a
// hash.
//
// Purpose: exact membership of more hashes than memory should hold. The format is in FORMAT.md.
// Use: HashRunWriter makes the octets of one, block by block, out of ascending hashes. Who looks
//   something up keeps the file's HashRunIndex in memory (the first hash of each block: about a
//   sixteenth of an octet an entry), asks it for the block, reads that block and asks
//   hash_block_contains().
// Ownership: values. Thread: pure; an index may be asked by any number of threads.
// Errors: DataLoss for octets that are not what a writer wrote. Each block has a checksum of its
//   own, so that no damage makes a hash be missing unseen.
// Limits: 2^32 blocks. BUGS: none known.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/spool/sip_hash.h"

namespace sluice {

inline constexpr size_t kHashBlockBytes = 4'096;
inline constexpr size_t kHashesPerBlock = (kHashBlockBytes - 8) / 16;
inline constexpr size_t kHashRunFooterBytes = 48;

// The order of a run.
inline bool hash_less(const Hash128& a, const Hash128& b) {
  return a.high != b.high ? a.high < b.high : a.low < b.low;
}

// What stands at a run's end.
struct HashRunFooter {
  uint64_t entries = 0;
  uint64_t blocks = 0;
  uint64_t meta_bytes = 0;
  uint32_t tail_crc = 0;  // of the index and the meta octets
  // Between the blocks and the footer.
  uint64_t tail_bytes() const { return blocks * 16 + meta_bytes; }
  uint64_t tail_offset() const { return blocks * kHashBlockBytes; }
};
// REQUIRES: `octets` are the file's last kHashRunFooterBytes.
StatusOr<HashRunFooter> parse_hash_run_footer(std::string_view octets, uint64_t file_bytes);

class HashRunIndex {
 public:
  HashRunIndex() = default;
  HashRunIndex(uint64_t entries, std::vector<Hash128> firsts, std::string meta)
      : entries_(entries), firsts_(std::move(firsts)), meta_(std::move(meta)) {}
  // `tail`: what lies between the blocks and the footer.
  static StatusOr<HashRunIndex> parse(const HashRunFooter& footer, std::string_view tail);

  uint64_t entries() const { return entries_; }
  uint64_t blocks() const { return firsts_.size(); }
  // What the writer was given for its owner.
  const std::string& meta() const { return meta_; }
  // The one block in which the hash may be; nothing when it is in none.
  std::optional<uint64_t> block_of(const Hash128& hash) const;

 private:
  uint64_t entries_ = 0;
  std::vector<Hash128> firsts_;
  std::string meta_;
};

// A run on disk.
struct HashRun {
  std::string path;
  HashRunIndex index;
};
using HashRunPtr = std::shared_ptr<const HashRun>;

class HashRunWriter {
 public:
  // Appends to `out` what is complete. One that equals the last is left out. REQUIRES: ascending.
  void add(const Hash128& hash, std::string& out);
  // Appends the rest of the file and gives its index.
  HashRunIndex finish(std::string_view meta, std::string& out);
  uint64_t entries() const { return entries_; }

 private:
  void close_block(std::string& out);

  std::vector<Hash128> block_;
  std::vector<Hash128> firsts_;
  std::optional<Hash128> last_;
  uint64_t entries_ = 0;
};

// Appends the hashes of a block. REQUIRES: kHashBlockBytes octets.
Status read_hash_block(std::string_view octets, std::vector<Hash128>& out);
StatusOr<bool> hash_block_contains(std::string_view octets, const Hash128& hash);

}  // namespace sluice
