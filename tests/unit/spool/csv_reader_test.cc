#include "engine/spool/csv_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/random.h"

namespace sluice {
namespace {

struct Got {
  uint64_t number = 0;
  uint64_t line = 0;
  std::vector<std::string> values;
  std::string error;
  std::string raw;
  ListPosition after;
  friend bool operator==(const Got&, const Got&) = default;
};

struct Outcome {
  std::vector<std::string> columns;
  std::vector<Got> records;
  Status status;
  ListPosition end;
};

Got copy_of(const ListRecord& record, const CsvReader& reader) {
  Got got;
  got.number = record.number;
  got.line = record.line;
  for (const std::string_view value : record.values) got.values.emplace_back(value);
  got.error = record.error != nullptr ? record.error : "";
  got.raw = record.raw;
  got.after = reader.position();
  return got;
}

// Reads `text` in the given pieces; what is left comes in one.
Outcome read(const std::string& text, const std::vector<size_t>& pieces = {},
             const Limits& limits = Limits::tiny()) {
  CsvReader reader("list.csv", limits);
  Outcome outcome;
  size_t at = 0;
  size_t piece = 0;
  while (true) {
    ListRecord record;
    switch (reader.next(record)) {
      case CsvReader::Result::kRecord:
        outcome.records.push_back(copy_of(record, reader));
        break;
      case CsvReader::Result::kNeedMore: {
        if (at == text.size()) {
          reader.finish();
          break;
        }
        const size_t size = piece < pieces.size() ? pieces[piece++] : text.size() - at;
        reader.feed(std::string_view(text).substr(at, size));
        at += std::min(size, text.size() - at);
        break;
      }
      case CsvReader::Result::kFailed:
      case CsvReader::Result::kEnd:
        outcome.columns = reader.columns();
        outcome.status = reader.status();
        outcome.end = reader.position();
        return outcome;
    }
  }
}

void expect_same(const Outcome& a, const Outcome& b, const std::string& what) {
  ASSERT_EQ(a.status, b.status) << what;
  ASSERT_EQ(a.columns, b.columns) << what;
  ASSERT_EQ(a.records.size(), b.records.size()) << what;
  for (size_t i = 0; i < a.records.size(); ++i) {
    ASSERT_TRUE(a.records[i] == b.records[i])
        << what << ": record " << i << ": " << a.records[i].raw << " / " << b.records[i].raw;
  }
  ASSERT_TRUE(a.end == b.end) << what;
}

// The pieces in which a list arrives change nothing.
Outcome read_every_way(const std::string& text, const Limits& limits = Limits::tiny()) {
  const Outcome whole = read(text, {}, limits);
  for (size_t split = 0; split <= text.size(); ++split) {
    expect_same(whole, read(text, {split}, limits), "split at " + std::to_string(split));
    if (::testing::Test::HasFatalFailure()) break;
  }
  expect_same(whole, read(text, std::vector<size_t>(text.size(), 1), limits), "octet by octet");
  expect_same(whole, read(text, std::vector<size_t>(text.size(), 3), limits), "by threes");
  return whole;
}

using Values = std::vector<std::string>;

TEST(CsvReaderTest, ReadsPlainRecords) {
  const Outcome got = read_every_way("email,name\na@b,Ann\r\n\n\r\nc@d,\ne@f,Eve");
  ASSERT_TRUE(got.status.ok()) << got.status;
  EXPECT_EQ(got.columns, (Values{"email", "name"}));
  ASSERT_EQ(got.records.size(), 3U);
  EXPECT_EQ(got.records[0].values, (Values{"a@b", "Ann"}));
  EXPECT_EQ(got.records[1].values, (Values{"c@d", ""}));
  EXPECT_EQ(got.records[2].values, (Values{"e@f", "Eve"}));
  EXPECT_EQ(got.records[1].number, 2U);
  EXPECT_EQ(got.records[1].line, 5U);
  EXPECT_EQ(got.records[0].raw, "a@b,Ann");
  EXPECT_EQ(got.end.row, 3U);
  EXPECT_EQ(got.end.offset, 35U);
}

TEST(CsvReaderTest, ReadsQuotedRecords) {
  const Outcome got = read_every_way(
      "\"email\",\"full \"\"name\"\"\",x\r\n"
      "a@b,\"Bee, Ann\",1\r\n"
      "\"c@d\",\"two\r\nlines\",\"\"\n"
      "e@f,\"\"\"q\"\"\",5\"\n"
      "g@h,a \"quote\" inside,\"last\"");
  ASSERT_TRUE(got.status.ok()) << got.status;
  EXPECT_EQ(got.columns, (Values{"email", "full \"name\"", "x"}));
  ASSERT_EQ(got.records.size(), 4U);
  EXPECT_EQ(got.records[0].values, (Values{"a@b", "Bee, Ann", "1"}));
  EXPECT_EQ(got.records[1].values, (Values{"c@d", "two\r\nlines", ""}));
  EXPECT_EQ(got.records[2].values, (Values{"e@f", "\"q\"", "5\""}));
  EXPECT_EQ(got.records[2].line, 5U);
  EXPECT_EQ(got.records[2].raw, "e@f,\"\"\"q\"\"\",5\"");
  EXPECT_EQ(got.records[3].values, (Values{"g@h", "a \"quote\" inside", "last"}));
}

TEST(CsvReaderTest, TellsTheDelimiter) {
  EXPECT_EQ(read("a;b\n1,5;2\n").records[0].values, (Values{"1,5", "2"}));
  EXPECT_EQ(read("a\tb\n1,5;\t2\n").records[0].values, (Values{"1,5;", "2"}));
  EXPECT_EQ(read("\"a,x,y\";b\n1;2\n").columns, (Values{"a,x,y", "b"}));
  EXPECT_EQ(read("email\na@b\n").records[0].values, (Values{"a@b"}));
  EXPECT_EQ(read("a,b;c,d\n1,2,3\n").columns, (Values{"a", "b;c", "d"}));
}

TEST(CsvReaderTest, DropsTheByteOrderMark) {
  const Outcome got = read_every_way(
      "\xEF\xBB\xBF"
      "email\na@b\n");
  EXPECT_EQ(got.columns, (Values{"email"}));
  EXPECT_EQ(got.end.offset, 13U);
  EXPECT_EQ(read_every_way("\xEF\xBB\xBF\"email\"\na@b\n").columns, (Values{"email"}));
}

TEST(CsvReaderTest, ReportsBadRecordsAndGoesOn) {
  std::string text = "email,name\na@b\na@b,c,d\n";
  text += std::string("n\0l,x\n", 6);
  text += "bad\xFF,x\nx\ry,z\n\"a\"junk,b\n\"q\nr\"junk\nok@ok,fine\n";
  const Outcome got = read_every_way(text);
  ASSERT_TRUE(got.status.ok());
  ASSERT_EQ(got.records.size(), 8U);
  EXPECT_EQ(got.records[0].error, "1 columns, the header line has 2");
  EXPECT_EQ(got.records[1].error, "3 columns, the header line has 2");
  EXPECT_NE(got.records[2].error.find("NUL"), std::string::npos);
  EXPECT_NE(got.records[3].error.find("UTF-8"), std::string::npos);
  EXPECT_NE(got.records[4].error.find("carriage return"), std::string::npos);
  EXPECT_NE(got.records[5].error.find("closing quote"), std::string::npos);
  EXPECT_NE(got.records[6].error.find("closing quote"), std::string::npos);
  EXPECT_TRUE(got.records[6].values.empty());
  EXPECT_EQ(got.records[7].error, "");
  EXPECT_EQ(got.records[7].number, 8U);
  EXPECT_EQ(got.records[7].line, 10U);
}

TEST(CsvReaderTest, AnUnclosedQuoteCostsItsLineOnly) {
  const Outcome got = read_every_way("email,name\n\"a@b,x\nc@d,y\ne@f,z\n");
  ASSERT_EQ(got.records.size(), 3U);
  EXPECT_NE(got.records[0].error.find("never closes"), std::string::npos);
  EXPECT_EQ(got.records[0].line, 2U);
  EXPECT_EQ(got.records[1].values, (Values{"c@d", "y"}));
  EXPECT_EQ(got.records[2].values, (Values{"e@f", "z"}));

  // The same when the list goes on for longer than a record may be.
  Limits limits = Limits::tiny();
  limits.row_bytes_max = 20;
  const Outcome longer = read_every_way(
      "email,name\na@b,\"x\nc@d,y\nc@d,y\nc@d,y\nc@d,y\nc@d,y\nc@d,y\nc@d,y\n", limits);
  ASSERT_EQ(longer.records.size(), 8U);
  EXPECT_NE(longer.records[0].error.find("never closes"), std::string::npos);
  for (size_t i = 1; i < 8; ++i) EXPECT_EQ(longer.records[i].error, "") << i;
}

TEST(CsvReaderTest, ReportsRecordsThatAreTooLong) {
  Limits limits = Limits::tiny();
  limits.row_bytes_max = 20;
  const std::string fits(18, 'x');
  const Outcome got =
      read_every_way("a,b\n" + fits + ",y\n" + fits + ",zz\nok,1\n\"" + fits + fits +
                         "\",y\nok,2\n\"" + fits + "\n" + fits + "\",1\nok,3\n" + fits + fits,
                     limits);
  ASSERT_TRUE(got.status.ok());
  ASSERT_EQ(got.records.size(), 9U);
  EXPECT_EQ(got.records[0].error, "");
  EXPECT_EQ(got.records[1].error, "the record is longer than 20 octets");
  EXPECT_EQ(got.records[1].raw, fits + ",z");
  EXPECT_EQ(got.records[2].values, (Values{"ok", "1"}));
  EXPECT_EQ(got.records[3].error, "the record is longer than 20 octets");
  EXPECT_EQ(got.records[4].values, (Values{"ok", "2"}));
  EXPECT_NE(got.records[5].error, "");
  EXPECT_EQ(got.records[7].values, (Values{"ok", "3"}));
  EXPECT_EQ(got.records[7].line, 9U);
  EXPECT_EQ(got.records[8].error, "the record is longer than 20 octets");
}

TEST(CsvReaderTest, RefusesListsWithoutProperHeader) {
  const Limits tiny = Limits::tiny();
  std::string wide = "c0";
  for (uint32_t i = 1; i <= tiny.columns_max; ++i) wide += ",c" + std::to_string(i);
  const std::pair<std::string, std::string> cases[] = {
      {"", "empty"},
      {"\n\r\n", "empty"},
      {"\xEF\xBB\xBF", "empty"},
      {"a,,b\n1,2,3\n", "list.csv:1: column 2 has no name"},
      {"\na, ,b\n", "list.csv:2: column 2 has no name"},
      {"a,b, a\n", "column 3 is named \"a\""},
      {"a,\"b\n1,2\n", "never closes"},
      {"a,\"b\"c\n1,2\n", "closing quote"},
      {"a\rb\r", "carriage return"},
      {"\xFF\xFE"
       "a",
       "UTF-8"},
      {std::string("a\0b\n", 4), "NUL"},
      {wide + "\n", "17 columns, at most 16"},
      {std::string(tiny.row_bytes_max + 1, 'x'), "longer than"},
  };
  for (const auto& [text, reason] : cases) {
    const Outcome got = read(text);
    ASSERT_FALSE(got.status.ok()) << text;
    EXPECT_TRUE(got.records.empty());
    EXPECT_NE(message_of(got.status).find(reason), std::string::npos) << got.status;
    expect_same(got, read(text, std::vector<size_t>(text.size(), 1)), text);
  }
}

TEST(CsvReaderTest, GoesOnWhereItWas) {
  const std::string text =
      "\xEF\xBB\xBF"
      "email,name\r\n\na@b,\"x\ny\"\n\n\"open,1\nc@d,2\r\ne@f\n\ng@h,4";
  const Outcome whole = read(text);
  ASSERT_EQ(whole.records.size(), 5U);
  for (size_t i = 0; i < whole.records.size(); ++i) {
    CsvReader reader("list.csv", Limits::tiny());
    ListRecord record;
    reader.feed(text);
    ASSERT_EQ(reader.next(record), CsvReader::Result::kRecord);
    reader.seek(whole.records[i].after);
    reader.feed(std::string_view(text).substr(whole.records[i].after.offset));
    reader.finish();
    for (size_t k = i + 1; k < whole.records.size(); ++k) {
      ASSERT_EQ(reader.next(record), CsvReader::Result::kRecord);
      ASSERT_TRUE(copy_of(record, reader) == whole.records[k]) << i << " " << k;
    }
    EXPECT_EQ(reader.next(record), CsvReader::Result::kEnd);
  }
}

TEST(CsvReaderTest, SurvivesAnyOctets) {
  const std::string octets = "ab,;\t\"\"\"\r\n\n\n\xC3\xBC";
  Limits limits = Limits::tiny();
  limits.row_bytes_max = 24;
  Random random(11);
  for (int round = 0; round < 400; ++round) {
    std::string text = round % 2 == 0 ? "a,b\n" : "";
    const size_t length = random.below(120);
    for (size_t i = 0; i < length; ++i) text += octets[random.below(octets.size())];
    if (round % 7 == 0) text[random.below(text.size() + 1)] = '\0';
    const Outcome got = read_every_way(text, limits);
    if (::testing::Test::HasFatalFailure()) return;
    if (!got.status.ok()) continue;
    ASSERT_EQ(got.end.offset, text.size());
    ASSERT_EQ(got.end.row, got.records.size());
  }
}

}  // namespace
}  // namespace sluice
