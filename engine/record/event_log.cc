#include "engine/record/event_log.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <span>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/base/strings.h"

namespace sluice {
namespace {

constexpr uint32_t kDirectoryMode = 0750;
constexpr size_t kReadBytes = 256UL << 10;
constexpr uint32_t kNamesOfASecond = 9'999;

constexpr std::string_view kPrefix = "events.";
constexpr std::string_view kSuffix = ".jsonl";
constexpr std::string_view kCompressed = ".zst";
constexpr std::string_view kStampForm = "00000000T000000Z-0000";

Status failed(const char* what, const std::string& path, const IoResult& result) {
  const std::string text =
      std::string("cannot ") + what + " " + path + ": " + std::string(name_of(result.error));
  if (result.error == IoError::kNoSpace) {
    return exhausted(text + "; make room on that file system");
  }
  return io_error(text);
}

std::string parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

// "20261122T101500Z".
std::string stamp_of(WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
  const auto days = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date{std::chrono::sys_days(days)};
  const auto rest = static_cast<int>((seconds - days).count());
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%04d%02u%02uT%02d%02d%02dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), rest / 3'600, rest / 60 % 60, rest % 60);
  return text.data();
}

bool is_stamp(std::string_view text) {
  return std::equal(text.begin(), text.end(), kStampForm.begin(), kStampForm.end(),
                    [](char c, char form) { return form == '0' ? is_digit(c) : c == form; });
}

// Finds the end of the last line before the first that is not whole: a power cut leaves lines cut
// short, and zeros where sectors were not written.
class LineScanner {
 public:
  explicit LineScanner(uint64_t from) : at_(from), good_end_(from) {}

  void feed(std::string_view octets) {
    for (const char c : octets) {
      ++at_;
      if (c == '\n') {
        if (first_ != '{' || last_ != '}') broken_ = true;
        first_ = last_ = '\0';
        if (!broken_) good_end_ = at_;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        broken_ = true;
      } else {
        if (first_ == '\0') first_ = c;
        last_ = c;
      }
      if (broken_) return;
    }
  }
  bool broken() const { return broken_; }
  uint64_t good_end() const { return good_end_; }

 private:
  uint64_t at_;
  uint64_t good_end_;
  char first_ = '\0';  // of the line; escaped text never holds a zero
  char last_ = '\0';
  bool broken_ = false;
};

}  // namespace

std::string event_file_name(uint32_t series) {
  std::string digits = std::to_string(series);
  if (digits.size() < 3) digits.insert(0, 3 - digits.size(), '0');
  return std::string(kPrefix) + digits + std::string(kSuffix);
}

std::string compressed_event_file_name(std::string_view plain) {
  return std::string(plain) + std::string(kCompressed);
}

