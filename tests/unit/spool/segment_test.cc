#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "engine/base/crc32c.h"
#include "engine/base/random.h"
#include "engine/spool/segment_reader.h"
#include "engine/spool/segment_writer.h"

namespace sluice {
namespace {

struct Plain {
  uint64_t number = 0;
  std::string local_part;
  std::string domain;
  bool needs_smtputf8 = false;
  std::vector<std::string> values;
  friend bool operator==(const Plain&, const Plain&) = default;
};

Plain plain(uint64_t number, const std::string& local, const std::string& domain,
            const std::string& name = "") {
  return {number, local, domain, false, {name, local + "@" + domain, "x"}};
}

SegmentMeta meta_of(const std::vector<Plain>& rows) {
  SegmentMeta meta;
  meta.job = "july-20261201T080000Z-abcdef";
  meta.template_hash.fill(0xAB);
  meta.number = 3;
  meta.rejected = 2;
  meta.duplicate = 1;
  meta.row_begin = 11;
  meta.row_end = 11 + rows.size() + 3;
  meta.resume_offset = 12345;
  meta.resume_line = 99;
  meta.columns = {"name", "email", "c"};
  meta.address_column = 1;
  return meta;
}

void add(SegmentBuilder& builder, const Plain& row) {
  const std::string address = row.local_part + "@" + row.domain;
  const std::vector<std::string_view> values(row.values.begin(), row.values.end());
  Row out;
  out.number = row.number;
  out.address = address;
  out.local_part = row.local_part;
  out.domain = row.domain;
  out.needs_smtputf8 = row.needs_smtputf8;
  out.values = values;
  builder.add(out);
}

std::string build(const std::vector<Plain>& rows, const Limits& limits = Limits::tiny()) {
  SegmentBuilder builder(3, 1, limits);
  for (const Plain& row : rows) add(builder, row);
  EXPECT_EQ(builder.rows(), rows.size());
  std::string file;
  builder.finish(meta_of(rows), file);
  EXPECT_EQ(builder.rows(), 0U);
  EXPECT_EQ(builder.bytes(), 0U);
  return file;
}

StatusOr<SegmentIndex> open(std::string_view file) {
  if (file.size() < kSegmentTrailerBytes) return io_error("short");
  const auto trailer =
      parse_segment_trailer(file.substr(file.size() - kSegmentTrailerBytes), file.size());
  if (!trailer.ok()) return trailer.status();
  return SegmentIndex::parse(file.substr(trailer->index_offset, trailer->index_bytes), *trailer);
}

Plain copy_of(const Row& row) {
  EXPECT_EQ(row.address, std::string(row.local_part) + "@" + std::string(row.domain));
  Plain out{
      row.number, std::string(row.local_part), std::string(row.domain), row.needs_smtputf8, {}};
  for (const std::string_view value : row.values) out.values.emplace_back(value);
  return out;
}

StatusOr<std::vector<Plain>> read_all(std::string_view file) {
  const auto index = open(file);
  if (!index.ok()) return index.status();
  std::vector<Plain> rows;
  BlockReader reader;
  for (uint32_t b = 0; b < index->block_count(); ++b) {
    const BlockEntry entry = index->block(b);
    Status status = reader.open(*index, b, file.substr(entry.offset, entry.bytes));
    if (!status.ok()) return status;
    Row row;
    while (reader.next(row)) rows.push_back(copy_of(row));
    if (!reader.status().ok()) return reader.status();
  }
  EXPECT_EQ(rows.size(), index->row_count());
  return rows;
}

std::vector<Plain> sample() {
  std::vector<Plain> rows = {plain(11, "ann", "b.example", "Ann"), plain(12, "c", "a.example"),
                             plain(14, "d", "b.example", std::string(150, 'n')),
                             plain(15, "é", "a.example"), plain(17, "f", "b.example", "Eff")};
  rows[3].needs_smtputf8 = true;
  rows[4].values[1] = " F@B.example";  // not normalised
  return rows;
}

// What the reader must give: domains in the order of their first rows.
std::vector<Plain> grouped(const std::vector<Plain>& rows) {
  std::vector<std::string> domains;
  std::map<std::string, std::vector<Plain>> by_domain;
  for (const Plain& row : rows) {
    if (by_domain[row.domain].empty()) domains.push_back(row.domain);
    by_domain[row.domain].push_back(row);
  }
  std::vector<Plain> out;
  for (const std::string& domain : domains) {
    out.insert(out.end(), by_domain[domain].begin(), by_domain[domain].end());
  }
  return out;
}

TEST(SegmentTest, GivesBackWhatItTook) {
  const std::string file = build(sample());
  const auto rows = read_all(file);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_TRUE(*rows == grouped(sample()));
  EXPECT_TRUE(check_segment_header(std::string_view(file).substr(0, kSegmentHeaderBytes)).ok());
  EXPECT_EQ(build(sample()), file);  // equal input, equal file
}

TEST(SegmentTest, IndexTellsTheTruth) {
  const std::string file = build(sample());
  const auto index = open(file);
  ASSERT_TRUE(index.ok()) << index.status();
  const SegmentMeta& meta = index->meta();
  EXPECT_EQ(meta.job, "july-20261201T080000Z-abcdef");
  EXPECT_EQ(meta.template_hash[31], 0xAB);
  EXPECT_EQ(meta.number, 3U);
  EXPECT_EQ(meta.row_begin, 11U);
  EXPECT_EQ(meta.row_end, 19U);
  EXPECT_EQ(meta.resume_offset, 12345U);
  EXPECT_EQ(meta.resume_line, 99U);
  EXPECT_EQ(meta.rejected, 2U);
  EXPECT_EQ(meta.suppressed, 0U);
  EXPECT_EQ(meta.duplicate, 1U);
  EXPECT_EQ(meta.columns, (std::vector<std::string>{"name", "email", "c"}));
  EXPECT_EQ(index->row_count(), 5U);
  ASSERT_EQ(index->domain_count(), 2U);
  EXPECT_EQ(index->domain(0), "b.example");
  EXPECT_EQ(index->find_domain("a.example"), 1U);
  EXPECT_EQ(index->find_domain("c.example"), std::nullopt);
  EXPECT_EQ(index->first_row_of(0), 0U);
  EXPECT_EQ(index->last_row_of(0), 3U);
  EXPECT_EQ(index->first_row_of(1), 3U);
  EXPECT_EQ(index->last_row_of(1), 5U);
  EXPECT_GT(index->blocks_of(0).last, 1U);  // the long row has a block of its own
  EXPECT_EQ(index->blocks_of(0).last, index->blocks_of(1).first);
  EXPECT_EQ(index->blocks_of(1).last, index->block_count());
  for (SegmentRow row = 0; row < 5; ++row) {
    const BlockEntry entry = index->block(index->find_row(row));
    EXPECT_LE(entry.first_row, row);
    EXPECT_LT(row - entry.first_row, entry.row_count);
    EXPECT_EQ(entry.domain, row < 3 ? "b.example" : "a.example");
  }
}

TEST(SegmentTest, SeeksToAnyRow) {
  std::vector<Plain> rows;
  for (uint64_t i = 0; i < 40; ++i) rows.push_back(plain(11 + i, "u" + std::to_string(i), "d.e"));
  Limits limits;
  const std::string file = build(rows, limits);
  const auto index = open(file);
  ASSERT_TRUE(index.ok());
  ASSERT_EQ(index->block_count(), 1U);
  const BlockEntry entry = index->block(0);
  BlockReader reader;
  ASSERT_TRUE(
      reader.open(*index, 0, std::string_view(file).substr(entry.offset, entry.bytes)).ok());
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    const auto wanted = static_cast<SegmentRow>(random.below(40));
    ASSERT_TRUE(reader.seek(wanted).ok());
    ASSERT_EQ(reader.position(), wanted);
    Row row;
    ASSERT_TRUE(reader.next(row));
    ASSERT_TRUE(copy_of(row) == rows[wanted]);
  }
}

TEST(SegmentTest, FillsUpAtItsLimits) {
  const Limits tiny = Limits::tiny();
  SegmentBuilder builder(3, 1, tiny);
  uint32_t count = 0;
  for (; !builder.full(tiny); ++count) add(builder, plain(count + 1, "u", "d.e"));
  EXPECT_EQ(count, tiny.segment_rows_max);
  std::string file;
  SegmentMeta meta = meta_of(std::vector<Plain>(count));
  builder.finish(meta, file);
  add(builder, plain(1, "u", "d.e", std::string(tiny.segment_bytes_max, 'x')));
  EXPECT_TRUE(builder.full(tiny));
}

TEST(SegmentTest, MayBeEmpty) {
  const std::string file = build({});
  const auto index = open(file);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ(index->row_count(), 0U);
  EXPECT_EQ(index->block_count(), 0U);
  EXPECT_EQ(index->domain_count(), 0U);
  EXPECT_EQ(index->meta().rejected, 2U);
}

TEST(SegmentTest, ManyDomainsInLittleMemory) {
  SegmentBuilder builder(3, 1, Limits());
  std::vector<Plain> rows;
  std::string file;
  for (int round = 0; round < 2; ++round) {  // a builder is used again
    rows.clear();
    for (uint64_t i = 0; i < 20'000; ++i) {
      const uint64_t d = (i * 7919) % 10'000;
      rows.push_back(plain(11 + i, "u" + std::to_string(i), "d" + std::to_string(d) + ".example"));
    }
    for (const Plain& row : rows) add(builder, row);
    EXPECT_EQ(builder.domains(), 10'000U);
    builder.finish(meta_of(rows), file);
  }
  const auto index = open(file);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_EQ(index->block_count(), 10'000U);
  size_t text = 0;
  for (uint32_t d = 0; d < index->domain_count(); ++d) text += index->domain(d).size();
  EXPECT_LE(index->memory_bytes(), text + 24 * 10'000 + 1024);
  const auto got = read_all(file);
  ASSERT_TRUE(got.ok());
  EXPECT_TRUE(*got == grouped(rows));
}

TEST(SegmentTest, EveryFlippedOctetIsNoticedOrHarmless) {
  const std::string good = build(sample());
  const auto rows = read_all(good);
  ASSERT_TRUE(rows.ok());
  for (size_t i = 0; i < good.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xFF}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ mask);
      const auto got = read_all(bad);
      if (i < kSegmentHeaderBytes) {
        EXPECT_FALSE(check_segment_header(bad.substr(0, kSegmentHeaderBytes)).ok()) << i;
        EXPECT_TRUE(got.ok() && *got == *rows) << i;
      } else {
        EXPECT_FALSE(got.ok()) << i;
      }
    }
  }
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(read_all(good.substr(0, length)).ok()) << length;
  }
}

