#include "engine/spool/jsonl_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kKeptBytes = 256;  // of a line that is too long, for rejected.csv
constexpr size_t kKeyShown = 64;    // octets of a key in a message

constexpr const char* kNul = "a NUL octet in the record";
constexpr const char* kNotUtf8 = "the record is not UTF-8";
constexpr const char* kNoObject = "no JSON object; write {\"key\": \"value\", ...}";

std::string shown(std::string_view key) { return "\"" + escaped(key, kKeyShown) + "\""; }

}  // namespace

// A line as the parser's events tell it: flat objects become values by column.
class JsonlReader::Object final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Object(size_t columns_max) : columns_max_(columns_max) {}

  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<std::string_view>& values() const { return values_; }
  // What makes the whole list unusable; only the first object has such.
  const std::string& header_error() const { return header_error_; }
  // Why the row is bad; empty when it is fine.
  const std::string& error() const { return error_; }

  void parse(std::string_view line) {
    first_ = columns_.empty();
    depth_ = 0;
    target_ = next_ = 0;
    text_.clear();
    header_error_.clear();
    error_.clear();
    places_.assign(columns_.size(), Place());
    const bool parsed = nlohmann::json::sax_parse(line.begin(), line.end(), this);
    if (!parsed && error_.empty()) error_ = kNoObject;
    if (first_) judge_first(parsed);
    values_.clear();
    for (const Place& place : places_) {
      values_.push_back(std::string_view(text_).substr(place.offset, place.length));
    }
  }

  bool null() override { return value({}); }
  bool boolean(bool given) override { return value(given ? "true" : "false"); }
  bool number_integer(number_integer_t given) override { return value(std::to_string(given)); }
  bool number_unsigned(number_unsigned_t given) override { return value(std::to_string(given)); }
  bool number_float(number_float_t, const string_t& written) override { return value(written); }
  bool string(string_t& given) override { return value(given); }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override {
    if (depth_++ > 0) nested("an object");
    return true;
  }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override {
    if (depth_++ == 0) return false;
    nested("an array");
    return true;
  }
  bool end_array() override { return leave(); }

  bool key(string_t& name) override {
    if (depth_ != 1) return true;
    if (first_) return add_column(name);
    if (!find_column(name)) {
      refuse("key " + shown(name) + " is not among the first line's; the columns are its keys");
      return false;
    }
    if (places_[target_].set) {
      refuse("key " + shown(name) + " stands twice");
      return false;
    }
    places_[target_].set = true;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception&) override {
    refuse("not valid JSON at octet " + std::to_string(position));
    return false;
  }

 private:
  struct Place {
    size_t offset = 0;
    size_t length = 0;
    bool set = false;
  };

  // The first of several reasons holds.
  void refuse(std::string why) {
    if (error_.empty()) error_ = std::move(why);
  }

  void nested(const char* what) {
    if (depth_ != 2) return;
    refuse("the value of " + shown(columns_[target_]) + " is " + what +
           "; only strings, numbers, true, false and null are taken");
  }

  bool leave() {
    --depth_;
    return true;
  }

  bool value(std::string_view text) {
    if (depth_ == 0) return false;
    if (depth_ > 1) return true;
    if (text.find('\0') != std::string_view::npos) refuse(kNul);
    Place& place = places_[target_];
    place.offset = text_.size();
    place.length = text.size();
    text_ += text;
    return true;
  }

  bool add_column(const std::string& name) {
    if (name.empty() || name.find('\0') != std::string::npos) {
      header_error_ = name.empty() ? "an empty key; name every column" : "a NUL octet in a key";
      return false;
    }
    target_ = columns_.size();
    if (!index_.emplace(name, target_).second) {
      header_error_ = "key " + shown(name) + " stands twice; rename one of them";
      return false;
    }
    if (target_ == columns_max_) {
      header_error_ = "more than " + std::to_string(columns_max_) + " keys, no more are taken";
      return false;
    }
    columns_.push_back(name);
    places_.push_back({0, 0, true});
    return true;
  }

  // Objects of one list mostly have the same order.
  bool find_column(const std::string& name) {
    if (next_ < columns_.size() && columns_[next_] == name) {
      target_ = next_++;
      return true;
    }
    const auto found = index_.find(std::string_view(name));
    if (found == index_.end()) return false;
    target_ = found->second;
    next_ = target_ + 1;
    return true;
  }

  void judge_first(bool parsed) {
    if (header_error_.empty() && !parsed) header_error_ = error_;
    if (header_error_.empty() && columns_.empty()) header_error_ = "an object without keys";
    if (header_error_.empty()) return;
    columns_.clear();
    index_.clear();
    places_.clear();
  }

  const size_t columns_max_;
  std::vector<std::string> columns_;
  StringMap<size_t> index_;
  bool first_ = false;
  size_t depth_ = 0;
  size_t target_ = 0;  // column of the value that comes
  size_t next_ = 0;    // column of the key that probably comes
  std::string text_;   // values, one behind the other
  std::vector<Place> places_;
  std::vector<std::string_view> values_;
  std::string header_error_;
  std::string error_;
};