std::optional<EventFileName> parse_event_file_name(std::string_view name) {
  const bool compressed = name.ends_with(kCompressed);
  if (compressed) name.remove_suffix(kCompressed.size());
  if (name.size() <= kPrefix.size() + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(kSuffix.size());
  const size_t dash = name.find('-');
  const std::string_view digits = name.substr(0, dash);
  const std::optional<uint64_t> series = parse_decimal(digits);
  if (!series || digits.size() < 3 || *series > UINT32_MAX) return std::nullopt;
  if (digits.size() > 3 && digits.front() == '0') return std::nullopt;
  EventFileName parsed;
  parsed.series = static_cast<uint32_t>(*series);
  parsed.compressed = compressed;
  if (dash != std::string_view::npos) {
    parsed.rotated = name.substr(dash + 1);
    if (!is_stamp(parsed.rotated)) return std::nullopt;
  }
  if (compressed && parsed.rotated.empty()) return std::nullopt;
  return parsed;
}

uint32_t remove_event_files(Io& io, const std::string& directory, WallTime before) {
  const StatusOr<std::vector<std::string>> names = io.list(directory);
  if (!names.ok()) return 0;  // nothing was recorded yet
  uint32_t removed = 0;
  for (const std::string& name : *names) {
    const std::optional<EventFileName> parsed = parse_event_file_name(name);
    if (!parsed || parsed->rotated.empty()) continue;
    std::string path = directory;
    path += '/';
    path += name;
    const StatusOr<FileStat> stat = io.stat(path);
    if (!stat.ok() || stat->modified >= before) continue;
    if (const Status status = io.remove_file(path); !status.ok()) {
      log(LogLevel::kWarning, message_of(status));
      continue;
    }
    ++removed;
  }
  return removed;
}

EventLog::EventLog(Loop& loop, std::string directory, uint32_t series)
    : loop_(loop),
      directory_(std::move(directory)),
      series_(series),
      path_(directory_ + "/" + event_file_name(series)) {}

Task<IoResult> EventLog::finish() {
  while (!op_.done()) co_await done_;
  co_return op_.take();
}

Task<Status> EventLog::open(uint64_t synced_bytes, bool lines_stay) {
  CHECK(file_ == kNoHandle);
  sync_failed_ = false;
  Status status = co_await make_directory();
  if (!status.ok()) co_return status;
  status = co_await begin_file();
  if (!status.ok()) co_return status;
  const StatusOr<FileStat> stat = loop_.io().stat(path_);
  if (!stat.ok()) co_return stat.status();
  bytes_ = stat->bytes;
  const bool another = bytes_ < synced_bytes;
  const uint64_t from = another ? 0 : synced_bytes;
  if (bytes_ == from) co_return Status();
  if (lines_stay || another) {
    status = co_await cut_tail(from, bytes_);
    co_return status;
  }
  bytes_ = from;
  co_return loop_.io().truncate(path_, from);
}

Task<Status> EventLog::make_directory() {
  if (loop_.io().stat(directory_).ok()) co_return Status();
  Status status = loop_.io().make_directory(directory_, kDirectoryMode);
  if (!status.ok()) {
    co_return annotate(status, "the event record");
  }
  status = co_await sync_directory(parent_of(directory_));
  co_return status;
}

Task<Status> EventLog::begin_file() {
  const bool is_new = !loop_.io().stat(path_).ok();
  const StatusOr<Handle> file = loop_.io().open_file(path_, OpenMode::kAppend);
  if (!file.ok()) co_return file.status();
  file_ = *file;
  bytes_ = 0;
  if (!is_new) co_return Status();
  const Status status = co_await sync_directory(directory_);
  co_return status;
}

Task<Status> EventLog::cut_tail(uint64_t from, uint64_t size) {
  const StatusOr<Handle> reader = loop_.io().open_file(path_, OpenMode::kRead);
  if (!reader.ok()) co_return reader.status();
  reader_ = *reader;
  LineScanner scanner(from);
  octets_.resize(kReadBytes);
  uint64_t offset = from;
  while (offset < size && !scanner.broken()) {
    loop_.io().read(op_, reader_, std::span(octets_.data(), octets_.size()), offset);
    const IoResult result = co_await finish();
    if (!result.ok()) co_return failed("read", path_, result);
    if (result.value == 0) break;
    offset += static_cast<uint64_t>(result.value);
    scanner.feed(std::string_view(octets_).substr(0, static_cast<size_t>(result.value)));
    co_await yield();
  }
  loop_.io().close(std::exchange(reader_, kNoHandle));
  bytes_ = scanner.good_end();
  if (bytes_ == size) co_return Status();
  log(LogLevel::kInfo, path_ + ": " + grouped(size - bytes_) +
                           " octets behind the last whole line are cut off and written again");
  co_return loop_.io().truncate(path_, bytes_);
}

Task<Status> EventLog::append(std::string& lines) {
  CHECK(file_ != kNoHandle);
  octets_.swap(lines);
  size_t written = 0;
  while (written < octets_.size()) {
    piece_ = {octets_.data() + written, octets_.size() - written};
    loop_.io().write(op_, file_, std::span(&piece_, 1), bytes_);
    const IoResult result = co_await finish();
    if (!result.ok()) co_return failed("write", path_, result);
    written += static_cast<size_t>(result.value);
    bytes_ += static_cast<uint64_t>(result.value);
  }
  octets_.clear();
  octets_.swap(lines);
  co_return Status();
}

Task<Status> EventLog::sync() {
  CHECK(file_ != kNoHandle);
  loop_.io().sync(op_, file_);
  const IoResult result = co_await finish();
  if (result.ok()) co_return Status();
  sync_failed_ = true;
  co_return failed("sync", path_, result);
}

Task<Status> EventLog::sync_directory(std::string path) {
  const StatusOr<Handle> directory = loop_.io().open_file(path, OpenMode::kDirectory);
  if (!directory.ok()) co_return directory.status();
  loop_.io().sync(op_, *directory);
  const IoResult result = co_await finish();
  loop_.io().close(*directory);
  if (!result.ok()) co_return failed("sync", path, result);
  co_return Status();
}

StatusOr<std::string> EventLog::free_name() {
  const std::string name = event_file_name(series_);
  const std::string stem =
      name.substr(0, name.size() - kSuffix.size()) + "-" + stamp_of(loop_.io().wall_now()) + "-";
  for (uint32_t number = 1; number <= kNamesOfASecond; ++number) {
    std::string digits = std::to_string(number);
    digits.insert(0, 4 - digits.size(), '0');
    std::string path = directory_;
    path += '/';
    path += stem;
    path += digits;
    path += kSuffix;
    const bool is_free =
        absl::IsNotFound(loop_.io().stat(path).status()) &&
        absl::IsNotFound(loop_.io().stat(compressed_event_file_name(path)).status());
    if (is_free) return path;
  }
  return cannot_create(directory_ + ": no name is free for a rotated event file; raise [record] " +
                       "rotate");
}

Task<Status> EventLog::rotate() {
  CHECK(bytes_ > 0);
  Status status = co_await sync();
  if (!status.ok()) co_return status;
  const StatusOr<std::string> name = free_name();
  if (!name.ok()) co_return name.status();
  close();
  status = loop_.io().rename(path_, *name);
  if (!status.ok()) co_return status;
  // The new file's name and the old one's become durable together.
  status = co_await begin_file();
  co_return status;
}

void EventLog::close() {
  for (Handle* handle : {&file_, &reader_}) {
    if (*handle != kNoHandle) loop_.io().close(std::exchange(*handle, kNoHandle));
  }
}

}  // namespace sluice