// With checksums made right again, the parsers themselves must hold.
TEST(SegmentTest, ForgedOctetsAreNeverReadOutOfBounds) {
  const std::string good = build(sample());
  const auto trailer = parse_segment_trailer(
      std::string_view(good).substr(good.size() - kSegmentTrailerBytes), good.size());
  ASSERT_TRUE(trailer.ok());
  const std::string index = good.substr(trailer->index_offset, trailer->index_bytes);
  int refused = 0;
  for (size_t i = 0; i < index.size(); ++i) {
    for (int value = 0; value < 256; value += 5) {
      // An own copy on the heap, so that a sanitizer sees a step beyond its end.
      std::vector<char> forged(index.begin(), index.end());
      forged[i] = static_cast<char>(value);
      const std::string_view view(forged.data(), forged.size());
      SegmentTrailer forged_trailer = *trailer;
      forged_trailer.index_crc = crc32c(view);
      const auto parsed = SegmentIndex::parse(view, forged_trailer);
      if (!parsed.ok()) {
        ++refused;
        continue;
      }
      // Index believed, block checked: any row found lies in the block.
      for (uint32_t b = 0; b < parsed->block_count(); ++b) {
        const BlockEntry entry = parsed->block(b);
        BlockReader reader;
        if (!reader.open(*parsed, b, std::string_view(good).substr(entry.offset, entry.bytes)).ok())
          continue;
        Row row;
        while (reader.next(row)) copy_of(row);
      }
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(SegmentTest, ForgedBlocksAreNeverReadOutOfBounds) {
  const std::string good = build(sample());
  const auto index = open(good);
  ASSERT_TRUE(index.ok());
  const auto trailer = parse_segment_trailer(
      std::string_view(good).substr(good.size() - kSegmentTrailerBytes), good.size());
  for (uint32_t b = 0; b < index->block_count(); ++b) {
    const BlockEntry entry = index->block(b);
    for (uint64_t i = 0; i < entry.bytes; ++i) {
      for (int value = 0; value < 256; value += 3) {
        std::string file = good;
        file[entry.offset + i] = static_cast<char>(value);
        const std::vector<char> block(file.data() + entry.offset,
                                      file.data() + entry.offset + entry.bytes);
        const std::string_view view(block.data(), block.size());
        // Write the block's new checksum into the index.
        const uint32_t was = entry.crc;
        const uint32_t is = crc32c(view);
        const size_t at =
            file.find(std::string(reinterpret_cast<const char*>(&was), 4), trailer->index_offset);
        ASSERT_NE(at, std::string::npos);
        file.replace(at, 4, std::string(reinterpret_cast<const char*>(&is), 4));
        SegmentTrailer forged = *trailer;
        const std::string_view octets =
            std::string_view(file).substr(trailer->index_offset, trailer->index_bytes);
        forged.index_crc = crc32c(octets);
        const auto parsed = SegmentIndex::parse(octets, forged);
        ASSERT_TRUE(parsed.ok());
        BlockReader reader;
        ASSERT_TRUE(reader.open(*parsed, b, view).ok());
        Row row;
        while (reader.next(row)) copy_of(row);
        ASSERT_TRUE(reader.open(*parsed, b, view).ok());
        if (reader.seek(entry.first_row + entry.row_count - 1).ok()) reader.next(row);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
