// The parts of show and spool-cat that read what others wrote, or decide.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/spool/job_files.h"
#include "tests/unit/commands/temporary_spool.h"
#include "tools/cmd/row_message.h"
#include "tools/cmd/segment_file.h"
#include "tools/cmd/spool_jobs.h"

namespace sluice::tools {
namespace {

using ::testing::HasSubstr;

const std::string kJob = "july-20231114T221320Z-abcdef";

TEST(RowMessage, TakesTheDotsOfSmtpAway) {
  EXPECT_EQ(without_stuffing("a\r\n..b\r\n...\r\nc.\r\n"), "a\r\n.b\r\n..\r\nc.\r\n");
  EXPECT_EQ(without_stuffing("..\r\n"), ".\r\n");
  EXPECT_EQ(without_stuffing(""), "");
  EXPECT_EQ(without_stuffing("x\n..y"), "x\n..y");
}

class FindRow : public ::testing::Test {
 protected:
  FindRow() : directory_(spool_.paths.active_job(kJob)) {
    SegmentMeta meta;
    meta.job = kJob;
    meta.row_begin = 1;
    meta.row_end = 5;
    meta.rejected = 1;
    meta.duplicate = 1;
    spool_.add_segment(directory_, meta, {{1, "a@b.example"}, {3, "c@d.example"}});
    meta.number = 1;
    meta.row_begin = 5;
    meta.row_end = 7;
    meta.rejected = meta.duplicate = 0;
    spool_.add_segment(directory_, meta, {{5, "e@b.example"}, {6, "f@b.example"}});
    std::string rejected(kRejectedHeader);
    append_rejected(rejected, 2, 3, "nobody", "no @");
    write_file(JobPaths(directory_).rejected, rejected);
  }
  StatusOr<std::optional<SegmentPlace>> find(uint64_t number) {
    const auto open = OpenDirectory::open(directory_);
    if (!open.ok()) return open.status();
    return find_segment_row(*open, number);
  }

  TemporarySpool spool_;
  const std::string directory_;
};

TEST_F(FindRow, FindsRowsInTheirSegments) {
  const std::vector<std::tuple<uint64_t, uint32_t, uint32_t, std::string>> expected = {
      {1, 0, 0, "a@b.example"},
      {3, 0, 1, "c@d.example"},
      {5, 1, 0, "e@b.example"},
      {6, 1, 1, "f@b.example"}};
  for (const auto& [number, segment, row, address] : expected) {
    const auto place = find(number);
    ASSERT_TRUE(place.ok()) << place.status();
    ASSERT_TRUE(place->has_value()) << number;
    EXPECT_EQ((*place)->segment, segment);
    EXPECT_EQ((*place)->row, row);
    EXPECT_EQ((*place)->contents.address(), address);
    const Row view = (*place)->contents.view();
    EXPECT_EQ(view.number, number);
    EXPECT_EQ(std::string(view.local_part) + "@" + std::string(view.domain), address);
    ASSERT_EQ(view.values.size(), 1U);
    EXPECT_EQ(view.values[0], address);
  }
}

TEST_F(FindRow, SaysWhyARowIsLeftOut) {
  EXPECT_EQ(find(2).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(message_of(find(2).status()),
              HasSubstr("row 2 was rejected, line 3 of the list: no @: nobody"));
  EXPECT_THAT(message_of(find(4).status()), HasSubstr("duplicate"));
  const auto beyond = find(7);
  ASSERT_TRUE(beyond.ok());
  EXPECT_FALSE(beyond->has_value());
}

// Whatever octets a file has: it is read or refused with its name, and nothing else happens.
TEST_F(FindRow, DamagedSegmentsAreRefusedByName) {
  const std::string good = text_in(JobPaths(directory_).segment(0));
  const std::string path = spool_.root + "/damaged.seg";
  const auto walk = [&](const std::string& octets) -> Status {
    write_file(path, octets);
    auto file = SegmentFile::open(::open(path.c_str(), O_RDONLY), "damaged.seg");
    if (!file.ok()) return file.status();
    BlockReader reader;
    Row row;
    for (uint32_t block = 0; block < (*file)->index().block_count(); ++block) {
      RETURN_IF_ERROR((*file)->open_block(block, reader));
      while (reader.next(row)) {
      }
      RETURN_IF_ERROR((*file)->in_block(reader.status(), block));
    }
    return {};
  };
  ASSERT_TRUE(walk(good).ok());
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    const Status status = walk(bad);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << i;
    EXPECT_THAT(message_of(status), ::testing::StartsWith("damaged.seg: ")) << i;
  }
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(walk(good.substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace sluice::tools
