#include "engine/record/format.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(JournalFormat, FileHeaderRoundTrips) {
  const JournalFileHeader header{7, 123, from_unix_seconds(1'700'000'000) + 5ns};
  const std::string octets = encode(header);
  ASSERT_EQ(octets.size(), kFileHeaderBytes);
  const StatusOr<JournalFileHeader> back = decode_file_header(octets);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->shard, 7u);
  EXPECT_EQ(back->number, 123u);
  EXPECT_EQ(back->created, header.created);
}

TEST(JournalFormat, FileHeaderShowsEveryFlippedBit) {
  const std::string octets = encode(JournalFileHeader{7, 123, from_unix_seconds(1'700'000'000)});
  for (size_t bit = 0; bit < octets.size() * 8; ++bit) {
    std::string bad = octets;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_file_header(bad).ok()) << bit;
  }
}

TEST(JournalFormat, FrameHeaderBelongsToItsPlaceAndFile) {
  char octets[kFrameHeaderBytes];
  put_frame_header(octets, "records", 5, 1'000);
  const std::string_view view(octets, sizeof octets);
  const std::optional<FrameHeader> header = read_frame_header(view, 5, 1'000);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->payload_bytes, 7u);
  EXPECT_FALSE(read_frame_header(view, 5, 1'001));
  EXPECT_FALSE(read_frame_header(view, 6, 1'000));
}

TEST(JournalFormat, FileNames) {
  EXPECT_EQ(journal_file_name(3, 17), "003-00000017.jnl");
  EXPECT_EQ(journal_file_name(1'234, 123'456'789), "1234-123456789.jnl");
  for (const uint32_t shard : {0U, 9U, 1'000U}) {
    const auto parsed = parse_journal_file_name(journal_file_name(shard, 4'000'000'000));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->shard, shard);
    EXPECT_EQ(parsed->number, 4'000'000'000);
  }
  for (const char* name :
       {"", ".jnl", "003-17.jnl", "3-00000017.jnl", "003-00000017.jnl.tmp", "003-00000017",
        "abc-00000017.jnl", "003-99999999999.jnl", "0003-0000017.jnl"}) {
    EXPECT_FALSE(parse_journal_file_name(name)) << name;
  }
}

}  // namespace
}  // namespace sluice
