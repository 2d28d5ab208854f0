#include "tools/cmd/event_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/record/event_log.h"
#include "engine/record/zstd_stream.h"

namespace sluice::tools {
namespace {

constexpr size_t kReadBytes = 256UL << 10;

Status failed(const char* what, const std::string& path) {
  return io_error(std::string("cannot ") + what + " " + path + ": " + std::strerror(errno));
}

// Names of the event files of each series, oldest first, the current one last.
StatusOr<std::map<uint32_t, std::vector<std::string>>> list_files(const std::string& directory) {
  DIR* open = ::opendir(directory.c_str());
  if (open == nullptr) {
    if (errno == ENOENT) return missing("there is no event record in " + directory);
    return failed("list", directory);
  }
  std::map<uint32_t, std::vector<std::string>> files;
  while (const dirent* entry = ::readdir(open)) {
    if (const auto name = parse_event_file_name(entry->d_name)) {
      files[name->series].emplace_back(entry->d_name);
    }
  }
  ::closedir(open);
  for (auto& [series, names] : files) {
    std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
      const std::string_view x = parse_event_file_name(a)->rotated;
      const std::string_view y = parse_event_file_name(b)->rotated;
      if (x.empty() != y.empty()) return y.empty();
      // The compressed one of two twins, which a crash leaves, comes first and stays.
      return x != y ? x < y : a.size() > b.size();
    });
    const auto is_twin = [](const std::string& a, const std::string& b) {
      const std::string_view x = parse_event_file_name(a)->rotated;
      return !x.empty() && x == parse_event_file_name(b)->rotated;
    };
    names.erase(std::unique(names.begin(), names.end(), is_twin), names.end());
  }
  return files;
}

}  // namespace

std::string_view event_member(std::string_view line, std::string_view key) {
  const std::string mark = "\"" + std::string(key) + "\":\"";
  // A quote within a text is escaped: this cannot stand in one.
  size_t begin = line.find(mark);
  if (begin == std::string_view::npos) return {};
  begin += mark.size();
  size_t end = begin;
  while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
  return line.substr(begin, std::min(end, line.size()) - begin);
}

// One series: the file that is being read, and the names of those after it.
class EventReader::Series {
 public:
  explicit Series(std::string directory) : directory_(std::move(directory)) {}
  Series(const Series&) = delete;
  Series& operator=(const Series&) = delete;
  ~Series() { close(); }

  // `names`: all files of the series now, oldest first.
  Status look(const std::vector<std::string>& names) {
    waiting_.clear();
    size_t from = 0;
    if (descriptor_ >= 0) {
      // Go on behind the file that is open, whatever its name is now.
      for (size_t i = 0; i < names.size(); ++i) {
        // By its name where it was compressed since.
        const std::string_view rotated = parse_event_file_name(names[i])->rotated;
        if (!is_open_file(names[i]) && (rotated.empty() || rotated != rotated_)) continue;
        from = i + 1;
        rotated_ = rotated;
      }
      // It was removed: the current file alone is surely newer.
      if (from == 0 && !names.empty()) from = names.size() - 1;
    }
    for (size_t i = names.size(); i > from; --i) waiting_.push_back(names[i - 1]);
    return fill();
  }

  std::string_view time() const { return time_; }  // of the line; empty: none is there
  std::string_view line() const { return line_; }

  // To the next event; none when all was read.
  Status advance() {
    begin_ += taken_;
    return fill();
  }

 private:
  Status fill() {
    time_ = line_ = {};
    taken_ = 0;
    while (true) {
      const size_t end = buffer_.find('\n', begin_);
      if (end == std::string::npos) {
        ASSIGN_OR_RETURN(const bool more, read_more());
        if (more) continue;
        return {};
      }
      line_ = std::string_view(buffer_).substr(begin_, end - begin_);
      taken_ = line_.size() + 1;
      time_ = event_member(line_, "event_time");
      if (!time_.empty()) return {};
      begin_ += taken_;
    }
  }

  StatusOr<bool> read_more() {
    while (true) {
      if (descriptor_ >= 0) {
        ASSIGN_OR_RETURN(const bool read, read_here());
        if (read) return true;
        if (waiting_.empty()) return false;
      } else if (waiting_.empty()) {
        return false;
      }
      RETURN_IF_ERROR(open_next());
    }
  }

