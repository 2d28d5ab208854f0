#include "engine/record/damage.h"

#include <gtest/gtest.h>

#include "tests/unit/record/journal_builder.h"

namespace sluice {
namespace {

using std::chrono::seconds;

TEST(Damage, NamesGoThereAndBack) {
  const std::string name = damaged_journal_name(journal_file_name(3, 17));
  EXPECT_EQ(name, "003-00000017.jnl.damaged");
  EXPECT_EQ(parse_damaged_journal_name(name), "003-00000017.jnl");
  for (const char* other : {"003-00000017.jnl", ".damaged", "3-17.jnl.damaged",
                            "003-00000017.jnl.damaged.damaged", "000.followed.damaged"}) {
    EXPECT_FALSE(parse_damaged_journal_name(other)) << other;
  }
  EXPECT_FALSE(parse_journal_file_name(name)) << "nobody may take it for a journal file";
}

TEST(Damage, AMissingNumberIsAGap) {
  EXPECT_TRUE(journal_gaps({}).empty());
  EXPECT_TRUE(
      journal_gaps({"000-00000005.jnl", "000-00000006.jnl", "000.followed", "001-00000009.jnl"})
          .empty());
  EXPECT_TRUE(
      journal_gaps({"000-00000005.jnl", "000-00000006.jnl.damaged", "000-00000007.jnl"}).empty())
      << "what was set aside is not missing";
  EXPECT_TRUE(
      journal_gaps({"000-00000005.jnl", "000-00000005.jnl.damaged", "000-00000006.jnl"}).empty());
  const std::vector<JournalGap> gaps =
      journal_gaps({"001-00000009.jnl", "001-00000003.jnl", "000-00000002.jnl", "001-00000004.jnl",
                    "000-00000004.jnl"});
  const std::vector<JournalGap> expected = {{"000-00000003.jnl", "000-00000004.jnl"},
                                            {"001-00000005.jnl", "001-00000009.jnl"}};
  EXPECT_EQ(gaps, expected);
}

TEST(Damage, ConcernsWhatWasThereBefore) {
  const UnreadJournal unread{"000-00000001.jnl", kStart};
  EXPECT_TRUE(may_concern(unread, kStart - seconds(100'000)));
  EXPECT_TRUE(may_concern(unread, kStart));
  EXPECT_TRUE(may_concern(unread, kStart + seconds(2)));
  EXPECT_FALSE(may_concern(unread, kStart + seconds(3)));
}

TEST(Damage, WhatIsAcceptedIsReadBack) {
  const std::vector<std::string> names = {"000-00000001.jnl", "012-00000345.jnl"};
  EXPECT_EQ(parse_accepted(accepted_text(names)), names);
  EXPECT_TRUE(parse_accepted("").empty());
  EXPECT_TRUE(parse_accepted("*\n../000-00000001.jnl\n000-0000").empty());
}

uint64_t sound_bytes_of(std::string_view file) {
  JournalParser parser("000-00000001.jnl");
  parser.feed(file);
  parser.end();
  JournalEntry entry;
  while (parser.next(entry) == JournalParser::Step::kEntry) {
  }
  return parser.sound_bytes();
}

TEST(Damage, TheSoundPartIsAFileWithoutDamage) {
  JournalBuilder builder;
  for (SegmentRow row = 0; row < 6; ++row) {
    builder.add({0, 0, row}, delivered(), attempt_at(seconds(row)));
    if (row % 2 == 1) builder.frame();
  }
  const size_t entries = read_back(builder.file()).entries.size();
  for (size_t octet = 0; octet < builder.frame_ends()[1]; ++octet) {
    std::string file = builder.file();
    file[octet] = static_cast<char>(file[octet] ^ 0x20);
    ASSERT_EQ(read_back(file).end, JournalParser::Step::kCorrupt) << octet;
    const uint64_t sound = sound_bytes_of(file);
    EXPECT_LE(sound, octet);
    const ReadBack back = read_back(std::string_view(file).substr(0, sound));
    EXPECT_EQ(back.end, JournalParser::Step::kEnd) << octet;
    EXPECT_FALSE(back.torn) << octet;
    EXPECT_LT(back.entries.size(), entries);
  }
  EXPECT_EQ(sound_bytes_of(builder.file()), builder.file().size());
}

// A frame whose records make no sense is not sound, whatever its checksum says.
TEST(Damage, AFrameThatMakesNoSenseIsNotSound) {
  JournalBuilder builder;
  builder.add({0, 0, 1}, delivered(), attempt_at(seconds(1))).frame();
  builder.add({0, 0, 2}, delivered(), attempt_at(seconds(2)))
      .raw(std::string_view("\0", 1))
      .frame();
  EXPECT_EQ(sound_bytes_of(builder.file()), builder.frame_ends()[0]);
}

TEST(Damage, AJobWithoutANameMakesNoSense) {
  const std::string nameless = {static_cast<char>(RecordKind::kDefine), 2,
                                static_cast<char>(Table::kJob), 0};
  const std::string file = JournalBuilder().raw(nameless).frame().file();
  EXPECT_EQ(read_back(file).end, JournalParser::Step::kCorrupt);
  const std::string named = {static_cast<char>(RecordKind::kDefine), 3,
                             static_cast<char>(Table::kJob), 0, 'a'};
  EXPECT_EQ(read_back(JournalBuilder().raw(named).frame().file()).end, JournalParser::Step::kEnd);
}

}  // namespace
}  // namespace sluice
