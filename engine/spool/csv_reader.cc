#include "engine/spool/csv_reader.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "engine/base/check.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kKeptBytes = 256;  // of a record that is too long, for rejected.csv
constexpr char kUnknownDelimiter = '\0';
constexpr std::array<char, 3> kDelimiters = {',', ';', '\t'};

constexpr const char* kNul = "a NUL octet in the record";
constexpr const char* kNotUtf8 = "the record is not UTF-8";
constexpr const char* kBareCr = "a carriage return without line feed outside quotes";
constexpr const char* kJunk = "text behind a closing quote";
constexpr const char* kUnclosed = "a quote that opens on this line never closes";

bool has_quote(std::string_view text) {
  return !text.empty() && std::memchr(text.data(), '"', text.size()) != nullptr;
}

// NUL and malformed UTF-8 refuse a record.
const char* check_octets(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101ULL;
  constexpr uint64_t kHighs = 0x8080808080808080ULL;
  uint64_t highs = 0;
  uint64_t zeros = 0;
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    highs |= word;
    zeros |= (word - kOnes) & ~word;
  }
  if (i < text.size()) {
    uint64_t word = kOnes;
    std::memcpy(&word, text.data() + i, text.size() - i);
    highs |= word;
    zeros |= (word - kOnes) & ~word;
  }
  if ((zeros & kHighs) != 0) return kNul;
  return (highs & kHighs) == 0 || is_utf8(text) ? nullptr : kNotUtf8;
}

