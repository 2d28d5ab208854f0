#include "engine/spool/jsonl_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/spool/list_reader.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;
using Values = std::vector<std::string>;

struct Got {
  uint64_t number = 0;
  uint64_t line = 0;
  Values values;
  std::string error;
  std::string raw;
  ListPosition after;
  friend bool operator==(const Got&, const Got&) = default;
};

struct Outcome {
  Values columns;
  std::vector<Got> records;
  Status status;
  ListPosition end;
};

Outcome read_on(JsonlReader& reader, const std::string& text, const std::vector<size_t>& pieces) {
  Outcome outcome;
  size_t at = 0;
  size_t piece = 0;
  while (true) {
    ListRecord record;
    switch (reader.next(record)) {
      case ListResult::kRecord: {
        Got got{record.number, record.line, {}, "", std::string(record.raw), reader.position()};
        for (const std::string_view value : record.values) got.values.emplace_back(value);
        if (record.error != nullptr) got.error = record.error;
        outcome.records.push_back(got);
        break;
      }
      case ListResult::kNeedMore: {
        if (at == text.size()) {
          reader.finish();
          break;
        }
        const size_t size = piece < pieces.size() ? pieces[piece++] : text.size() - at;
        reader.feed(std::string_view(text).substr(at, size));
        at += std::min(size, text.size() - at);
        break;
      }
      case ListResult::kFailed:
      case ListResult::kEnd:
        outcome.columns = reader.columns();
        outcome.status = reader.status();
        outcome.end = reader.position();
        return outcome;
    }
  }
}

Outcome read(const std::string& text, const std::vector<size_t>& pieces = {},
             const Limits& limits = Limits::tiny()) {
  JsonlReader reader("list.jsonl", limits);
  return read_on(reader, text, pieces);
}

void expect_same(const Outcome& a, const Outcome& b, const std::string& what) {
  ASSERT_EQ(a.status, b.status) << what;
  ASSERT_EQ(a.columns, b.columns) << what;
  ASSERT_TRUE(a.records == b.records) << what;
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
  return whole;
}

TEST(JsonlReader, TakesTheFirstObjectsKeysAsColumns) {
  const Outcome got = read_every_way(
      "{\"email\": \"a@b\", \"name\": \"Ann\", \"n\": 1}\r\n\n  \r\n"
      "{\"n\":2,\"email\":\"c@d\"}\n{}\n{\"name\":\"Eve\",\"email\":\"e@f\",\"n\":3}");
  ASSERT_TRUE(got.status.ok()) << got.status;
  EXPECT_EQ(got.columns, (Values{"email", "name", "n"}));
  ASSERT_EQ(got.records.size(), 4U);
  EXPECT_EQ(got.records[0].values, (Values{"a@b", "Ann", "1"}));
  EXPECT_EQ(got.records[1].values, (Values{"c@d", "", "2"}));
  EXPECT_EQ(got.records[2].values, (Values{"", "", ""}));
  EXPECT_EQ(got.records[3].values, (Values{"e@f", "Eve", "3"}));
  EXPECT_EQ(got.records[1].number, 2U);
  EXPECT_EQ(got.records[1].line, 4U);
  EXPECT_EQ(got.records[1].raw, "{\"n\":2,\"email\":\"c@d\"}");
  EXPECT_EQ(got.end.row, 4U);
}

TEST(JsonlReader, WritesScalarsAsTheyAreWritten) {
  const Outcome got = read(
      "\xEF\xBB\xBF{\"a\":1,\"b\":\"\"}\n"
      "{\"a\":1.50,\"b\":true}\n{\"a\":-7e+3,\"b\":false}\n{\"a\":null,\"b\":18446744073709551615}"
      "\n"
      "{\"a\":123456789012345678901234567890,\"b\":\"\\u00e4\\ud83d\\ude00\\n\\\"\"}\n");
  ASSERT_TRUE(got.status.ok()) << got.status;
  ASSERT_EQ(got.records.size(), 5U);
  EXPECT_EQ(got.records[1].values, (Values{"1.50", "true"}));
  EXPECT_EQ(got.records[2].values, (Values{"-7e+3", "false"}));
  EXPECT_EQ(got.records[3].values, (Values{"", "18446744073709551615"}));
  EXPECT_EQ(got.records[4].values,
            (Values{"123456789012345678901234567890", "\xC3\xA4\xF0\x9F\x98\x80\n\""}));
}

