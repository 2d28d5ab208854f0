// A list in CSV (RFC 4180) as a stream of records.
//
// Purpose: octets in, records out, whatever the octets are. The header line names the columns and
//   tells the delimiter: the one of , ; and tab that occurs most in it outside quotes, comma when
//   none does. A UTF-8 byte-order mark is dropped; lines end with LF or CRLF, the last one with or
//   without; empty lines are skipped; names of columns are trimmed.
// Quotes: a field whose first octet is a double quote is quoted: delimiters and line ends inside
//   are data, "" is one quote. A quote elsewhere is an ordinary character.
// Use: next() until it says kNeedMore; feed() or finish(); next() again. The header is read by the
//   first next() calls: columns() is filled before the first record comes out.
// Ownership: fed octets are copied; records' views live until the next call of any member.
// Thread: one at a time.
// Errors: a bad record is a record with `error` set, and reading goes on at the next line end:
//   wrong number of columns, NUL, invalid UTF-8, a bare CR, text behind a closing quote, more than
//   Limits::row_bytes_max octets. A quote that closes nowhere within that many octets costs the
//   line on which it opens and no other. A bad header is an error of the whole list: kFailed, and
//   status() says what and where.
// Limits: keeps at most about twice row_bytes_max plus the largest piece fed; columns_max.
// BUGS: a quoted field longer than row_bytes_max is read, from its second line on, as records.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/status.h"
#include "engine/model/limits.h"
#include "engine/spool/list_record.h"

namespace sluice {

class CsvReader {
 public:
  using Result = ListResult;

  // `file_name` stands in messages. Limits: row_bytes_max and columns_max are used.
  CsvReader(std::string file_name, const Limits& limits);

  // More of the list. Copies. REQUIRES: next() said kNeedMore, or nothing was fed yet.
  void feed(std::string_view octets);
  // The list has ended.
  void finish() { finished_ = true; }
  Result next(ListRecord& record);

  // Goes on at `position`, as position() once gave it: what was fed is forgotten, the next feed()
  // begins with the octet at position.offset. REQUIRES: the header has been read.
  void seek(const ListPosition& position);
  // The place behind the last record (or header) that next() gave.
  const ListPosition& position() const { return position_; }

  bool has_header() const { return !columns_.empty(); }
  const std::vector<std::string>& columns() const { return columns_; }
  char delimiter() const { return delimiter_; }
  const Status& status() const { return status_; }

 private:
  // Where in a record the scan for its end has come to.
  enum class Scan : uint8_t {
    kLine,        // no quote seen so far: looking for the line end
    kFieldStart,  // from here on octet by octet
    kUnquoted,
    kQuoted,
    kQuoteInQuoted,  // a quote inside quotes: the field's end, or the first of two
    kAfterQuoted,    // behind a closing quote: looking for the line end
    kTooLong,        // over the limit: throwing octets away until the line end
  };
  // What the scan found.
  enum class Found : uint8_t { kNothing, kRecord, kUnclosed, kTooLong, kLongRecord };

  Found find_end();
  Found scan_quotes();
  Found find_long_end();
  bool is_delimiter(char c) const;
  void advance(size_t end, uint64_t lines);

  void begin_record(ListRecord& record, std::string_view raw, const char* error);
  bool give(ListRecord& record);
  bool give_first_line(ListRecord& record);
  void give_too_long(ListRecord& record);
  const char* wrong_columns();
  void add_value(std::string_view value);
  const char* split_plain(std::string_view text);
  const char* split_quoted(std::string_view text);

  Result read_header();
  Result fail(const std::string& what);
  bool pass_mark();
  bool parse_header(std::string_view text);
  char detect_delimiter(std::string_view header) const;
  void begin_too_long();
  std::string_view pending() const { return std::string_view(buffer_).substr(start_); }

  const std::string file_name_;
  const size_t row_bytes_max_;
  const size_t columns_max_;

  std::string buffer_;  // octets fed and not given out yet, from start_ on
  size_t start_ = 0;    // of the record being read
  size_t scan_ = 0;     // looked at up to here; at least start_
  size_t end_ = 0;      // of the record found: its line end
  size_t dropped_ = 0;  // octets of a kTooLong record that are gone already
  Scan state_ = Scan::kLine;
  bool finished_ = false;
  bool past_mark_ = false;  // the place of the byte-order mark is behind us
  char delimiter_ = ',';
  ListPosition position_;
  std::vector<std::string> columns_;
  std::vector<std::string_view> values_;
  size_t value_count_ = 0;  // values of the record, also those beyond the columns
  std::string unquoted_;    // a record with its quotes taken away
  std::string kept_;        // beginning of a record that is too long
  char message_[96] = {};   // error of the current record where it is made up
  Status status_;
};

}  // namespace sluice