  StatusOr<bool> read_here() {
    struct stat there {};
    if (!zstd_ && ::fstat(descriptor_, &there) == 0 &&
        static_cast<uint64_t>(there.st_size) < offset_) {
      offset_ = static_cast<uint64_t>(there.st_size);
      buffer_.clear();
      begin_ = 0;
    }
    buffer_.erase(0, begin_);
    begin_ = 0;
    if (zstd_) return unpack_here();
    return read_into(buffer_);
  }

  // Appends; false at the end.
  StatusOr<bool> read_into(std::string& out) {
    const size_t had = out.size();
    out.resize(had + kReadBytes);
    ssize_t count = 0;
    do {
      count = ::pread(descriptor_, out.data() + had, kReadBytes, static_cast<off_t>(offset_));
    } while (count < 0 && errno == EINTR);
    out.resize(had + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0) return failed("read", path_);
    offset_ += static_cast<uint64_t>(count);
    return count > 0;
  }

  StatusOr<bool> unpack_here() {
    const size_t had = buffer_.size();
    while (true) {
      bool more = true;
      if (packed_begin_ == packed_.size()) {
        packed_.clear();
        packed_begin_ = 0;
        ASSIGN_OR_RETURN(more, read_into(packed_));
        if (!more && !zstd_->is_open()) return false;
      }
      // At the file's end too: something may be unpacked already.
      std::string_view rest = std::string_view(packed_).substr(packed_begin_);
      if (!zstd_->unpack(rest, buffer_)) {
        return io_error(path_ + " is damaged: " + zstd_->error());
      }
      packed_begin_ = packed_.size() - rest.size();
      if (buffer_.size() > had) return true;
      if (!more && zstd_->is_open()) return io_error(path_ + " is cut short");
    }
  }

  Status open_next() {
    const std::string path = directory_ + "/" + waiting_.back();
    waiting_.pop_back();
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
      // Removed, or rotated since the look: the next one finds it under its new name.
      if (errno == ENOENT) return {};
      return failed("open", path);
    }
    close();
    descriptor_ = descriptor;
    path_ = path;
    const std::string own_name = path.substr(directory_.size() + 1);
    const auto name = parse_event_file_name(own_name);
    rotated_ = name->rotated;
    if (name->compressed) zstd_ = std::make_unique<ZstdUnpacker>();
    return {};
  }

  bool is_open_file(const std::string& name) const {
    struct stat open {};
    struct stat named {};
    return ::fstat(descriptor_, &open) == 0 &&
           ::stat((directory_ + "/" + name).c_str(), &named) == 0 && open.st_ino == named.st_ino &&
           open.st_dev == named.st_dev;
  }

  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
    buffer_.clear();
    begin_ = 0;
    offset_ = 0;
    zstd_.reset();
    packed_.clear();
    packed_begin_ = 0;
  }

  const std::string directory_;
  std::vector<std::string> waiting_;  // newest first
  int descriptor_ = -1;
  std::string path_;
  std::string rotated_;  // when it was, as its name says; empty: not seen rotated yet
  uint64_t offset_ = 0;
  std::unique_ptr<ZstdUnpacker> zstd_;  // null: it is not compressed
  std::string packed_;
  size_t packed_begin_ = 0;  // what stands before it is used up
  std::string buffer_;
  size_t begin_ = 0;
  size_t taken_ = 0;  // octets of the line that is there, its end included
  std::string_view line_;
  std::string_view time_;
};

EventReader::EventReader(std::string directory) : directory_(std::move(directory)) {}
EventReader::~EventReader() = default;

Status EventReader::look() {
  given_ = nullptr;
  ASSIGN_OR_RETURN(const auto files, list_files(directory_));
  for (const auto& [number, names] : files) {
    std::unique_ptr<Series>& series = series_[number];
    if (!series) series = std::make_unique<Series>(directory_);
    RETURN_IF_ERROR(series->look(names));
  }
  return {};
}

StatusOr<bool> EventReader::next(std::string_view& line) {
  if (given_ != nullptr) RETURN_IF_ERROR(given_->advance());
  given_ = nullptr;
  for (const auto& [number, series] : series_) {
    if (series->time().empty()) continue;
    if (given_ == nullptr || series->time() < given_->time()) given_ = series.get();
  }
  if (given_ == nullptr) return false;
  line = given_->line();
  return true;
}

}  // namespace sluice::tools
