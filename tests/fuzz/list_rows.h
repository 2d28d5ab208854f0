// A list as its reader gives it out, kept; and reading one in pieces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/status.h"
#include "engine/base/strings.h"
#include "engine/spool/list_record.h"
#include "tests/fuzz/input.h"

namespace sluice::fuzz {

struct KeptRow {
  uint64_t number = 0;
  uint64_t line = 0;
  std::vector<std::string> values;
  std::string error;
  std::string raw;
  friend bool operator==(const KeptRow&, const KeptRow&) = default;
};

struct KeptList {
  std::vector<std::string> columns;
  std::vector<KeptRow> rows;
  std::vector<ListPosition> positions;  // behind each row
  bool failed = false;
  std::string message;
  friend bool operator==(const KeptList&, const KeptList&) = default;
};

// Reads what is left of a list.
template <typename Reader>
KeptList read_list(Reader& reader, std::string_view octets, Cutter cutter) {
  KeptList list;
  bool finished = false;
  for (;;) {
    ListRecord record;
    const ListResult result = reader.next(record);
    if (result == ListResult::kRecord) {
      KeptRow row = {record.number,
                     record.line,
                     {},
                     record.error == nullptr ? "" : record.error,
                     std::string(record.raw)};
      row.values.assign(record.values.begin(), record.values.end());
      CHECK((record.error == nullptr) == row.error.empty());
      list.rows.push_back(std::move(row));
      list.positions.push_back(reader.position());
    } else if (result == ListResult::kNeedMore) {
      CHECK(!finished);
      if (octets.empty()) {
        reader.finish();
        finished = true;
      } else {
        reader.feed(cutter.next(octets));
      }
    } else {
      list.failed = result == ListResult::kFailed;
      if (list.failed) list.message = message_of(reader.status());
      CHECK(list.failed == !reader.status().ok());
      CHECK(finished || list.failed);
      break;
    }
  }
  list.columns = reader.columns();
  return list;
}

// What holds for every list, whatever the octets.
inline void check_list(const KeptList& list, std::string_view octets, size_t row_bytes_max) {
  if (list.failed) CHECK(list.rows.empty() && !list.message.empty());
  if (!list.failed) CHECK(!list.rows.empty() || list.positions.empty());
  uint64_t offset = 0;
  uint64_t line = 0;
  for (size_t i = 0; i < list.rows.size(); ++i) {
    const KeptRow& row = list.rows[i];
    CHECK(row.number == i + 1);
    CHECK(row.line > line && row.line < list.positions[i].line + 1);
    CHECK(list.positions[i].row == row.number);
    CHECK(list.positions[i].offset > offset && list.positions[i].offset <= octets.size());
    offset = list.positions[i].offset;
    line = row.line;
    CHECK(row.raw.size() <= row_bytes_max);
    if (!row.error.empty()) {
      CHECK(row.values.empty());
      continue;
    }
    CHECK(row.values.size() == list.columns.size());
    for (const std::string& value : row.values) {
      CHECK(is_utf8(value) && value.find('\0') == std::string::npos);
    }
  }
}

// Reading again from the place behind row `from` gives the rows behind it.
template <typename Reader>
void check_seek(Reader& reader, const KeptList& list, std::string_view octets, size_t from,
                Cutter cutter) {
  const ListPosition position = list.positions[from];
  reader.seek(position);
  const KeptList tail = read_list(reader, octets.substr(position.offset), cutter);
  CHECK(!tail.failed && tail.columns == list.columns);
  const auto first = static_cast<ptrdiff_t>(from + 1);
  CHECK(tail.rows == std::vector<KeptRow>(list.rows.begin() + first, list.rows.end()));
  CHECK(tail.positions ==
        std::vector<ListPosition>(list.positions.begin() + first, list.positions.end()));
}

}  // namespace sluice::fuzz
