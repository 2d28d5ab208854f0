// Octets that claim to be a segment, their checksums good so that the fuzzer comes past them, are
// read or refused, never out of bounds; a segment that was built gives its rows back.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/spool/segment_reader.h"
#include "engine/spool/segment_writer.h"
#include "tests/fuzz/input.h"

namespace sluice::fuzz {
namespace {

SegmentMeta meta_for(uint64_t rows) {
  SegmentMeta meta;
  meta.job = "july-20261201T080000Z-abcdef";
  meta.row_end = meta.row_begin + rows;
  meta.columns = {"name", "email", "x"};
  meta.address_column = 1;
  return meta;
}

void check_rows(const SegmentIndex& index, uint32_t block, std::string_view octets) {
  BlockReader reader;
  if (!reader.open(index, block, octets).ok()) return;
  const BlockEntry entry = index.block(block);
  std::vector<uint64_t> numbers;
  Row row;
  while (reader.next(row)) {
    CHECK(reader.position() == entry.first_row + numbers.size() + 1);
    CHECK(row.domain == entry.domain);
    CHECK(row.address == std::string(row.local_part) + "@" + std::string(row.domain));
    CHECK(row.values.size() == index.meta().columns.size());
    numbers.push_back(row.number);
  }
  CHECK(numbers.size() <= entry.row_count);
  CHECK(!reader.status().ok() || numbers.size() == entry.row_count);
  for (size_t i = numbers.size(); i-- > 0 && i + 8 > numbers.size();) {
    if (!reader.open(index, block, octets).ok()) return;
    CHECK(reader.seek(entry.first_row + static_cast<SegmentRow>(i)).ok());
    CHECK(reader.next(row) && row.number == numbers[i]);
  }
}

void check_index(const SegmentIndex& index) {
  uint64_t offset = kSegmentHeaderBytes;
  SegmentRow first_row = 0;
  for (uint32_t b = 0; b < index.block_count(); ++b) {
    const BlockEntry entry = index.block(b);
    CHECK(entry.offset == offset && entry.first_row == first_row && entry.row_count > 0);
    CHECK(entry.domain_index < index.domain_count());
    CHECK(entry.domain == index.domain(entry.domain_index));
    CHECK(index.find_row(entry.first_row) == b);
    CHECK(index.find_row(entry.first_row + entry.row_count - 1) == b);
    offset += entry.bytes;
    first_row += entry.row_count;
  }
  CHECK(first_row == index.row_count());
  SegmentRow row = 0;
  for (uint32_t d = 0; d < index.domain_count(); ++d) {
    CHECK(index.first_row_of(d) == row && index.last_row_of(d) > row);
    row = index.last_row_of(d);
    CHECK(index.blocks_of(d).first < index.blocks_of(d).last);
    CHECK(index.find_domain(index.domain(d)).has_value());
  }
  CHECK(row == index.row_count());
}

// `octets` are the index of a file.
void check_any_index(std::string_view octets, uint64_t blocks_end) {
  const SegmentTrailer trailer = {kSegmentHeaderBytes + blocks_end,
                                  static_cast<uint32_t>(octets.size()), crc32c(octets)};
  const StatusOr<SegmentIndex> index = SegmentIndex::parse(octets, trailer);
  if (!index.ok()) {
    CHECK(!message_of(index.status()).empty());
    return;
  }
  check_index(*index);
  for (uint32_t b = 0; b < std::min(index->block_count(), 4U); ++b) {
    check_rows(*index, b, octets.substr(0, index->block(b).bytes));
  }
}

// `octets` are the only block of a file that has `rows` rows.
void check_any_block(std::string_view octets, uint64_t rows) {
  std::string text;
  append_segment_meta(meta_for(rows), text);
  ByteWriter out(text);
  for (const uint64_t number : {rows, uint64_t{1}, uint64_t{1}}) out.varint(number);
  out.text("b.example");
  for (const uint64_t number : {uint64_t{1}, uint64_t{octets.size()}, rows}) out.varint(number);
  out.u32(crc32c(octets));
  const SegmentTrailer trailer = {kSegmentHeaderBytes + octets.size(),
                                  static_cast<uint32_t>(text.size()), crc32c(text)};
  const StatusOr<SegmentIndex> index = SegmentIndex::parse(text, trailer);
  if (!index.ok()) return;
  check_index(*index);
  check_rows(*index, 0, octets);
}

struct Kept {
  uint64_t number;
  std::string local_part;
  std::vector<std::string> values;
};

// Each field of `input` makes a row.
void check_built(Input input) {
  const Limits limits = Limits::tiny();
  SegmentBuilder builder(3, 1, limits);
  std::map<std::string, std::vector<Kept>> meant;
  uint64_t rows = 0;
  while (!input.empty() && rows < 200) {
    const std::string_view field = input.field();
    // Five domains, told by the field's last octet.
    std::string domain(1, 'a');
    if (!field.empty()) {
      domain[0] = static_cast<char>('a' + static_cast<unsigned char>(field.back()) % 5);
    }
    domain += ".example";
    const std::string local(field.substr(0, 40).empty() ? "x" : field.substr(0, 40));
    std::string address = local;
    address.append("@").append(domain);
    // As given in the list, or already in its one form.
    const std::string given = field.size() % 2 == 0 ? address : std::string(field);
    const std::string_view values[] = {field, given, "1"};
    Row row;
    row.number = ++rows;
    row.address = address;
    row.local_part = local;
    row.domain = domain;
    row.values = values;
    builder.add(row);
    meant[domain].push_back({row.number, local, {std::string(field), given, "1"}});
  }
  std::string file;
  builder.finish(meta_for(rows), file);
  CHECK(check_segment_header(file).ok());
  const StatusOr<SegmentTrailer> trailer = parse_segment_trailer(
      std::string_view(file).substr(file.size() - kSegmentTrailerBytes), file.size());
  CHECK(trailer.ok());
  const StatusOr<SegmentIndex> index = SegmentIndex::parse(
      std::string_view(file).substr(trailer->index_offset, trailer->index_bytes), *trailer);
  CHECK(index.ok() && index->row_count() == rows && index->domain_count() == meant.size());
  check_index(*index);
  for (uint32_t d = 0; d < index->domain_count(); ++d) {
    const std::vector<Kept>& kept = meant[std::string(index->domain(d))];
    size_t next = 0;
    for (uint32_t b = index->blocks_of(d).first; b < index->blocks_of(d).last; ++b) {
      const BlockEntry entry = index->block(b);
      BlockReader reader;
      const std::string_view block = std::string_view(file).substr(entry.offset, entry.bytes);
      CHECK(reader.open(*index, b, block).ok());
      Row row;
      for (; reader.next(row); ++next) {
        CHECK(next < kept.size() && row.number == kept[next].number);
        CHECK(row.local_part == kept[next].local_part);
        CHECK(std::vector<std::string>(row.values.begin(), row.values.end()) == kept[next].values);
      }
      CHECK(reader.status().ok());
      check_rows(*index, b, block);
    }
    CHECK(next == kept.size());
  }
}

void check_any_file(std::string_view octets) {
  (void)check_segment_header(octets.substr(0, kSegmentHeaderBytes));
  if (octets.size() < kSegmentTrailerBytes) return;
  const StatusOr<SegmentTrailer> trailer =
      parse_segment_trailer(octets.substr(octets.size() - kSegmentTrailerBytes), octets.size());
  if (!trailer.ok()) return;
  CHECK(trailer->index_offset + trailer->index_bytes <= octets.size());
  const auto index =
      SegmentIndex::parse(octets.substr(trailer->index_offset, trailer->index_bytes), *trailer);
  if (index.ok()) check_index(*index);
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::fuzz;
  Input input(data, size);
  const size_t what = input.below(8);
  const uint64_t number = input.number();
  if (what < 3) {
    check_any_index(input.rest(), number);
  } else if (what < 6) {
    check_any_block(input.rest(), number);
  } else if (what == 6) {
    check_built(input);
  } else {
    check_any_file(input.rest());
  }
  return 0;
}
