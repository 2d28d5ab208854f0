#include "engine/record/format.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/base/crc32c.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

// The end-of-line and end-of-file octets show transfers that altered the file.
constexpr std::string_view kFileMark = "SLJN\r\n\x1A\n";
constexpr std::string_view kFrameMark = "\xF7SLF";

uint32_t frame_header_checksum(std::string_view first_twelve, uint32_t seed, uint64_t offset) {
  std::string place;
  ByteWriter(place).u64(offset);
  return crc32c(first_twelve, crc32c(place, seed));
}

}  // namespace

std::string encode(const JournalFileHeader& header) {
  std::string octets;
  ByteWriter writer(octets);
  writer.raw(kFileMark);
  writer.u16(kJournalVersion);
  writer.u16(0);
  writer.u32(header.shard);
  writer.u32(header.number);
  writer.u64(static_cast<uint64_t>(header.created.time_since_epoch().count()));
  writer.u32(crc32c(octets));
  CHECK(octets.size() == kFileHeaderBytes);
  return octets;
}

StatusOr<JournalFileHeader> decode_file_header(std::string_view octets) {
  CHECK(octets.size() == kFileHeaderBytes);
  ByteReader reader(octets);
  if (reader.raw(kFileMark.size()) != kFileMark) {
    return io_error("this is no journal file: its first eight octets are others");
  }
  const uint16_t version = reader.u16();
  reader.u16();
  JournalFileHeader header;
  header.shard = reader.u32();
  header.number = reader.u32();
  header.created = WallTime(Duration(static_cast<int64_t>(reader.u64())));
  if (reader.u32() != crc32c(octets.substr(0, kFileHeaderBytes - 4))) {
    return io_error("the file header is damaged: its checksum does not match");
  }
  if (version != kJournalVersion) {
    return io_error("the journal has format version " + std::to_string(version) +
                    ", this program reads version " + std::to_string(kJournalVersion) +
                    "; read it with the version of sluice that wrote it");
  }
  return header;
}

uint32_t seed_of(std::string_view file_header) { return crc32c(file_header); }

void put_frame_header(char* to, std::string_view payload, uint32_t seed, uint64_t offset) {
  CHECK(!payload.empty() && payload.size() <= kFrameBytesMax);
  std::string octets;
  ByteWriter writer(octets);
  writer.raw(kFrameMark);
  writer.u32(static_cast<uint32_t>(payload.size()));
  writer.u32(crc32c(payload, seed));
  writer.u32(frame_header_checksum(octets, seed, offset));
  CHECK(octets.size() == kFrameHeaderBytes);
  std::memcpy(to, octets.data(), octets.size());
}

std::optional<FrameHeader> read_frame_header(std::string_view octets, uint32_t seed,
                                             uint64_t offset) {
  ByteReader reader(octets);
  if (reader.raw(kFrameMark.size()) != kFrameMark) return std::nullopt;
  FrameHeader header;
  header.payload_bytes = reader.u32();
  header.payload_checksum = reader.u32();
  if (reader.u32() != frame_header_checksum(octets.substr(0, 12), seed, offset)) {
    return std::nullopt;
  }
  if (header.payload_bytes == 0 || header.payload_bytes > kFrameBytesMax) return std::nullopt;
  return header;
}

std::string journal_file_name(uint32_t shard, uint32_t number) {
  char name[40];
  std::snprintf(name, sizeof name, "%03" PRIu32 "-%08" PRIu32 ".jnl", shard, number);
  return name;
}

std::optional<JournalFileName> parse_journal_file_name(std::string_view name) {
  const size_t dash = name.find('-');
  const size_t dot = name.find('.');
  if (dash == std::string_view::npos || dot == std::string_view::npos || dot < dash) {
    return std::nullopt;
  }
  const std::optional<uint64_t> shard = parse_decimal(name.substr(0, dash));
  const std::optional<uint64_t> number = parse_decimal(name.substr(dash + 1, dot - dash - 1));
  if (!shard || !number || *shard > UINT32_MAX || *number > UINT32_MAX) return std::nullopt;
  const JournalFileName parsed{static_cast<uint32_t>(*shard), static_cast<uint32_t>(*number)};
  // Only names as this program writes them: another spelling would be another file of that number.
  if (journal_file_name(parsed.shard, parsed.number) != name) return std::nullopt;
  return parsed;
}

}  // namespace sluice
