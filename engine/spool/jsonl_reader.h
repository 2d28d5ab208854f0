// A list in JSON lines as a stream of records: an object a line.
//
// Purpose: the same as CsvReader, for lists whose rows are objects. The keys of the first object
//   are the columns, in its order, as a header line's names are; the first object is a row too.
//   Later objects may lack keys (their values are empty); a key that the first object does not
//   have makes the row bad. Order of keys does not matter.
// Values: strings; numbers as they are written (but -0 is 0); true and false; null is empty.
//   Objects and arrays inside are refused for their row.
// Lines end with LF or CRLF, the last one with or without; blank lines are skipped; a UTF-8
//   byte-order mark is dropped.
// Use, ownership and thread: as CsvReader. columns() is filled before the first record comes out.
// Errors: a bad record is a record with `error` set, and reading goes on with the next line: not
//   JSON, no object, nested values, an unknown key, a key twice, NUL (also as \u0000), invalid
//   UTF-8, more than Limits::row_bytes_max octets. A first line that does not tell the columns is
//   an error of the whole list: kFailed, and status() says what and where.
// Limits: keeps at most about twice row_bytes_max plus the largest piece fed; columns_max.
//   Nesting costs one bit a level.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/limits.h"
#include "engine/spool/list_record.h"

namespace sluice {

class JsonlReader {
 public:
  using Result = ListResult;

  // `file_name` stands in messages. Limits: row_bytes_max and columns_max are used.
  JsonlReader(std::string file_name, const Limits& limits);
  ~JsonlReader();
  JsonlReader(const JsonlReader&) = delete;
  JsonlReader& operator=(const JsonlReader&) = delete;

  // More of the list. Copies. REQUIRES: next() said kNeedMore, or nothing was fed yet.
  void feed(std::string_view octets);
  // The list has ended.
  void finish() { finished_ = true; }
  Result next(ListRecord& record);

  // Goes on at `position`, as position() once gave it: what was fed is forgotten, the next feed()
  // begins with the octet at position.offset. REQUIRES: the columns are known.
  void seek(const ListPosition& position);
  // The place behind the last record that next() gave.
  const ListPosition& position() const { return position_; }

  const std::vector<std::string>& columns() const;
  const Status& status() const { return status_; }

 private:
  class Object;  // one line, parsed
  enum class Found : uint8_t { kNothing, kLine, kLongLine };

  bool pass_mark();
  Found find_line();
  void advance();
  bool give(ListRecord& record);
  void give_too_long(ListRecord& record);
  void begin_record(ListRecord& record, std::string_view raw);
  Result fail(const std::string& what);

  const std::string file_name_;
  const size_t row_bytes_max_;

  std::string buffer_;     // octets fed and not given out yet, from start_ on
  size_t start_ = 0;       // of the line being read
  size_t scan_ = 0;        // looked at up to here
  size_t end_ = 0;         // of the line found: its line end
  size_t dropped_ = 0;     // octets of a line that is too long, gone already
  bool dropping_ = false;  // inside such a line
  std::string kept_;       // its beginning
  bool finished_ = false;
  bool past_mark_ = false;  // the place of the byte-order mark is behind us
  ListPosition position_;
  std::unique_ptr<Object> object_;
  std::string message_;  // error of the current record where it is made up
  Status status_;
};

}  // namespace sluice