JsonlReader::JsonlReader(std::string file_name, const Limits& limits)
    : file_name_(std::move(file_name)),
      row_bytes_max_(limits.row_bytes_max),
      object_(std::make_unique<Object>(limits.columns_max)) {}

JsonlReader::~JsonlReader() = default;

const std::vector<std::string>& JsonlReader::columns() const { return object_->columns(); }

void JsonlReader::feed(std::string_view octets) {
  CHECK(!finished_);
  if (start_ > 0 && start_ >= buffer_.size() - start_) {
    buffer_.erase(0, start_);
    scan_ -= start_;
    start_ = 0;
  }
  buffer_ += octets;
}

void JsonlReader::seek(const ListPosition& position) {
  CHECK(!columns().empty());
  buffer_.clear();
  start_ = scan_ = dropped_ = 0;
  dropping_ = false;
  finished_ = false;
  // At the very beginning the mark comes once more.
  past_mark_ = position.offset > 0;
  position_ = position;
}

JsonlReader::Result JsonlReader::fail(const std::string& what) {
  status_ = invalid(escaped(file_name_) + ":" + std::to_string(position_.line) + ": " + what);
  return Result::kFailed;
}

JsonlReader::Result JsonlReader::next(ListRecord& record) {
  if (!status_.ok()) return Result::kFailed;
  if (!pass_mark()) return Result::kNeedMore;
  while (true) {
    switch (find_line()) {
      case Found::kNothing:
        if (!finished_) return Result::kNeedMore;
        if (columns().empty()) return fail("the list is empty; it needs a JSON object a line");
        return Result::kEnd;
      case Found::kLongLine:
        if (columns().empty()) {
          return fail("the first line is longer than " + std::to_string(row_bytes_max_) +
                      " octets");
        }
        give_too_long(record);
        return Result::kRecord;
      case Found::kLine:
        if (give(record)) return Result::kRecord;
        if (!status_.ok()) return Result::kFailed;
        break;
    }
  }
}

// Drops a byte-order mark; false when more octets are needed to tell.
bool JsonlReader::pass_mark() {
  if (past_mark_) return true;
  const std::string_view begin = std::string_view(buffer_).substr(0, kByteOrderMark.size());
  if (begin == kByteOrderMark) {
    start_ = scan_ = begin.size();
    position_.offset = begin.size();
  } else if (kByteOrderMark.substr(0, begin.size()) == begin && !finished_) {
    return false;
  }
  past_mark_ = true;
  return true;
}

// Sets end_ to the end of the line that begins at start_: its line feed, or the list's end.
// What it decides does not depend on the pieces in which the list was fed.
JsonlReader::Found JsonlReader::find_line() {
  const size_t feed = buffer_.find('\n', std::max(scan_, start_));
  const bool ended = feed != std::string::npos;
  scan_ = end_ = ended ? feed : buffer_.size();
  if (!dropping_ && end_ - start_ > row_bytes_max_) {
    kept_ = buffer_.substr(start_, std::min(kKeptBytes, row_bytes_max_));
    dropping_ = true;
  }
  if (dropping_) {
    if (ended || finished_) return Found::kLongLine;
    dropped_ += buffer_.size() - start_;
    buffer_.clear();
    start_ = scan_ = 0;
    return Found::kNothing;
  }
  if (ended) return Found::kLine;
  return finished_ && end_ > start_ ? Found::kLine : Found::kNothing;
}

// Goes behind the line end at end_ (or to the list's end, where there is none).
void JsonlReader::advance() {
  const size_t next = std::min(end_ + 1, buffer_.size());
  position_.offset += next - start_ + dropped_;
  ++position_.line;
  dropped_ = 0;
  dropping_ = false;
  start_ = scan_ = next;
}

void JsonlReader::begin_record(ListRecord& record, std::string_view raw) {
  record.number = ++position_.row;
  record.line = position_.line;
  record.raw = raw;
  record.error = nullptr;
  record.values = {};
}

void JsonlReader::give_too_long(ListRecord& record) {
  message_ = "the record is longer than " + std::to_string(row_bytes_max_) + " octets";
  begin_record(record, kept_);
  record.error = message_.c_str();
  advance();
}

// The line at [start_, end_); false for a blank one, and when it makes the list unusable.
bool JsonlReader::give(ListRecord& record) {
  const std::string_view line = trim(std::string_view(buffer_).substr(start_, end_ - start_));
  if (line.empty()) {
    advance();
    return false;
  }
  const char* error = nullptr;
  if (line.find('\0') != std::string_view::npos) {
    error = kNul;
  } else if (!is_utf8(line)) {
    error = kNotUtf8;
  }
  if (error != nullptr && columns().empty()) {
    fail(error);
    return false;
  }
  if (error == nullptr) {
    object_->parse(line);
    if (columns().empty()) {
      fail(object_->header_error() + "; the keys of the first line are the columns");
      return false;
    }
    if (!object_->error().empty()) error = object_->error().c_str();
  }
  begin_record(record, line);
  record.error = error;
  if (error == nullptr) record.values = object_->values();
  advance();
  return true;
}

}  // namespace sluice