TEST(JsonlReader, RefusesBadRowsAndGoesOn) {
  const std::string first = "{\"email\":\"a@b\",\"x\":\"\"}\n";
  const std::string last = "{\"email\":\"z@b\",\"x\":\"1\"}\n";
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"{\"email\":\"a@b\",\"y\":1}", "key \"y\" is not among the first line's"},
      {"{\"email\":\"a@b\",\"email\":\"c@d\"}", "key \"email\" stands twice"},
      {"{\"email\":\"a@b\",\"x\":{\"y\":[1]}}", "the value of \"x\" is an object"},
      {"{\"x\":[[[]]],\"email\":\"a@b\"}", "the value of \"x\" is an array"},
      {"{\"email\":\"a@b\"", "not valid JSON"},
      {"{\"email\":\"a@b\"} x", "not valid JSON"},
      {"{\"email\":\"a@b\"}{}", "not valid JSON"},
      {"{email:1}", "not valid JSON"},
      {"{\"x\":1e999}", "not valid JSON"},
      {"{\"x\":\"\\ud800\"}", "not valid JSON"},
      {"[\"a@b\"]", "no JSON object"},
      {"\"a@b\"", "no JSON object"},
      {"a@b,Ann", "not valid JSON"},
      {"{\"x\":\"\\u0000\"}", "NUL"},
      {std::string("{\"x\":\"\0\"}", 9), "NUL"},
      {"{\"x\":\"\xff\"}", "not UTF-8"},
      {"{\"x\":\"\xed\xa0\x80\"}", "not UTF-8"},
      {"{\"x\":\"" + std::string(5'000, 'y') + "\"}", "longer than 4096 octets"},
      {std::string(4'000, '['), "no JSON object"},
  };
  for (const auto& [line, reason] : bad) {
    const Outcome got = read(first + line + "\n" + last);
    ASSERT_TRUE(got.status.ok()) << line;
    ASSERT_EQ(got.records.size(), 3U) << line;
    EXPECT_THAT(got.records[1].error, HasSubstr(reason)) << line;
    EXPECT_TRUE(got.records[1].values.empty());
    EXPECT_EQ(got.records[1].line, 2U);
    EXPECT_EQ(got.records[2].values, (Values{"z@b", "1"})) << line;
    EXPECT_EQ(got.records[2].line, 3U);
    expect_same(got, read(first + line + "\n" + last, {30, 1, 4'090, 3}), line);
  }
}

TEST(JsonlReader, NeedsAFirstLineThatNamesTheColumns) {
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"", "the list is empty"},
      {"\xEF\xBB\xBF \n\n", "the list is empty"},
      {"email,name\na@b,Ann\n", "list.jsonl:1: not valid JSON at octet 1"},
      {"\n{}\n", "list.jsonl:2: an object without keys"},
      {"[1]\n", "list.jsonl:1: no JSON object"},
      {"{\"a\":1,\"a\":2}\n", "key \"a\" stands twice"},
      {"{\"\":1}\n", "an empty key"},
      {"{\"a\":1", "not valid JSON"},
      {"{\"a\":\"\xff\"}", "not UTF-8"},
      {"{\"" + std::string(5'000, 'y') + "\":1}", "longer than 4096 octets"},
  };
  for (const auto& [text, reason] : bad) {
    const Outcome got = read_every_way(text);
    EXPECT_EQ(got.status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(message_of(got.status), HasSubstr(reason)) << text;
    EXPECT_TRUE(got.records.empty());
  }
}

TEST(JsonlReader, BoundsTheColumns) {
  std::string line = "{";
  for (uint32_t i = 0; i <= Limits::tiny().columns_max; ++i) {
    line += (i > 0 ? ",\"k" : "\"k") + std::to_string(i) + "\":1";
  }
  EXPECT_THAT(message_of(read(line + "}").status), HasSubstr("more than 16 keys"));
}

TEST(JsonlReader, ARowWithNestedValuesStillNamesTheColumns) {
  const Outcome got = read("{\"a\":{\"b\":1},\"c\":2}\n{\"a\":1,\"c\":3}\n");
  ASSERT_TRUE(got.status.ok()) << got.status;
  EXPECT_EQ(got.columns, (Values{"a", "c"}));
  ASSERT_EQ(got.records.size(), 2U);
  EXPECT_THAT(got.records[0].error, HasSubstr("the value of \"a\" is an object"));
  EXPECT_EQ(got.records[1].values, (Values{"1", "3"}));
}

TEST(JsonlReader, GoesOnAtAPosition) {
  const std::string text = "\xEF\xBB\xBF{\"a\":\"1\"}\r\n\n{\"a\":[]}\n{\"a\":\"3\"}\n" +
                           ("{\"a\":\"" + std::string(5'000, 'y') + "\"}\n{\"a\":\"5\"}");
  const Outcome whole = read(text);
  ASSERT_EQ(whole.records.size(), 5U);
  for (size_t i = 0; i < whole.records.size(); ++i) {
    JsonlReader reader("list.jsonl", Limits::tiny());
    reader.feed(text);
    ListRecord record;
    ASSERT_EQ(reader.next(record), ListResult::kRecord);
    const ListPosition& position = whole.records[i].after;
    reader.seek(position);
    const Outcome rest = read_on(reader, text.substr(position.offset), {7});
    const std::vector<Got> expected(whole.records.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                                    whole.records.end());
    EXPECT_TRUE(rest.records == expected) << i;
    EXPECT_TRUE(rest.end == whole.end) << i;
  }
}

TEST(JsonlReader, AnyOctetsAreReadAlikeInAnyPieces) {
  Random random(7);
  const std::string alphabet = "{}[]\":,\\u0a1e-. \n\r\xc3\xa4\xff";
  for (int round = 0; round < 3'000; ++round) {
    std::string text = round % 2 == 0 ? "{\"a\":\"1\",\"0\":2}\n" : "";
    const uint64_t size = random.next() % 60;
    for (uint64_t i = 0; i < size; ++i) text += alphabet[random.next() % alphabet.size()];
    const Outcome whole = read(text);
    expect_same(whole, read(text, std::vector<size_t>(text.size(), 1 + random.next() % 5)), text);
    ASSERT_FALSE(HasFatalFailure());
  }
}

TEST(ListReader, ChoosesByTheFilesName) {
  for (const char* name : {"a.jsonl", "A.JSONL", "x/a.jsonl.gz", "a.jsonl.ZST"}) {
    EXPECT_TRUE(is_jsonl_name(name)) << name;
  }
  for (const char* name : {"a.csv", "jsonl", "a.jsonl.csv", "a.jsonl.bz2", "", ".gz"}) {
    EXPECT_FALSE(is_jsonl_name(name)) << name;
  }
  for (const bool json : {false, true}) {
    ListReader reader(json ? "l.jsonl.gz" : "l.csv", Limits::tiny());
    ListRecord record;
    ASSERT_EQ(reader.next(record), ListResult::kNeedMore);
    reader.feed(json ? "{\"email\":\"a@b\"}\n{\"email\":\"c@d\"}" : "email\na@b\nc@d");
    ASSERT_EQ(reader.next(record), ListResult::kRecord);
    EXPECT_EQ(reader.columns(), Values{"email"});
    EXPECT_EQ(record.values[0], "a@b");
    const ListPosition first = reader.position();
    reader.finish();
    ASSERT_EQ(reader.next(record), ListResult::kRecord);
    EXPECT_EQ(record.number, 2U);
    ASSERT_EQ(reader.next(record), ListResult::kEnd);
    reader.seek(first);
    reader.feed(json ? "[]" : "x,y");
    reader.finish();
    ASSERT_EQ(reader.next(record), ListResult::kRecord);
    EXPECT_NE(record.error, nullptr);
    EXPECT_EQ(record.number, 2U);
    EXPECT_TRUE(reader.status().ok());
  }
}

}  // namespace
}  // namespace sluice
