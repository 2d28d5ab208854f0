// The octets of a journal file: names, sizes, file header, frame header. FORMAT.md tells the whole.
//
// Pure functions and constants; any thread. Shared by the encoder, the parser and tools.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/status.h"
#include "engine/base/time.h"

namespace sluice {

inline constexpr uint16_t kJournalVersion = 1;
inline constexpr size_t kFileHeaderBytes = 32;
inline constexpr size_t kFrameHeaderBytes = 16;
// A frame is sealed once its records reach this many octets.
inline constexpr size_t kFrameBytesTarget = 256UL << 10;
// A reader refuses longer ones: bounds its memory. Target and the longest append stay far below.
inline constexpr size_t kFrameBytesMax = 1UL << 20;

// Octets kept of a reply's text and of each name (site, exchanger, source, sender, job); what is
// longer is cut.
inline constexpr size_t kTextBytesMax = 1'024;
inline constexpr size_t kNameBytesMax = 1'024;
inline constexpr size_t kTlsTextBytesMax = 64;
inline constexpr size_t kTlsReasonBytesMax = 256;
inline constexpr size_t kCommandBytesMax = 32;
// The longest entry of a dictionary.
inline constexpr size_t kDefinitionBytesMax = 4'096;

// The first octet of a record; its length follows, so that a reader skips kinds it does not know.
enum class RecordKind : uint8_t { kDefine = 1, kVerdict = 2, kJobEvent = 3 };

// The dictionaries of a file and the slots of each.
enum class Table : uint8_t { kJob, kPath, kShape, kSender };
inline constexpr size_t kTables = 4;
inline constexpr std::array<uint32_t, kTables> kTableSlots = {1'024, 4'096, 2'048, 1'024};

// In the flags of a shape.
inline constexpr uint8_t kMaybeDeliveredFlag = 1;
inline constexpr uint8_t kDnsStaleFlag = 2;
// In the flags of TLS, of a path.
inline constexpr uint8_t kResumedFlag = 1;

struct JournalFileHeader {
  uint32_t shard = 0;
  uint32_t number = 0;
  WallTime created{};  // also the zero of the file's first time difference
};
std::string encode(const JournalFileHeader& header);
// REQUIRES: kFileHeaderBytes octets. The error says what is wrong; the caller adds the file.
StatusOr<JournalFileHeader> decode_file_header(std::string_view octets);
// The header's own checksum: seeds those of the file's frames, so that a frame of another file, or
// of another place, is not taken for one of this.
uint32_t seed_of(std::string_view file_header);

// Writes the 16 octets in front of `payload` at `to`. `offset`: of the frame in the file.
void put_frame_header(char* to, std::string_view payload, uint32_t seed, uint64_t offset);
struct FrameHeader {
  uint32_t payload_bytes = 0;
  uint32_t payload_checksum = 0;
};
// Nothing when these 16 octets are no whole frame header of this file at this offset.
std::optional<FrameHeader> read_frame_header(std::string_view octets, uint32_t seed,
                                             uint64_t offset);

// "003-00000017.jnl" for shard 3, file 17.
std::string journal_file_name(uint32_t shard, uint32_t number);
struct JournalFileName {
  uint32_t shard = 0;
  uint32_t number = 0;
};
std::optional<JournalFileName> parse_journal_file_name(std::string_view name);

// Signed numbers as varints: 0, -1, 1, -2 ... become 0, 1, 2, 3 ...
inline constexpr uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
inline constexpr int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ (0 - (value & 1)));
}

}  // namespace sluice
