#include "engine/record/outcomes.h"

#include <gtest/gtest.h>

#include "tests/unit/record/journal_builder.h"

namespace sluice {
namespace {

JournalEntry entry(SegmentRow row, State state, uint32_t attempts, std::string_view text) {
  JournalEntry e;
  e.job = "a";
  e.segment = 1;
  e.row = row;
  e.state = state;
  e.attempts = attempts;
  e.at = kStart + attempts * 1h;
  e.first_at = kStart;
  e.code = 250;
  e.enhanced = {2, 0, 0};
  e.text = text;
  e.exchanger = "mx.example.com";
  e.source = "s1";
  return e;
}

TEST(Outcomes, TheEntryThatHolds) {
  Outcomes outcomes("a");
  ASSERT_TRUE(outcomes.add(entry(3, State::kDeferred, 2, "later 2")).ok());
  ASSERT_TRUE(outcomes.add(entry(3, State::kDeferred, 1, "later 1")).ok());
  ASSERT_TRUE(outcomes.add(entry(5, State::kDelivered, 2, "queued as A1B2C3")).ok());
  ASSERT_TRUE(outcomes.add(entry(5, State::kDeferred, 9, "late")).ok());
  JournalEntry other = entry(6, State::kDelivered, 1, "");
  other.job = "b";
  ASSERT_TRUE(outcomes.add(other).ok());

  const Outcome three = outcomes.find(1, 3);
  EXPECT_EQ(three.state, State::kDeferred);
  EXPECT_EQ(three.attempts, 2u);
  EXPECT_EQ(three.text, "later 2");
  EXPECT_EQ(three.last_at, kStart + 2h);
  const Outcome five = outcomes.find(1, 5);
  EXPECT_EQ(five.state, State::kDelivered);
  EXPECT_EQ(five.code, 250);
  EXPECT_EQ(five.enhanced, (EnhancedCode{2, 0, 0}));
  EXPECT_EQ(five.text, "queued as A1B2C3");
  EXPECT_EQ(five.exchanger, "mx.example.com");
  EXPECT_EQ(five.source, "s1");
  EXPECT_EQ(five.first_at, kStart);
  EXPECT_EQ(outcomes.find(1, 4).state, State::kWaiting);
  EXPECT_EQ(outcomes.find(1, 6).state, State::kWaiting);
  EXPECT_EQ(outcomes.find(9, 0).state, State::kWaiting);
  EXPECT_EQ(outcomes.segments(), std::vector<SegmentNumber>{1});
  EXPECT_EQ(outcomes.row_end(1), 6u);
  EXPECT_EQ(outcomes.row_end(2), 0u);
}

TEST(Outcomes, TheMarksAreThoseOfTheEntryThatHolds) {
  Outcomes outcomes("a");
  JournalEntry doubtful = entry(3, State::kDeferred, 1, "later");
  doubtful.maybe_delivered = true;
  doubtful.dns_stale = true;
  ASSERT_TRUE(outcomes.add(doubtful).ok());
  EXPECT_TRUE(outcomes.find(1, 3).maybe_delivered);
  EXPECT_TRUE(outcomes.find(1, 3).dns_stale);
  ASSERT_TRUE(outcomes.add(entry(3, State::kDelivered, 2, "queued")).ok());
  EXPECT_FALSE(outcomes.find(1, 3).maybe_delivered);
  EXPECT_FALSE(outcomes.find(1, 3).dns_stale);
}

TEST(Outcomes, ManyTexts) {
  Outcomes outcomes("a");
  constexpr uint32_t kRows = 100'000;
  const auto text = [](uint32_t i) {
    return "OK queued as 4Rx" + std::to_string(i * 7'919ULL) + "abc for <user" + std::to_string(i) +
           "@example.com>";
  };
  for (uint32_t i = 0; i < kRows; ++i) {
    const std::string t = text(i);
    ASSERT_TRUE(outcomes.add(entry(i, State::kDelivered, 1, t)).ok());
  }
  EXPECT_EQ(outcomes.texts_left_out(), 0u);
  for (uint32_t i = 0; i < kRows; i += 37) ASSERT_EQ(outcomes.find(1, i).text, text(i));
}

TEST(Outcomes, TextsAreBounded) {
  Outcomes outcomes("a", 1'000);
  for (uint32_t i = 0; i < 1'000; ++i) {
    const std::string t = "word " + std::string(1 + i % 20, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(outcomes.add(entry(i, State::kBounced, 1, t)).ok());
  }
  EXPECT_GT(outcomes.texts_left_out(), 0u);
  EXPECT_EQ(outcomes.find(1, 0).text, "word a");
  EXPECT_EQ(outcomes.find(1, 999).state, State::kBounced);
  EXPECT_EQ(outcomes.find(1, 999).exchanger, "mx.example.com");
}

TEST(Outcomes, ImpossibleRowsAreRefused) {
  Outcomes outcomes("a");
  EXPECT_FALSE(outcomes.add(entry(kSegmentRowsEnd, State::kDelivered, 1, "")).ok());
}

}  // namespace
}  // namespace sluice
