#include "engine/record/outcome_file.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include "tests/unit/record/journal_builder.h"

namespace sluice {
namespace {

using Step = OutcomeReader::Step;

JournalEntry entry(SegmentRow row, State state, std::string_view text) {
  JournalEntry e;
  e.job = "a";
  e.segment = 1;
  e.row = row;
  e.state = state;
  e.attempts = 1 + row % 3;
  e.first_at = kStart + row * 7ms;
  e.at = e.first_at + 85ms;
  e.code = state == State::kDelivered ? 250 : 550;
  e.enhanced = {static_cast<uint8_t>(e.code / 100), 1, 1};
  e.text = text;
  e.exchanger = row % 2 == 0 ? "mx0.example.com" : "mx1.example.com";
  e.site = "site.example.com";
  e.source = "s1";
  e.maybe_delivered = row % 11 == 0;
  e.dns_stale = row % 13 == 0;
  return e;
}

std::string text_of(uint32_t i) {
  if (i % 5 == 0) return "no such user";
  return "Ok: queued as 4F1A" + std::to_string(i * 7'919ULL);
}

Outcomes outcomes_of(uint32_t rows) {
  Outcomes outcomes("a");
  for (uint32_t i = 0; i < rows; ++i) {
    if (i % 7 == 3) continue;  // the journal does not know it
    const State state = i % 5 == 0 ? State::kBounced : State::kDelivered;
    const std::string text = text_of(i);
    EXPECT_TRUE(outcomes.add(entry(i, state, text)).ok());
  }
  return outcomes;
}

std::string address_of(uint32_t i) {
  return "user" + std::to_string(i) + "@d" + std::to_string(i % 9);
}

// Rows have every third number of the list.
std::string file_of(const Outcomes& outcomes, uint32_t rows) {
  OutcomeWriter writer("a");
  for (uint32_t i = 0; i < rows; ++i) {
    writer.add(3 * i + 1, address_of(i), outcomes.find_packed(1, i));
  }
  writer.finish({.rejected = 5, .suppressed = 6, .duplicate = 7, .texts_left_out = 8});
  return writer.octets();
}

struct Read {
  std::vector<uint64_t> numbers;
  Step end = Step::kMore;
  Status status;
  OutcomeTotals totals;
  std::string job;
};

template <typename Check>
Read read_all(std::string_view file, size_t chunk, Check check) {
  OutcomeReader reader("outcomes");
  OutcomeRow row;
  Read read;
  while (true) {
    read.end = reader.next(row);
    if (read.end == Step::kRow) {
      read.numbers.push_back(row.number);
      check(row);
    } else if (read.end == Step::kMore) {
      if (file.empty()) reader.end();
      reader.feed(file.substr(0, chunk));
      file.remove_prefix(std::min(chunk, file.size()));
    } else {
      break;
    }
  }
  read.status = reader.status();
  read.totals = reader.totals();
  read.job = reader.job();
  return read;
}

Read read_all(std::string_view file, size_t chunk = 4'096) {
  return read_all(file, chunk, [](const OutcomeRow&) {});
}

TEST(OutcomeFile, EveryRowComesBackOverManyFrames) {
  constexpr uint32_t kRows = 60'000;  // more than one frame
  const Outcomes outcomes = outcomes_of(kRows);
  const std::string file = file_of(outcomes, kRows);
  for (const size_t chunk : {size_t{1}, size_t{777}, size_t{1} << 20}) {
    uint32_t i = 0;
    const Read read = read_all(file, chunk, [&](const OutcomeRow& row) {
      const Outcome& known = outcomes.find(1, i);
      const Outcome& got = row.outcome;
      EXPECT_EQ(row.number, 3 * i + 1);
      EXPECT_EQ(row.address, address_of(i));
      EXPECT_EQ(got.state, known.state);
      EXPECT_EQ(got.maybe_delivered, known.maybe_delivered);
      EXPECT_EQ(got.dns_stale, known.dns_stale);
      EXPECT_EQ(got.code, known.code);
      EXPECT_EQ(got.enhanced, known.enhanced);
      EXPECT_EQ(got.attempts, known.attempts);
      EXPECT_EQ(got.first_at, known.first_at);
      EXPECT_EQ(got.last_at, known.last_at);
      EXPECT_EQ(got.text, known.text);
      EXPECT_EQ(got.exchanger, known.exchanger);
      EXPECT_EQ(got.source, known.source);
      EXPECT_EQ(got.site, known.site);
      ++i;
    });
    EXPECT_EQ(read.end, Step::kEnd) << read.status;
    EXPECT_EQ(i, kRows);
    EXPECT_EQ(read.job, "a");
    EXPECT_EQ(read.totals, (OutcomeTotals{kRows, 5, 6, 7, 8}));
  }
  EXPECT_LT(file.size(), kRows * 40);
}

TEST(OutcomeFile, AnotherTableHasShapesOfItsOwn) {
  OutcomeWriter writer("a");
  for (const State state : {State::kDelivered, State::kBounced}) {
    Outcomes outcomes("a");
    ASSERT_TRUE(outcomes.add(entry(0, state, "text")).ok());
    writer.begin_shapes();
    writer.add(state == State::kDelivered ? 1 : 2, "a@b", outcomes.find_packed(1, 0));
  }
  writer.finish({});
  std::vector<State> states;
  const Read read = read_all(writer.octets(), 100,
                             [&](const OutcomeRow& row) { states.push_back(row.outcome.state); });
  EXPECT_EQ(read.end, Step::kEnd) << read.status;
  EXPECT_EQ(states, (std::vector{State::kDelivered, State::kBounced}));
}

TEST(OutcomeFile, RowsOfACancelledJobKeepTheirLastAttempt) {
  Outcomes outcomes("a");
  ASSERT_TRUE(outcomes.add(entry(0, State::kDelivered, "queued")).ok());
  ASSERT_TRUE(outcomes.add(entry(1, State::kDeferred, "later 17")).ok());
  outcomes.cancel();
  OutcomeWriter writer("a");
  for (uint32_t i = 0; i < 3; ++i) writer.add(i + 1, "a@b", outcomes.find_packed(1, i));
  writer.finish({});
  std::vector<std::pair<State, std::string>> rows;
  const Read read = read_all(writer.octets(), 100, [&](const OutcomeRow& row) {
    rows.emplace_back(row.outcome.state, row.outcome.text);
  });
  EXPECT_EQ(read.end, Step::kEnd) << read.status;
  using Pair = std::pair<State, std::string>;
  EXPECT_EQ(rows, (std::vector{Pair{State::kDelivered, "queued"},
                               Pair{State::kCancelled, "later 17"}, Pair{State::kCancelled, ""}}));
}

TEST(OutcomeFile, AJobWithoutRows) {
  OutcomeWriter writer("a");
  writer.finish({.rejected = 2});
  const Read read = read_all(writer.octets());
  EXPECT_EQ(read.end, Step::kEnd) << read.status;
  EXPECT_TRUE(read.numbers.empty());
  EXPECT_EQ(read.totals.rejected, 2U);
}

// Damage is never taken for rows. (Some octets of a compressed block may be written in two ways.)
TEST(OutcomeFile, EveryCutAndEveryFlippedOctetIsNoticed) {
  constexpr uint32_t kRows = 40;
  const std::string file = file_of(outcomes_of(kRows), kRows);
  for (size_t cut = 0; cut < file.size(); ++cut) {
    const Read read = read_all(std::string_view(file).substr(0, cut));
    EXPECT_EQ(read.end, Step::kCorrupt) << "cut at " << cut;
  }
  const auto append = [](std::string& out, const OutcomeRow& row) {
    out += std::to_string(row.number) + " " + std::string(row.address) + " " +
           std::string(name_of(row.outcome.state)) + " " + row.outcome.text + "\n";
  };
  std::string all;
  (void)read_all(file, 4'096, [&](const OutcomeRow& row) { append(all, row); });
  size_t noticed = 0;
  for (size_t at = 0; at < file.size(); ++at) {
    std::string broken = file;
    broken[at] = static_cast<char>(broken[at] ^ 0x20);
    std::string got;
    const Read read = read_all(broken, 4'096, [&](const OutcomeRow& row) { append(got, row); });
    if (read.end == Step::kEnd) {
      EXPECT_EQ(got, all) << "octet " << at;
    }
    EXPECT_TRUE(all.starts_with(got)) << "octet " << at;
    noticed += read.end == Step::kCorrupt ? 1 : 0;
  }
  EXPECT_GT(noticed, file.size() * 95 / 100);
  EXPECT_EQ(read_all(file + "x").end, Step::kCorrupt);
  EXPECT_EQ(read_all(file + file).end, Step::kCorrupt);
}

TEST(OutcomeFile, AReaderWithoutTheToolGetsTheRecords) {
  const std::string file = file_of(outcomes_of(3), 3);
  std::string plain(4'096, '\0');
  const size_t size = ZSTD_decompress(plain.data(), plain.size(), file.data(), file.size());
  ASSERT_EQ(ZSTD_isError(size), 0U) << ZSTD_getErrorName(size);
  EXPECT_EQ(plain.substr(0, 4), std::string("\x01\x02\x01"
                                            "a",
                                            4));
}

// FORMAT.md's example, octet by octet.
TEST(OutcomeFile, TheExampleOfTheFormat) {
  Outcomes outcomes("a");
  JournalEntry e = entry(0, State::kDelivered, "Ok: queued as 4F1A9C03D1");
  e.attempts = 1;
  e.maybe_delivered = e.dns_stale = false;
  ASSERT_TRUE(outcomes.add(e).ok());
  e.row = 1;
  e.first_at += 12ms;
  e.at = e.first_at + 85ms;
  e.text = "Ok: queued as 4F1A9C03D2";
  ASSERT_TRUE(outcomes.add(e).ok());
  OutcomeWriter writer("a");
  e.exchanger = "mx0.example.com";
  writer.add(4'709, "a@b", outcomes.find_packed(1, 0));
  writer.add(4'711, "j.doe@example.net", outcomes.find_packed(1, 1));
  writer.finish({});
  std::string plain(4'096, '\0');
  const size_t size =
      ZSTD_decompress(plain.data(), plain.size(), writer.octets().data(), writer.octets().size());
  ASSERT_EQ(ZSTD_isError(size), 0U);
  const std::string row = std::string("\x03\x1E\x02\x00\x01\x11", 6) + "j.doe@example.net" +
                          std::string("\x18\xAA\x01\x49\x4F\x1A\x9C\x03\xD2", 9);
  EXPECT_NE(plain.substr(0, size).find(row), std::string::npos);
}

}  // namespace
}  // namespace sluice