std::string_view without_cr(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

uint64_t count_lines(std::string_view text) {
  return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

CsvReader::CsvReader(std::string file_name, const Limits& limits)
    : file_name_(std::move(file_name)),
      row_bytes_max_(limits.row_bytes_max),
      columns_max_(limits.columns_max) {}

void CsvReader::feed(std::string_view octets) {
  CHECK(!finished_);
  if (start_ > 0 && start_ >= buffer_.size() - start_) {
    buffer_.erase(0, start_);
    scan_ -= start_;
    start_ = 0;
  }
  buffer_ += octets;
}

void CsvReader::seek(const ListPosition& position) {
  CHECK(has_header());
  buffer_.clear();
  start_ = scan_ = dropped_ = 0;
  state_ = Scan::kLine;
  finished_ = false;
  position_ = position;
}

CsvReader::Result CsvReader::next(ListRecord& record) {
  if (!status_.ok()) return Result::kFailed;
  if (!has_header()) {
    const Result result = read_header();
    if (result != Result::kRecord) return result;
  }
  while (true) {
    const Found found = state_ == Scan::kTooLong ? find_long_end() : find_end();
    switch (found) {
      case Found::kNothing:
        return finished_ ? Result::kEnd : Result::kNeedMore;
      case Found::kUnclosed:
        if (give_first_line(record)) return Result::kRecord;
        break;
      case Found::kTooLong:
        begin_too_long();
        break;
      case Found::kLongRecord:
        give_too_long(record);
        return Result::kRecord;
      case Found::kRecord:
        if (give(record)) return Result::kRecord;
        break;
    }
  }
}

// --- finding a record's end ----------------------------------------------------------------------

// Sets end_ to the end of the record that begins at start_: its line feed, or the list's end.
// What it decides does not depend on the pieces in which the list was fed.
CsvReader::Found CsvReader::find_end() {
  if (state_ != Scan::kLine) return scan_quotes();
  const size_t size = buffer_.size();
  const char* data = buffer_.data();
  const void* feed = scan_ < size ? std::memchr(data + scan_, '\n', size - scan_) : nullptr;
  const size_t stop =
      feed != nullptr ? static_cast<size_t>(static_cast<const char*>(feed) - data) : size;
  if (has_quote(std::string_view(data + scan_, stop - scan_))) {
    state_ = Scan::kFieldStart;
    scan_ = start_;
    return scan_quotes();
  }
  scan_ = end_ = stop;
  if (stop - start_ > row_bytes_max_) return Found::kTooLong;
  if (feed != nullptr) return Found::kRecord;
  return finished_ && stop > start_ ? Found::kRecord : Found::kNothing;
}

bool CsvReader::is_delimiter(char c) const {
  if (delimiter_ != kUnknownDelimiter) return c == delimiter_;
  return std::find(kDelimiters.begin(), kDelimiters.end(), c) != kDelimiters.end();
}

CsvReader::Found CsvReader::scan_quotes() {
  const size_t limit = std::min(buffer_.size(), start_ + row_bytes_max_ + 1);
  while (scan_ < limit) {
    if (state_ == Scan::kQuoted) {
      const void* quote = std::memchr(buffer_.data() + scan_, '"', limit - scan_);
      if (quote == nullptr) {
        scan_ = limit;
        break;
      }
      scan_ = static_cast<size_t>(static_cast<const char*>(quote) - buffer_.data()) + 1;
      state_ = Scan::kQuoteInQuoted;
      continue;
    }
    const char c = buffer_[scan_];
    if (c == '\n') {
      end_ = scan_;
      return Found::kRecord;
    }
    if (c == '"' && (state_ == Scan::kFieldStart || state_ == Scan::kQuoteInQuoted)) {
      state_ = Scan::kQuoted;
    } else if (state_ == Scan::kQuoteInQuoted && !is_delimiter(c)) {
      state_ = Scan::kAfterQuoted;
    } else if (state_ != Scan::kAfterQuoted) {
      state_ = is_delimiter(c) ? Scan::kFieldStart : Scan::kUnquoted;
    }
    ++scan_;
  }
  const bool in_quotes = state_ == Scan::kQuoted;
  if (scan_ - start_ > row_bytes_max_) return in_quotes ? Found::kUnclosed : Found::kTooLong;
  if (!finished_) return Found::kNothing;
  if (in_quotes) return Found::kUnclosed;
  end_ = buffer_.size();
  return Found::kRecord;
}

// Throws away a record that is too long, up to the end of its line.
CsvReader::Found CsvReader::find_long_end() {
  end_ = std::min(buffer_.find('\n', start_), buffer_.size());
  if (end_ < buffer_.size() || finished_) return Found::kLongRecord;
  dropped_ += buffer_.size() - start_;
  buffer_.clear();
  start_ = scan_ = 0;
  return Found::kNothing;
}

// Goes behind the line end at `end` (or to the list's end, where there is none).
void CsvReader::advance(size_t end, uint64_t lines) {
  const size_t next = std::min(end + 1, buffer_.size());
  position_.offset += next - start_ + dropped_;
  position_.line += lines;
  dropped_ = 0;
  start_ = scan_ = next;
  state_ = Scan::kLine;
}

// --- giving records out --------------------------------------------------------------------------

void CsvReader::begin_record(ListRecord& record, std::string_view raw, const char* error) {
  record.number = ++position_.row;
  record.line = position_.line;
  record.raw = raw;
  record.error = error;
  record.values = {};
}

// The record at [start_, end_); false for an empty line.
bool CsvReader::give(ListRecord& record) {
  const std::string_view text = without_cr(std::string_view(buffer_).substr(start_, end_ - start_));
  const bool quoted = state_ != Scan::kLine;
  const uint64_t lines = quoted ? 1 + count_lines(text) : 1;
  if (text.empty()) {
    advance(end_, lines);
    return false;
  }
  const char* error = check_octets(text);
  if (error == nullptr) error = quoted ? split_quoted(text) : split_plain(text);
  if (error == nullptr && value_count_ != columns_.size()) error = wrong_columns();
  begin_record(record, text, error);
  if (error == nullptr) record.values = values_;
  advance(end_, lines);
  return true;
}

// A quote opens and does not close: the record is given up with its first line. False when that
// line itself is too long.
bool CsvReader::give_first_line(ListRecord& record) {
  end_ = std::min(buffer_.find('\n', start_), buffer_.size());
  if (end_ - start_ > row_bytes_max_) {
    begin_too_long();
    return false;
  }
  begin_record(record, without_cr(pending().substr(0, end_ - start_)), kUnclosed);
  advance(end_, 1);
  return true;
}

void CsvReader::begin_too_long() {
  kept_ = pending().substr(0, std::min(kKeptBytes, row_bytes_max_));
  state_ = Scan::kTooLong;
}

void CsvReader::give_too_long(ListRecord& record) {
  std::snprintf(message_, sizeof message_, "the record is longer than %zu octets", row_bytes_max_);
  begin_record(record, kept_, message_);
  advance(end_, 1);
}

const char* CsvReader::wrong_columns() {
  std::snprintf(message_, sizeof message_, "%zu columns, the header line has %zu", value_count_,
                columns_.size());
  return message_;
}

void CsvReader::add_value(std::string_view value) {
  // Of a header every value counts, of a record not more than there are columns.
  if (!has_header() || value_count_ < columns_.size()) values_.push_back(value);
  ++value_count_;
}

// Views straight into the text.
const char* CsvReader::split_plain(std::string_view text) {
  values_.clear();
  value_count_ = 0;
  if (std::memchr(text.data(), '\r', text.size()) != nullptr) return kBareCr;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    const void* found = std::memchr(at, delimiter_, static_cast<size_t>(end - at));
    const char* stop = found != nullptr ? static_cast<const char*>(found) : end;
    add_value(std::string_view(at, static_cast<size_t>(stop - at)));
    if (found == nullptr) return nullptr;
    at = stop + 1;
  }
}

// Takes the quotes away in a copy of the text.
const char* CsvReader::split_quoted(std::string_view text) {
  values_.clear();
  value_count_ = 0;
  unquoted_.assign(text);
  char* at = unquoted_.data();
  char* const end = at + unquoted_.size();
  while (true) {
    char* const begin = at;
    char* out = at;
    if (at < end && *at == '"') {
      ++at;
      while (true) {
        if (at == end) return kUnclosed;
        if (*at == '"' && (at + 1 == end || at[1] != '"')) break;
        if (*at == '"') ++at;
        *out++ = *at++;
      }
      ++at;
      if (at < end && *at != delimiter_) return kJunk;
    } else {
      at = std::find(at, end, delimiter_);
      out = at;
      if (std::find(begin, at, '\r') != at) return kBareCr;
    }
    add_value(std::string_view(begin, static_cast<size_t>(out - begin)));
    if (at == end) return nullptr;
    ++at;
  }
}

// --- the header line -----------------------------------------------------------------------------

CsvReader::Result CsvReader::fail(const std::string& what) {
  status_ = invalid(escaped(file_name_) + ":" + std::to_string(position_.line) + ": " + what);
  return Result::kFailed;
}

// Drops a byte-order mark; false when more octets are needed to tell.
bool CsvReader::pass_mark() {
  if (past_mark_) return true;
  const std::string_view begin = pending().substr(0, kByteOrderMark.size());
  if (begin == kByteOrderMark) {
    start_ = scan_ = begin.size();
    position_.offset = begin.size();
  } else if (kByteOrderMark.substr(0, begin.size()) == begin && !finished_) {
    return false;
  }
  past_mark_ = true;
  return true;
}

CsvReader::Result CsvReader::read_header() {
  if (!pass_mark()) return Result::kNeedMore;
  while (!has_header()) {
    delimiter_ = kUnknownDelimiter;
    switch (find_end()) {
      case Found::kNothing:
        if (!finished_) return Result::kNeedMore;
        return fail("the list is empty; its first line must name the columns");
      case Found::kRecord:
        break;
      case Found::kUnclosed:
        return fail("the header line has a quote that never closes");
      default:
        return fail("the header line is longer than " + std::to_string(row_bytes_max_) + " octets");
    }
    const std::string_view text =
        without_cr(std::string_view(buffer_).substr(start_, end_ - start_));
    if (!text.empty() && !parse_header(text)) return Result::kFailed;
    advance(end_, 1 + count_lines(text));
  }
  return Result::kRecord;
}

char CsvReader::detect_delimiter(std::string_view header) const {
  std::array<size_t, kDelimiters.size()> counts{};
  bool quoted = false;
  for (size_t i = 0; i < header.size(); ++i) {
    if (header[i] == '"') {
      const bool field_start = i == 0 || is_delimiter(header[i - 1]);
      if (quoted || field_start) quoted = !quoted;
    }
    const auto* at = std::find(kDelimiters.begin(), kDelimiters.end(), header[i]);
    if (!quoted && at != kDelimiters.end()) {
      ++counts[static_cast<size_t>(at - kDelimiters.begin())];
    }
  }
  const auto best = std::max_element(counts.begin(), counts.end());  // the first of equals
  return kDelimiters[static_cast<size_t>(best - counts.begin())];
}

bool CsvReader::parse_header(std::string_view text) {
  if (const char* error = check_octets(text)) {
    fail(std::string("the header line is no text in UTF-8 (") + error +
         "); save the list as UTF-8");
    return false;
  }
  delimiter_ = detect_delimiter(text);
  if (const char* error = split_quoted(text)) {
    fail(std::string("bad header line: ") + error);
    return false;
  }
  if (value_count_ > columns_max_) {
    fail(std::to_string(value_count_) + " columns, at most " + std::to_string(columns_max_) +
         " are taken");
    return false;
  }
  absl::flat_hash_set<std::string> seen;
  std::vector<std::string> names;
  for (const std::string_view value : values_) {
    const std::string name(trim(value));
    const std::string place = "column " + std::to_string(names.size() + 1);
    if (name.empty()) {
      fail(place + " has no name; name every column in the header line");
      return false;
    }
    if (!seen.insert(name).second) {
      fail(place + " is named \"" + escaped(name) + "\" like one before it; rename one of them");
      return false;
    }
    names.push_back(name);
  }
  columns_ = std::move(names);
  return true;
}

}  // namespace sluice
